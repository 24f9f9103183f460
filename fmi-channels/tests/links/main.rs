//! Links under attack and in trouble: who is let in, who can read, and what survives.

#![cfg(feature = "tcp")]

#[path = "../conformance/met.rs"]
mod met;
#[path = "../conformance/proxy.rs"]
mod proxy;
mod relay;
mod security;
mod survival;

use fmi_actors::{Endpoint, Member, Node, Payload, Place, Settings, channel::Channel};
use fmi_actors::{
    frame::{Datatype, Space},
    mailbox::{Failure, Filter},
    pair::Body,
};
use fmi_channels::{
    handshake::Token,
    identity::{Fingerprint, Identity},
    local::LocalLink,
    tcp::{Protection, Tcp},
};
use std::{net::SocketAddr, sync::Arc, time::Duration};

const SECRET: &str = "correct horse battery staple";
const EPOCH: u32 = 77;
const SCOPE: u64 = 5;

/// A process before it knows of the others.
struct Process {
    channel: Tcp,
    member: Member,
    identity: Arc<Identity>,
}

/// How the links of a test are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Checked,
    Encrypted,
}

impl Process {
    fn new(process: u32, kind: Kind, secret: &str) -> Self {
        let identity = Arc::new(Identity::new().unwrap());
        let protection = match kind {
            Kind::Plain => Protection::Plain,
            Kind::Checked => Protection::Checksum,
            Kind::Encrypted => Protection::Tls(Arc::clone(&identity)),
        };
        let channel = Tcp::bind(Some("127.0.0.1:0"), None, Token::new(secret)).unwrap();
        let channel = channel.protected(protection);
        let mut process = Self {
            member: Member {
                process,
                ranks: vec![process],
                incarnation: 3,
                fingerprint: Some(identity.fingerprint()),
                ..Member::default()
            },
            channel,
            identity,
        };
        process.reached_at(process.channel.local_addr());
        process
    }

    /// Where the others find it.
    fn reached_at(&mut self, address: SocketAddr) {
        self.member.addresses = vec![("tcp".to_owned(), address.to_string())];
    }

    /// Takes its place among these.
    fn start(self, members: &[Member], silent: Duration) -> Rank {
        let settings = Settings { silent, ..Settings::default() };
        let place = Place {
            process: self.member.process,
            epoch: EPOCH,
            members: members.to_vec(),
            model: Arc::default(),
        };
        let channel: Arc<dyn Channel> = Arc::new(self.channel);
        let node = Node::new(place, vec![channel], &[], settings);
        LocalLink::attach(&node);
        node.start();
        Rank::of(node, self.member.process, members.len() as u32)
    }
}

/// A rank alone in its process.
struct Rank {
    node: Arc<Node>,
    endpoint: Endpoint,
}

impl Rank {
    fn of(node: Arc<Node>, rank: u32, size: u32) -> Self {
        let endpoint = node.endpoint(rank).unwrap();
        endpoint.open(SCOPE, (0..size).collect());
        Self { node, endpoint }
    }

    async fn put(&self, to: u32, bytes: Vec<u8>) -> Result<(), String> {
        let payload = Payload::from_vec(bytes);
        let space = Space::messages(SCOPE);
        let sent = self.endpoint.send(space, to, 0, Datatype::BYTES, payload, false);
        bounded(sent).await.map(drop).map_err(|failure| format!("{failure:?}"))
    }

    async fn take(&self, from: u32) -> Result<Vec<u8>, Failure> {
        let filter = Filter { source: Some(from), tag: None };
        let arrival = bounded(self.endpoint.recv(Space::messages(SCOPE), filter)).await?;
        match arrival.body {
            Body::Here(payload) => Ok(payload.bytes().unwrap().to_vec()),
            _ => panic!("a receive ended without its payload"),
        }
    }

    /// Why another process was given up.
    async fn loss(&self, of: u32) -> String {
        match self.take(of).await {
            Err(Failure::Lost { rank, reason }) if rank == of => reason.to_string(),
            other => panic!("rank {of} should be lost, but {other:?}"),
        }
    }

    async fn flushed(&self) {
        bounded(self.endpoint.flush()).await.expect("all has arrived");
    }
}

/// Processes 0 and 1, both reached through proxies.
fn pair(kind: Kind, silent: Duration) -> ([Rank; 2], [proxy::Proxy; 2]) {
    let mut processes = [0, 1].map(|process| Process::new(process, kind, SECRET));
    let proxies = processes.each_mut().map(|process| {
        let proxy = proxy::Proxy::to(process.channel.local_addr());
        process.reached_at(proxy.address());
        proxy
    });
    let members = processes.each_ref().map(|process| process.member.clone());
    (processes.map(|process| process.start(&members, silent)), proxies)
}

/// No test may hang.
async fn bounded<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), test).await.expect("it hangs")
}

/// Bytes that do not occur by chance.
fn letter(number: u64, len: usize) -> Vec<u8> {
    let text = format!("a letter that nobody else may read, number {number:08}. ");
    text.bytes().cycle().take(len).collect()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Somebody else's.
fn foreign() -> Fingerprint {
    Identity::new().unwrap().fingerprint()
}
