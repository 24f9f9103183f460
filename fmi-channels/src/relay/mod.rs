//! Channel `relay`: links through the rendezvous server, for processes that nothing else joins.
//!
//! Who wants such a link makes a ticket, tells the other process by a note, and goes with it to
//! the rendezvous; the other does so, too, and the server joins the two connections. What runs on
//! the stream is a TCP link with TLS, so the server sees who talks to whom, when and how much, and
//! nothing else. As the kernel watches over one's own half of the way only, both sides say now and
//! then that they live.

use crate::{
    handshake::{HANDSHAKE_DEADLINE, Token},
    identity::Identity,
    outside::Outside,
    rendezvous::relay::{self, Ticket},
    tcp::{
        Protection,
        begin::{self, Terms},
    },
};
use fmi_actors::{
    Member, Node,
    channel::{Channel, DialError, Rung, Way},
};
use parking_lot::Mutex;
use std::{
    collections::HashSet,
    net::IpAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::net::TcpStream;

/// The name of the channel.
const NAME: &str = "relay";
/// The address that processes are listed with: they can be called through the rendezvous.
const ADDRESS: &str = "rendezvous";
/// Better ways get this start.
const AFTER: Duration = Duration::from_millis(500);
/// A note that may have got lost is sent again.
const AGAIN: Duration = Duration::from_secs(1);
/// Calls of others that may be answered at once.
const CALLS: usize = 256;

/// The relay channel of a process.
#[derive(Debug)]
pub struct Relay {
    terms: Terms,
    outside: OnceLock<Outside>,
    /// Tickets of others that are being used.
    calls: Arc<Mutex<HashSet<(u32, Ticket)>>>,
    stopped: AtomicBool,
}

impl Relay {
    /// For a process with this certificate. It can be called as soon as it [knows](Self::outside)
    /// the rendezvous.
    #[must_use]
    pub fn new(token: Token, identity: Arc<Identity>) -> Self {
        let protection = Protection::Tls(identity);
        Self {
            terms: Terms { channel: NAME, rung: Rung::Relay, token, protection },
            outside: OnceLock::new(),
            calls: Arc::default(),
            stopped: AtomicBool::new(false),
        }
    }

    /// Says where the rendezvous is. Counts once.
    pub fn outside(&self, outside: Outside) {
        let _ = self.outside.set(outside);
    }
}

impl Channel for Relay {
    fn name(&self) -> &'static str {
        NAME
    }

    fn address(&self, _: IpAddr) -> Option<String> {
        Some(ADDRESS.to_owned())
    }

    fn start(&self, _: &Arc<Node>) {}

    fn ways(&self, node: &Arc<Node>, to: &Member) -> Vec<Way> {
        let listed = to.addresses.iter().any(|(channel, _)| channel == NAME);
        let Some(outside) = self.outside.get().filter(|_| listed && node.has_post()) else {
            return Vec::new();
        };
        let (node, process) = (Arc::downgrade(node), to.process);
        let (terms, outside) = (self.terms.clone(), outside.clone());
        let dial = move |quality| {
            let (node, terms, outside) = (node.clone(), terms.clone(), outside.clone());
            let dialled = async move {
                let node =
                    node.upgrade().ok_or_else(|| DialError::soft("the process has ended"))?;
                let stream = call(&node, process, &outside).await?;
                let at = format!("process {process} through the relay");
                begin::open(stream, &node, process, &terms, quality, &at).await
            };
            Box::pin(dialled) as _
        };
        vec![Way { rung: Rung::Relay, name: NAME.to_owned(), after: AFTER, dial: Box::new(dial) }]
    }

    /// Another process calls.
    fn told(&self, node: &Arc<Node>, from: u32, note: &[u8]) {
        let Some(outside) = self.outside.get().cloned() else { return };
        let Ok(ticket) = Ticket::try_from(note) else {
            return tracing::debug!(from, "no ticket for the relay");
        };
        if self.stopped.load(Ordering::Acquire) || node.quality(NAME, Rung::Relay).is_none() {
            return;
        }
        {
            let mut calls = self.calls.lock();
            // Too many: who calls asks again.
            if calls.len() >= CALLS || !calls.insert((from, ticket)) {
                return;
            }
        }
        let (node, terms) = (Arc::downgrade(node), self.terms.clone());
        let calls = Arc::clone(&self.calls);
        actix_rt::spawn(async move {
            let answered = async {
                let (own, epoch) = match node.upgrade() {
                    Some(node) => (node.process(), node.epoch()),
                    None => return Ok(()),
                };
                let stream = relay::join(&outside, epoch, own, from, ticket).await;
                let stream = stream.map_err(|error| error.to_string())?;
                let Some(node) = node.upgrade() else { return Ok(()) };
                let at = format!("process {from} through the relay");
                let begun = begin::accept(stream, &node, &terms, &at);
                match tokio::time::timeout(HANDSHAKE_DEADLINE, begun).await {
                    Ok(begun) => begun.map_err(|error| error.to_string()),
                    Err(_) => Err("it stopped answering".to_owned()),
                }
            };
            if let Err(error) = answered.await {
                tracing::debug!(from, %error, "a call through the relay came to nothing");
            }
            calls.lock().remove(&(from, ticket));
        });
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }
}

/// A stream to another process, on which nothing has been said.
async fn call(node: &Arc<Node>, process: u32, outside: &Outside) -> Result<TcpStream, DialError> {
    let ticket = relay::ticket().map_err(DialError::soft)?;
    let ring = async {
        loop {
            node.tell(process, NAME, ticket.to_vec());
            tokio::time::sleep(AGAIN).await;
        }
    };
    tokio::select! {
        joined = relay::join(outside, node.epoch(), node.process(), process, ticket) => {
            joined.map_err(DialError::soft)
        }
        () = ring => Err(DialError::soft("nobody answers")),
    }
}
