//! TCPunch's own rendezvous protocol, for programs that use that library: two clients that give
//! the same name learn each other's address.
//!
//! ```text
//! client                                     server
//!   name (at most 100 bytes, no end)   ->
//!                                      <-    its own address as seen here
//!                                      <-    the other's address, when that one has come; closed
//! ```
//!
//! An address is 8 bytes: IPv4, port (both in network order), two zeros. Nobody proves anything
//! here: who knows a name may pair under it. Described by the program in
//! <https://github.com/spcl/TCPunch>; this is another one.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr, SocketAddrV4},
    sync::Arc,
    time::Duration,
};

use fmi_actors::{Error, Result};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, oneshot},
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{debug, info, warn};

use super::server::listen;

/// Pairs up clients of TCPunch.
#[derive(Debug)]
pub struct TcPunch {
    listener: TcpListener,
    address: SocketAddr,
}

impl TcPunch {
    /// Listens on `address`, `HOST:PORT`.
    ///
    /// # Errors
    /// [`Error::Listen`] when the address is taken, not ours or no address.
    pub async fn bind(address: &str) -> Result<Self> {
        let failed = |error: io::Error| Error::Listen {
            address: address.to_owned(),
            reason: error.to_string(),
        };
        let listener = listen(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves for ever. Those who wait are closed when this is dropped.
    pub async fn run(self) {
        info!(address = %self.address, "pairing clients of TCPunch");
        let room = Arc::new(Semaphore::new(CLIENTS));
        let book = Arc::new(Mutex::new(Book::default()));
        let mut clients = JoinSet::new();
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            let accepted = tokio::select! {
                Some(_) = clients.join_next() => continue,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let book = Arc::clone(&book);
                    clients.spawn(async move {
                        let _permit = permit;
                        match serve(stream, peer, &book).await {
                            Ok(()) => debug!(%peer, "a client of TCPunch was paired"),
                            Err(error) => {
                                debug!(%peer, %error, "a client of TCPunch was not paired")
                            }
                        }
                    });
                }
                Err(error) => {
                    warn!(%error, "cannot accept a client of TCPunch");
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

/// Clients at once; more wait in the system's backlog.
const CLIENTS: usize = 4096;
/// Bytes of a name.
const NAME: usize = 100;
/// How long a client may take to say its name, and to take an answer.
const BRIEF: Duration = Duration::from_secs(5);
/// How long the first of two waits for the second.
const PATIENCE: Duration = Duration::from_secs(300);

/// Who waits, by name.
#[derive(Debug, Default)]
struct Book {
    waiting: HashMap<Vec<u8>, (SocketAddrV4, oneshot::Sender<SocketAddrV4>)>,
}

/// Where a client stands.
enum Turn {
    First(oneshot::Receiver<SocketAddrV4>),
    Second(SocketAddrV4),
}

impl Book {
    /// The next one of a name, from `own`.
    fn come(&mut self, name: Vec<u8>, own: SocketAddrV4) -> Turn {
        // One that has given up in this moment takes nothing any more.
        if let Some((other, way)) = self.waiting.remove(&name)
            && way.send(own).is_ok()
        {
            return Turn::Second(other);
        }
        let (way, arrival) = oneshot::channel();
        self.waiting.insert(name, (own, way));
        Turn::First(arrival)
    }

    /// The first one of a name has given up, and nobody has taken its place since.
    fn give_up(&mut self, name: &[u8], own: SocketAddrV4) {
        if self.waiting.get(name).is_some_and(|(first, _)| *first == own) {
            self.waiting.remove(name);
        }
    }
}

/// Takes a name out of the book, whatever ends the wait.
struct Waiting<'a> {
    book: &'a Mutex<Book>,
    name: Vec<u8>,
    own: SocketAddrV4,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.book.lock().give_up(&self.name, self.own);
    }
}

async fn serve(mut stream: TcpStream, peer: SocketAddr, book: &Mutex<Book>) -> io::Result<()> {
    let IpAddr::V4(ip) = peer.ip().to_canonical() else {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "TCPunch knows IPv4 alone"));
    };
    let own = SocketAddrV4::new(ip, peer.port());
    stream.set_nodelay(true)?;
    let mut bytes = [0; NAME];
    // Nothing marks a name's end; it comes in one piece.
    let length = timeout(BRIEF, stream.read(&mut bytes)).await??;
    let name = bytes[..length].split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
    if name.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "no name"));
    }
    timeout(BRIEF, stream.write_all(&told(own))).await??;
    let turn = book.lock().come(name.clone(), own);
    let other = match turn {
        Turn::Second(other) => other,
        Turn::First(arrival) => {
            let _waiting = Waiting { book, name, own };
            let mut more = [0];
            tokio::select! {
                arrived = timeout(PATIENCE, arrival) => {
                    arrived?.map_err(|_| io::Error::from(io::ErrorKind::ConnectionAborted))?
                }
                // It has nothing more to say: this is its end.
                read = stream.read(&mut more) => {
                    return Err(match read {
                        Ok(_) => io::ErrorKind::ConnectionAborted.into(),
                        Err(error) => error,
                    });
                }
            }
        }
    };
    timeout(BRIEF, stream.write_all(&told(other))).await??;
    timeout(BRIEF, stream.shutdown()).await?
}

fn told(address: SocketAddrV4) -> [u8; 8] {
    let [a, b, c, d] = address.ip().octets();
    let [high, low] = address.port().to_be_bytes();
    [a, b, c, d, high, low, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(port: u16) -> SocketAddrV4 {
        SocketAddrV4::new([192, 0, 2, 1].into(), port)
    }

    #[test]
    fn addresses_are_in_network_order() {
        assert_eq!(told(from(0x1234)), [192, 0, 2, 1, 0x12, 0x34, 0, 0]);
    }

    #[test]
    fn pairs_by_name_in_order_of_arrival() {
        let mut book = Book::default();
        let Turn::First(mut one) = book.come(b"a".to_vec(), from(1)) else {
            panic!("nobody is here")
        };
        let Turn::First(other) = book.come(b"b".to_vec(), from(2)) else { panic!("another name") };
        assert!(
            matches!(book.come(b"a".to_vec(), from(3)), Turn::Second(first) if first == from(1))
        );
        assert_eq!(one.try_recv(), Ok(from(3)));
        // One that is gone is nobody's partner.
        drop(other);
        assert!(matches!(book.come(b"b".to_vec(), from(4)), Turn::First(_)));
        book.give_up(b"b", from(2));
        assert_eq!(book.waiting.len(), 1);
        book.give_up(b"b", from(4));
        assert!(book.waiting.is_empty());
    }
}
