//! The rendezvous over real sockets: who finds whom, who is refused, and who hears of whose end.

#![cfg(feature = "tcp")]

mod bad_input;
mod endings;
mod joining;
mod mirrors;
mod models;
mod notes;
mod rejoining;
mod relaying;
mod tcpunch;
mod tls;

use std::time::Duration;

use fmi_actors::{Result, codec};
use fmi_channels::{
    handshake::{self, Purpose, Token},
    rendezvous::{Client, Event, Monitor, Options, Ranks, Registration, Server, Terms},
};
use tokio::{io::AsyncReadExt, net::TcpStream, sync::oneshot, task::JoinHandle, time::timeout};

const SECRET: &str = "correct horse battery staple";
const JOIN: Duration = Duration::from_secs(20);

struct Bed {
    address: String,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
    monitor: Monitor,
}

impl Bed {
    async fn new() -> Self {
        Self::with(Options::default()).await
    }

    async fn with(options: Options) -> Self {
        let server = Server::bind("127.0.0.1:0", Token::new(SECRET), options).await.unwrap();
        let address = format!("tcp://{}", server.local_addr());
        let (stop, stopped) = oneshot::channel();
        let monitor = server.monitor();
        Self { address, stop, server: tokio::spawn(server.run(stopped)), monitor }
    }

    async fn join(&self, registration: Registration) -> Result<Client> {
        Client::connect(&self.address, &Token::new(SECRET), registration, JOIN).await
    }

    fn relays(&self) -> u64 {
        self.monitor.figures().map_or(0, |figures| figures.relays)
    }

    /// A connection that has passed the handshake and said nothing yet.
    async fn raw(&self) -> TcpStream {
        let address = self.address.strip_prefix("tcp://").unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        handshake::open(&mut stream, Purpose::Rendezvous, &Token::new(SECRET), &[], address)
            .await
            .unwrap();
        stream
    }

    async fn stop(self) {
        let _ = self.stop.send(());
        self.server.await.unwrap();
    }
}

fn given(job: &str, size: u32, ranks: &[u32]) -> Registration {
    Registration {
        job: job.to_owned(),
        size: Some(size),
        ranks: Ranks::Given(ranks.to_vec()),
        addresses: vec![("tcp".to_owned(), format!("127.0.0.1:{}", 5000 + ranks[0]))],
        machine: "here".to_owned(),
        threads: 1,
        cores: 0,
        after: None,
        terms: Terms::default(),
        fingerprint: None,
        model: String::new(),
    }
}

fn any(job: &str, size: Option<u32>, count: u32) -> Registration {
    Registration { size, ranks: Ranks::Any(count), ..given(job, 1, &[0]) }
}

/// No test may hang.
async fn bounded<T>(test: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), test).await.expect("the test hangs")
}

async fn event(client: &Client) -> Option<Event> {
    timeout(Duration::from_secs(10), client.event()).await.expect("no event")
}

/// A frame with a request that the client would never send as such.
fn frame(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_le_bytes()[..], body].concat()
}

fn register(registration: &Registration) -> Vec<u8> {
    frame(&codec::encode(&(0u8, registration)).unwrap())
}

/// Reads until the other side has closed.
async fn closed(stream: &mut TcpStream) {
    let mut bytes = [0; 4096];
    while matches!(stream.read(&mut bytes).await, Ok(1..)) {}
}
