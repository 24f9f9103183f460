//! A relay on the loopback interface that does harm to what goes through it: it can cut, hold back,
//! flip a bit, and listen.
#![allow(dead_code, reason = "each test needs some of it")]

use parking_lot::{Condvar, Mutex};
use socket2::SockRef;
use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Weak},
    thread,
    time::Duration,
};

/// Bytes that are remembered.
const HEARD: usize = 4 << 20;

/// Relays connections to one address until it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    live: Mutex<Vec<[TcpStream; 2]>>,
    rules: Mutex<Rules>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Rules {
    held: bool,
    over: bool,
    /// A bit is flipped after so many bytes more.
    flip: Option<usize>,
    /// Bits that were flipped.
    flips: usize,
    /// What came from those who dialled, and what was answered.
    heard: [Vec<u8>; 2],
}

impl Proxy {
    pub(crate) fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let weak = Arc::downgrade(&state);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Some(state) = weak.upgrade() else { return };
                let Ok(server) = TcpStream::connect(target) else { continue };
                for socket in [&client, &server] {
                    socket.set_nodelay(true).unwrap();
                }
                let pair = [client, server];
                let ends = [(0, 1), (1, 0)].map(|(from, to)| {
                    (from, pair[from].try_clone().unwrap(), pair[to].try_clone().unwrap())
                });
                // Before anything goes through: what was heard can be cut.
                state.live.lock().push(pair);
                for (from_side, from, to) in ends {
                    let weak = Weak::clone(&weak);
                    thread::spawn(move || relay((from_side, from), to, &weak));
                }
            }
        });
        Self { address, state }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resets all connections: what is in them is lost. How many there were.
    pub(crate) fn cut(&self) -> usize {
        let cut: Vec<_> = self.state.live.lock().drain(..).collect();
        for socket in cut.iter().flatten() {
            let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
            let _ = socket.shutdown(Shutdown::Both);
        }
        cut.len()
    }

    /// Lets nothing through any more, or what was held back and all that follows. Connections come
    /// about as before.
    pub(crate) fn hold(&self, held: bool) {
        self.state.rules.lock().held = held;
        self.state.changed.notify_all();
    }

    /// Flips a bit of what goes through, after so many bytes.
    pub(crate) fn flip(&self, after: usize) {
        self.state.rules.lock().flip = Some(after);
    }

    /// How many bits were flipped.
    pub(crate) fn flips(&self) -> usize {
        self.state.rules.lock().flips
    }

    /// What went through so far: from those who dialled, and to them.
    pub(crate) fn heard(&self) -> [Vec<u8>; 2] {
        self.state.rules.lock().heard.clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.rules.lock().over = true;
        self.state.changed.notify_all();
        self.cut();
        // The listener looks up only when somebody comes.
        let _ = TcpStream::connect(self.address);
    }
}

fn relay((side, mut from): (usize, TcpStream), mut to: TcpStream, state: &Weak<State>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(bytes @ 1..) = from.read(&mut buffer) {
        let Some(state) = state.upgrade() else { break };
        let bytes = &mut buffer[..bytes];
        {
            let mut rules = state.rules.lock();
            while rules.held && !rules.over {
                state.changed.wait(&mut rules);
            }
            if rules.over {
                break;
            }
            rules.flip = match rules.flip {
                Some(after) if after < bytes.len() => {
                    bytes[after] ^= 0x10;
                    rules.flips += 1;
                    None
                }
                after => after.map(|after| after - bytes.len()),
            };
            let room = (HEARD - rules.heard[side].len()).min(bytes.len());
            rules.heard[side].extend_from_slice(&bytes[..room]);
        }
        drop(state);
        if to.write_all(bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
