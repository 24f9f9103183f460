//! A relay on the loopback interface that can cut what goes through it.

use parking_lot::Mutex;
use socket2::SockRef;
use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

/// Relays connections to one address until it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    live: Arc<Mutex<Vec<[TcpStream; 2]>>>,
}

impl Proxy {
    pub(crate) fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let live = Arc::new(Mutex::new(Vec::new()));
        let (all, alive) = (Arc::clone(&live), Arc::downgrade(&live));
        drop(all);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Some(live) = alive.upgrade() else { return };
                let Ok(server) = TcpStream::connect(target) else { continue };
                for socket in [&client, &server] {
                    socket.set_nodelay(true).unwrap();
                }
                let pair = [client, server];
                for (from, to) in [(0, 1), (1, 0)] {
                    let (from, to) =
                        (pair[from].try_clone().unwrap(), pair[to].try_clone().unwrap());
                    thread::spawn(move || relay(from, to));
                }
                live.lock().push(pair);
            }
        });
        Self { address, live }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resets all connections: what is in them is lost. How many there were.
    pub(crate) fn cut(&self) -> usize {
        let cut: Vec<_> = self.live.lock().drain(..).collect();
        for socket in cut.iter().flatten() {
            let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
            let _ = socket.shutdown(Shutdown::Both);
        }
        cut.len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        // The listener looks up only when somebody comes.
        let _ = TcpStream::connect(self.address);
    }
}

fn relay(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(bytes @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..bytes]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
