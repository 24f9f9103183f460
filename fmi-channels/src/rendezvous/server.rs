//! The rendezvous' server: one small task a connection around the [`Hall`].

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use fmi_actors::{Error, Result};
use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream, lookup_host},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use super::{
    counts::{Counts, count},
    floor::{Floor, Shared},
    hall::{Hall, Limits},
    mirror,
    monitor::Monitor,
    protocol, pulse,
    tls::Certificate,
    visit::serve,
};
use crate::handshake::{HANDSHAKE_DEADLINE, Token};

/// Limits and terms of a [`Server`].
#[derive(Debug, Clone)]
pub struct Options {
    /// Jobs at once.
    pub jobs: usize,
    /// Ranks of one job.
    pub ranks: u32,
    /// Processes of all jobs at once.
    pub processes: usize,
    /// Connections at once that have not registered yet. More wait in the system's backlog.
    pub unauthenticated: usize,
    /// How long a connection may take until it has registered.
    pub handshake: Duration,
    /// How long a process may be silent, or not read, before the others are told it is gone.
    pub silent: Duration,
    /// How long processes wait here for a job that does not become complete.
    pub incomplete: Duration,
    /// Connections from one address (IPv6: one network of 64 bits) at once, and how many more a
    /// second. All processes behind one address translation share it.
    pub per_address: (u32, u32),
    /// With it, processes must come over TLS.
    pub certificate: Option<Certificate>,
    /// Relayed links of one job at once. A pair of processes whose other ways take long has one, too,
    /// until a better link is there; one that is refused it may be lost.
    pub relays_per_job: usize,
    /// Relayed links of all jobs at once; each takes 128 KiB.
    pub relays: usize,
    /// Bytes a second that the relayed links of one job move, both ways together; what comes faster
    /// waits at its sender.
    pub relay_rate: u64,
    /// How long nothing may pass through a relay until it ends.
    pub relay_idle: Duration,
    /// The [mirrors](super::mirror) by which processes learn how they look from outside.
    pub mirrors: Mirrors,
}

/// Where a server has mirrors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mirrors {
    /// Nowhere: all processes are on one machine.
    Off,
    /// On its own port, and on one of those that follow it, or any.
    Near,
    /// On its own port and on this one.
    At(u16),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            jobs: 1024,
            ranks: 100_000,
            processes: 32_768,
            unauthenticated: 1024,
            handshake: HANDSHAKE_DEADLINE,
            silent: Duration::from_secs(10),
            incomplete: Duration::from_secs(3600),
            per_address: (32_768, 4096),
            certificate: None,
            relays_per_job: 1024,
            relays: 2048,
            relay_rate: 256 << 20,
            relay_idle: Duration::from_secs(15 * 60),
            mirrors: Mirrors::Near,
        }
    }
}

/// The place where the processes of a job find each other.
///
/// Needs a tokio runtime with time and net enabled, of either flavour. All futures are `Send`.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    mirrors: mirror::Mirrors,
    shared: Arc<Shared>,
}

