//! Who may link over QUIC, and that links live while ranks compute.

#![cfg(feature = "quic")]

use fmi_actors::{
    Endpoint, Member, Node, Payload, Place, Reason, Settings,
    frame::{Datatype, Space},
    home::HomeHandle,
    mailbox::Filter,
    pair::{Arrival, Body},
    service::Service,
};
use fmi_channels::{handshake::Token, identity::Identity, local::LocalLink, quic::Quic};
use std::{
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

const SCOPE: u64 = 9;
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn another_token_is_refused() {
    let nodes = Pair { tokens: ["right", "wrong"], ..Pair::default() }.start(&[]);
    let why = refused(&nodes).await;
    assert!(why.contains("token"), "{why}");
}

#[tokio::test]
async fn a_certificate_that_the_rendezvous_does_not_name_is_refused() {
    let nodes = Pair { impostor: Some(1), ..Pair::default() }.start(&[]);
    let why = refused(&nodes).await;
    assert!(why.contains("sits in the middle"), "{why}");
}

#[tokio::test]
async fn a_caller_with_such_a_certificate_is_dropped() {
    let nodes = Pair { impostor: Some(0), ..Pair::default() }.start(&[]);
    refused(&nodes).await;
    assert!(nodes[1].peer(0).unwrap().link().is_none());
}

#[tokio::test]
async fn garbage_on_the_port_harms_nobody() {
    let pair = Pair::default();
    let port = pair.channels[1].local_addr();
    let nodes = pair.start(&[]);
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    for round in 0..200u32 {
        let mut garbage = [0; 1200];
        getrandom::fill(&mut garbage).unwrap();
        // Beginnings of punches, mirrors' answers, and packets with long and short headers.
        let heads: [&[u8]; 5] =
            [b"\x00fmihole", b"FMIm\x01\x02\0\0", b"\xc0\0\0\0\x01", b"\x40", b""];
        let head = heads[round as usize % heads.len()];
        garbage[..head.len()].copy_from_slice(head);
        let length = [16, 34, 1200, 50, 1][round as usize % 5];
        stranger.send_to(&garbage[..length], port).unwrap();
    }
    let [one, other] = ranks(&nodes);
    within(post(&one, 1, vec![5; 70_000])).await;
    assert_eq!(within(get(&other, 0)).await, vec![5; 70_000]);
}

/// Rule 1: the service thread stands in for an arbiter that computes.
#[tokio::test]
async fn links_live_while_a_rank_computes() {
    let homes = tokio::task::spawn_blocking(|| [0, 1].map(|_| Service::get().new_home()));
    let homes = homes.await.unwrap();
    let nodes = Pair::default().start(&homes);
    let [one, other] = ranks(&nodes);
    within(post(&one, 1, vec![1; 10])).await;
    assert_eq!(within(get(&other, 0)).await, vec![1; 10]);
    let computing = Arc::new(AtomicBool::new(true));
    let (busy, ends) = (Arc::clone(&computing), Arc::new(AtomicBool::new(false)));
    let ended = Arc::clone(&ends);
    homes[1].spawn(async move {
        while busy.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
        ended.store(true, Ordering::Relaxed);
    });
    for _ in 0..20 {
        within(post(&one, 1, vec![2; 30_000])).await;
    }
    // All of it has arrived, and nobody over there has polled.
    within(async { one.flush().await.unwrap() }).await;
    assert!(!ends.load(Ordering::Relaxed));
    computing.store(false, Ordering::Relaxed);
    for _ in 0..20 {
        assert_eq!(within(get(&other, 0)).await, vec![2; 30_000]);
    }
}

/// Two processes to be.
struct Pair {
    channels: Vec<Arc<Quic>>,
    identities: Vec<Arc<Identity>>,
    tokens: [&'static str; 2],
    /// Shows another certificate than the rendezvous says.
    impostor: Option<usize>,
}

impl Default for Pair {
    fn default() -> Self {
        let identities: Vec<_> = (0..2).map(|_| Arc::new(Identity::new().unwrap())).collect();
        Self {
            channels: bind(&identities, ["right"; 2]),
            identities,
            tokens: ["right"; 2],
            impostor: None,
        }
    }
}

impl Pair {
    fn start(mut self, homes: &[HomeHandle]) -> Vec<Arc<Node>> {
        if self.tokens[0] != self.tokens[1] {
            self.channels = bind(&self.identities, self.tokens);
        }
        let members: Vec<_> = (0..2)
            .map(|process| {
                let mut fingerprint = self.identities[process].fingerprint();
                if self.impostor == Some(process) {
                    fingerprint = Identity::new().unwrap().fingerprint();
                }
                let address = self.channels[process].local_addr().to_string();
                Member {
                    process: process as u32,
                    ranks: vec![process as u32],
                    addresses: vec![("quic".to_owned(), address)],
                    fingerprint: Some(fingerprint),
                    ..Member::default()
                }
            })
            .collect();
        // Short, so that what cannot succeed ends soon.
        let settings = Settings { silent: Duration::from_secs(2), ..Settings::default() };
        (0..2)
            .map(|process| {
                let place = Place {
                    process: process as u32,
                    epoch: 3,
                    members: members.clone(),
                    model: Arc::default(),
                };
                let channel = Arc::clone(&self.channels[process]);
                let home = homes.get(process..=process).unwrap_or_default();
                let node = Node::new(place, vec![channel], home, settings.clone());
                LocalLink::attach(&node);
                node.start();
                node
            })
            .collect()
    }
}

fn bind(identities: &[Arc<Identity>], tokens: [&str; 2]) -> Vec<Arc<Quic>> {
    identities
        .iter()
        .zip(tokens)
        .map(|(identity, token)| {
            let identity = Arc::clone(identity);
            let bound = Quic::bind(Some("127.0.0.1:0"), None, Token::new(token), identity);
            Arc::new(bound.unwrap())
        })
        .collect()
}

fn ranks(nodes: &[Arc<Node>]) -> [Endpoint; 2] {
    [0, 1].map(|rank: u32| {
        let endpoint = nodes[rank as usize].endpoint(rank).unwrap();
        endpoint.open(SCOPE, Arc::from([0, 1]));
        endpoint
    })
}

async fn post(rank: &Endpoint, to: u32, bytes: Vec<u8>) {
    let payload = Payload::from_vec(bytes);
    let sent = rank.send(Space::messages(SCOPE), to, 0, Datatype::BYTES, payload, false);
    sent.await.unwrap();
}

async fn get(rank: &Endpoint, from: u32) -> Vec<u8> {
    let filter = Filter { source: Some(from), tag: None };
    let Arrival { body, .. } = rank.recv(Space::messages(SCOPE), filter).await.unwrap();
    let Body::Here(payload) = body else { panic!("a receive ended without its payload") };
    payload.bytes().unwrap().to_vec()
}

/// Process 0 calls process 1, in vain: why.
async fn refused(nodes: &[Arc<Node>]) -> String {
    let [one, _] = ranks(nodes);
    post(&one, 1, vec![1; 10]).await;
    match within(one.flush()).await {
        Err((1, Reason::Unreachable(why))) => why,
        other => panic!("{other:?}"),
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it hangs")
}
