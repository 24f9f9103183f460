//! Channel `shm`: memory that two processes of one machine share.
//!
//! Each pair of processes has a *segment*: a file without a name (`segment.rs`) that one of them makes and
//! hands to the other over a Unix socket, once both have proved that they hold the job's token. So
//! nothing is left anywhere when a process is killed, nobody else can open it, and the size of
//! `/dev/shm` does not matter. In it there is a ring of bytes each way (`ring.rs`); frames go through it
//! as through any stream.
//!
//! Who is awake looks into the ring. Who sleeps has said so there, and whoever writes rings the bell: a
//! byte through the socket, which both sides keep. Its end is the end of the link, also when a
//! process is killed.
//!
//! A large payload is copied in and out at the same time by both sides, piece by piece, through a
//! ring that stays in a cache. That takes half the time of `process_vm_readv`, which pins page after
//! page, and needs no right to read another process's memory; see `docs/performance.md`.

mod begin;
mod link;
mod place;
mod ring;
mod segment;
mod traffic;

use crate::{
    greeting::SUPERSEDED,
    handshake::{HANDSHAKE_DEADLINE, Token},
};
use begin::Start;
use fmi_actors::{
    Error, Member, Node, Result,
    channel::{Channel, DialError, Rung, Way},
    service::Service,
};
use futures::future::{AbortHandle, abortable};
use parking_lot::Mutex;
use place::Place;
use std::{
    net::IpAddr,
    os::{linux::net::SocketAddrExt, unix::net::SocketAddr},
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::Semaphore,
};
use traffic::Traffic;

const NAME: &str = "shm";
/// Connections that may be in their handshake at once.
const UNKNOWN_PEERS: usize = 256;

/// The channel between processes of one machine.
#[derive(Debug)]
pub struct Shm {
    place: Place,
    start: Start,
    listener: Mutex<Option<std::os::unix::net::UnixListener>>,
    acceptor: Mutex<Option<AbortHandle>>,
}

impl Shm {
    /// Listens on a Unix socket of its own, which has no file.
    ///
    /// # Errors
    /// [`Error::System`] where memory cannot be shared: not on Linux, or a sandbox forbids it.
    pub fn bind(token: Token) -> Result<Self> {
        let place = Place::here().map_err(|reason| failed("share memory", &reason))?;
        // Asked before anybody is told that it is possible.
        segment::Segment::create(ring::LEAST).map_err(|reason| failed("share memory", &reason))?;
        let listener = SocketAddr::from_abstract_name(place.name())
            .and_then(|address| std::os::unix::net::UnixListener::bind_addr(&address))
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .map_err(|reason| failed("listen on a Unix socket", &reason))?;
        let (listener, acceptor) = (Mutex::new(Some(listener)), Mutex::default());
        let start = Start { token, traffic: Traffic::default() };
        Ok(Self { place, start, listener, acceptor })
    }
}

impl Channel for Shm {
    fn name(&self) -> &'static str {
        NAME
    }

    fn address(&self, _own: IpAddr) -> Option<String> {
        Some(self.place.to_string())
    }

    fn start(&self, node: &Arc<Node>) {
        let Some(listener) = self.listener.lock().take() else { return };
        let accept = accept_all(listener, Arc::downgrade(node), self.start.clone());
        let (accepting, abort) = abortable(accept);
        *self.acceptor.lock() = Some(abort);
        Service::get().spawn(async move {
            let _ = accepting.await;
        });
    }

    fn ways(&self, node: &Arc<Node>, to: &Member) -> Vec<Way> {
        let addresses = to.addresses.iter().filter(|(channel, _)| channel == NAME);
        let near = addresses.filter_map(|(_, address)| self.place.neighbour(address));
        near.map(|socket| {
            let (node, start, process) = (Arc::downgrade(node), self.start.clone(), to.process);
            Way {
                rung: Rung::Machine,
                name: NAME.to_owned(),
                after: Duration::ZERO,
                dial: Box::new(move |quality| {
                    let (node, start, socket) = (node.upgrade(), start.clone(), socket.clone());
                    Box::pin(async move {
                        let node = node.ok_or_else(|| DialError::soft("the process has ended"))?;
                        let stream = connect(&socket).await.map_err(DialError::soft)?;
                        begin::open(stream, &node, process, &start, quality).await
                    })
                }),
            }
        })
        .collect()
    }

    fn stop(&self) {
        self.listener.lock().take();
        if let Some(acceptor) = self.acceptor.lock().take() {
            acceptor.abort();
        }
    }
}

async fn accept_all(listener: std::os::unix::net::UnixListener, node: Weak<Node>, start: Start) {
    let listener = match UnixListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "cannot accept links through memory"),
    };
    let unknown = Arc::new(Semaphore::new(UNKNOWN_PEERS));
    loop {
        let Ok(permit) = Arc::clone(&unknown).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, most likely: others may close some.
                tracing::warn!(%error, "cannot accept a link through memory");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(node) = node.upgrade() else { return };
        let start = start.clone();
        actix_rt::spawn(async move {
            let _permit = permit;
            let greeted = begin::accept(stream, &node, &start);
            match tokio::time::timeout(HANDSHAKE_DEADLINE, greeted).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) if error.to_string().ends_with(SUPERSEDED) => {
                    tracing::debug!("both sides dialled");
                }
                // A way that is not needed any more is given up in mid-greeting.
                Ok(Err(error)) => tracing::debug!(%error, "dropped a connection"),
                Err(_) => tracing::warn!("dropped a connection that said nothing"),
            }
        });
    }
}

/// To the socket of this name.
async fn connect(name: &str) -> std::io::Result<UnixStream> {
    // A name that begins with a zero has no file.
    UnixStream::connect(format!("\0{name}")).await
}

fn failed(what: &'static str, reason: &dyn std::fmt::Display) -> Error {
    Error::System { what, reason: reason.to_string() }
}