impl Server {
    /// Listens on `address`: `HOST:PORT` or `tcp://HOST:PORT`; port 0 takes a free one.
    ///
    /// # Errors
    /// [`Error::Listen`] when the address is taken, not ours or no address.
    pub async fn bind(address: &str, token: Token, mut options: Options) -> Result<Self> {
        options.silent = pulse::term(options.silent);
        let failed = |reason: String| Error::Listen { address: address.to_owned(), reason };
        let listener = listen(address).await.map_err(|error| failed(error.to_string()))?;
        let local = listener.local_addr().map_err(|error| failed(error.to_string()))?;
        let mut seed = [0; 4];
        getrandom::fill(&mut seed).map_err(|error| failed(error.to_string()))?;
        let limits =
            Limits { jobs: options.jobs, ranks: options.ranks, processes: options.processes };
        let mirrors = match options.mirrors {
            Mirrors::Off => mirror::Mirrors::default(),
            Mirrors::Near => mirror::Mirrors::bind(local, None),
            Mirrors::At(port) => mirror::Mirrors::bind(local, Some(port)),
        };
        let ports =
            protocol::MirrorPorts { tcp: mirrors.stream_port(), udp: mirrors.datagram_ports() };
        let floor = Floor::new(Hall::new(limits, u32::from_le_bytes(seed)), &options);
        let shared =
            Shared { token, options, ports, counts: Counts::default(), floor: Mutex::new(floor) };
        Ok(Self { listener, address: local, mirrors, shared: Arc::new(shared) })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The port on which it mirrors TCP connections, if it does.
    pub fn mirror_port(&self) -> Option<u16> {
        self.shared.ports.tcp
    }

    /// Watches it, also when it runs.
    pub fn monitor(&self) -> Monitor {
        Monitor::new(&self.shared)
    }

    /// Serves until `shutdown` ends. Then what is already due is sent (for at most a second) and
    /// all connections are closed; the processes go on without a rendezvous.
    pub async fn run(self, shutdown: impl Future + Send) {
        let Self { listener, address, mirrors, shared } = self;
        info!(%address, "rendezvous listens");
        let unregistered = Arc::new(Semaphore::new(shared.options.unauthenticated.max(1)));
        let (close, closing) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut looks = JoinSet::new();
        if let Some(stream) = mirrors.stream {
            looks.spawn(mirror::streams(stream, Arc::clone(&shared)));
        }
        for datagram in mirrors.datagram {
            looks.spawn(mirror::datagrams(datagram, Arc::clone(&shared)));
        }
        // Dropped before the tasks are, also when this future is: their ends are then nobody's.
        let hush = Hush(&shared);
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                _ = &mut shutdown => break,
                Some(ended) = connections.join_next() => if let Err(error) = ended {
                    warn!(%error, "a connection's task failed");
                },
                (stream, peer, permit) = next(&listener, &unregistered) => {
                    count(&shared.counts.connections, 1);
                    if !shared.floor.lock().crowd.admit(peer.ip(), Instant::now()) {
                        count(&shared.counts.crowded, 1);
                        continue;
                    }
                    let (shared, closing) = (shared.clone(), closing.clone());
                    connections.spawn(serve(shared, stream, peer, permit, closing));
                }
            }
        }
        drop((listener, looks));
        drop(hush);
        close.send_replace(true);
        let _ =
            timeout(FLUSH * 2, async { while connections.join_next().await.is_some() {} }).await;
        connections.shutdown().await;
        info!(%address, "rendezvous has ended");
    }
}

/// How long what is due may take to be sent at the end of a connection.
pub(super) const FLUSH: Duration = Duration::from_secs(1);

/// Closes the hall when `run` ends or is dropped.
struct Hush<'a>(&'a Shared);

impl Drop for Hush<'_> {
    fn drop(&mut self) {
        self.0.floor.lock().hall.close();
    }
}

pub(super) async fn listen(address: &str) -> io::Result<TcpListener> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in lookup_host(address.strip_prefix("tcp://").unwrap_or(address)).await? {
        let bound = (|| {
            let socket = match address {
                SocketAddr::V4(_) => TcpSocket::new_v4(),
                SocketAddr::V6(_) => TcpSocket::new_v6(),
            }?;
            // So that a rendezvous can be started anew at once; a live one still holds its port.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            // Thousands of processes come at once; those above the limit wait here.
            socket.listen(4096)
        })();
        match bound {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The next connection, when there is room for one more that has not registered.
async fn next(
    listener: &TcpListener,
    unregistered: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    loop {
        let Ok(permit) = unregistered.clone().acquire_owned().await else {
            return std::future::pending().await; // Never: nobody closes the semaphore.
        };
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, permit),
            Err(error) => {
                // Mostly out of file descriptors: trying at once would only burn the processor.
                warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
