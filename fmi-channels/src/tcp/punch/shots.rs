//! Connects that are under way.

use crate::{dial, punch::Shot};
use fmi_actors::clock::{Clock, SystemClock, Time};
use socket2::{SockRef, Socket};
use std::{
    collections::HashMap,
    io,
    mem::size_of,
    net::SocketAddr,
    os::fd::AsRawFd,
    task::{Context, Poll},
    thread,
    time::Duration,
};
use tokio::{net::TcpStream, sync::mpsc};

/// A connection that is half-way open is not given up for a new shot before that.
const HALF_WAY: Duration = Duration::from_millis(250);
/// A thread that sleeps may wake this much too late.
const SLEEPY: Duration = Duration::from_micros(400);
/// Shots that may be under way at once.
const MAX_SHOTS: usize = 64;

/// Local port, and where to.
pub(super) type Lane = (u16, SocketAddr);

/// A shot that has left, with its socket or why there is none.
pub(super) type Fired = (Lane, io::Result<Socket>);

/// The connects of one attempt.
#[derive(Debug)]
pub(super) struct Shots {
    /// The port that the channel listens on.
    home: u16,
    flying: HashMap<Lane, Flying>,
    /// Ports that were reserved.
    pub(super) spares: HashMap<u16, Socket>,
}

#[derive(Debug)]
struct Flying {
    stream: TcpStream,
    since: Time,
}

/// What came of a shot.
#[derive(Debug)]
pub(super) enum Landed {
    Connected(TcpStream),
    Refused,
    /// It has not left: this system remembers the last connection between the two ports, for a
    /// minute (TIME_WAIT), or there is one.
    Taken,
    /// Something else went wrong; the schedule goes on.
    Lost,
}

impl Shots {
    /// None yet, for a channel that listens on this port.
    pub(super) fn new(home: u16) -> Self {
        Self { home, flying: HashMap::new(), spares: HashMap::new() }
    }

    /// Fires now. A shot that was under way from there to there is given up.
    pub(super) fn fire(&mut self, shot: Shot) -> Option<(Lane, Landed)> {
        let lane = (shot.port, shot.to);
        let now = SystemClock.now();
        if let Some(flying) = self.flying.get(&lane)
            && now.since(flying.since) < HALF_WAY
            && is_half_way(&flying.stream)
        {
            return None;
        }
        // Its port must be free before it can be had again.
        self.flying.remove(&lane);
        let fired = self.prepare(shot).into_fired();
        self.watch(fired)
    }

    /// Fires each at its time, on a thread that may wait for it, and sends what comes of it.
    pub(super) fn volley(&mut self, shots: Vec<Shot>, fired: mpsc::Sender<Fired>) {
        let mut ready: Vec<_> =
            shots.into_iter().map(|shot| (shot.at, self.prepare(shot))).collect();
        ready.sort_by_key(|(at, _)| *at);
        tokio::task::spawn_blocking(move || {
            for (at, prepared) in ready {
                wait_until(at);
                // Nobody listens: the attempt is over.
                if fired.try_send(prepared.into_fired()).is_err() {
                    return;
                }
            }
        });
    }

    fn prepare(&mut self, shot: Shot) -> Prepared {
        let socket = match self.spares.remove(&shot.port) {
            Some(socket) => Ok(socket),
            None => dial::bound(shot.to, Some(shot.port), Some(self.home)),
        };
        Prepared { lane: (shot.port, shot.to), hops: shot.hops, socket }
    }

    /// Takes a shot of a volley into its care.
    pub(super) fn watch(&mut self, (lane, fired): Fired) -> Option<(Lane, Landed)> {
        let stream = fired.and_then(|socket| TcpStream::from_std(socket.into()));
        match stream {
            Ok(stream) if self.flying.len() < MAX_SHOTS => {
                self.flying.insert(lane, Flying { stream, since: SystemClock.now() });
                None
            }
            Ok(_) => Some((lane, Landed::Lost)),
            Err(error) => Some((lane, landed(&error))),
        }
    }

    /// The next shot that has come to something.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<(Lane, Landed)> {
        let over = self.flying.iter().find_map(|(lane, flying)| {
            let Poll::Ready(ready) = flying.stream.poll_write_ready(context) else { return None };
            let error = ready.and_then(|()| flying.stream.take_error()).unwrap_or_else(Some);
            Some((*lane, error))
        });
        let Some((lane, error)) = over else { return Poll::Pending };
        let stream = self.flying.remove(&lane).map(|flying| flying.stream);
        Poll::Ready((
            lane,
            match (error, stream) {
                (None, Some(stream)) => Landed::Connected(stream),
                (Some(error), _) => landed(&error),
                (None, None) => Landed::Lost,
            },
        ))
    }

    /// Gives up what is under way.
    pub(super) fn clear(&mut self) {
        self.flying.clear();
        self.spares.clear();
    }
}

/// A socket that has only to be connected.
struct Prepared {
    lane: Lane,
    hops: Option<u8>,
    socket: io::Result<Socket>,
}

impl Prepared {
    fn into_fired(self) -> Fired {
        let socket = self.socket.and_then(|socket| {
            if let Some(hops) = self.hops {
                shorten(&socket, hops)?;
            }
            match socket.connect(&self.lane.1.into()) {
                Ok(()) => {}
                Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
                Err(error) => return Err(error),
            }
            if self.hops.is_some() {
                // What comes next is to arrive; -1 is what the system takes for others.
                socket.set_ttl_v4(u32::MAX)?;
            }
            Ok(socket)
        });
        (self.lane, socket)
    }
}

/// What this socket sends gets only so far, and the news that it does not arrive is not for it.
fn shorten(socket: &Socket, hops: u8) -> io::Result<()> {
    socket.set_ttl_v4(hops.into())?;
    // Such news quotes a packet whose hops are used up. What arrives has not used up its own.
    let least: libc::c_int = 2;
    // SAFETY: the kernel reads an integer from there.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_MINTTL,
            (&raw const least).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn landed(error: &io::Error) -> Landed {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Landed::Refused,
        io::ErrorKind::AddrNotAvailable => Landed::Taken,
        _ => Landed::Lost,
    }
}

/// Sleeps as long as it is safe, then turns round and round: for less than a millisecond.
fn wait_until(at: Time) {
    loop {
        let left = at.since(SystemClock.now());
        if left.is_zero() {
            return;
        }
        if left > 2 * SLEEPY {
            thread::sleep(left - SLEEPY);
        } else {
            std::hint::spin_loop();
        }
    }
}

/// Whether the other side's shot has come in already, so that the connection will stand soon.
fn is_half_way(stream: &TcpStream) -> bool {
    const ESTABLISHED: u8 = 1;
    const SYN_RECV: u8 = 3;
    let socket = SockRef::from(stream);
    // SAFETY: zeros are a valid value of a struct of integers.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes there.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    };
    result == 0 && [ESTABLISHED, SYN_RECV].contains(&info.tcpi_state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::poll_fn, net::TcpListener};

    #[tokio::test]
    async fn a_shot_between_two_ports_that_are_joined_does_not_leave() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let spare = dial::bound(to, Some(0), None).unwrap();
        let port = spare.local_addr().unwrap().as_socket().unwrap().port();
        let mut shots = Shots::new(port);
        shots.spares.insert(port, spare);
        let shot = Shot { port, to, at: SystemClock.now(), hops: None };
        assert!(shots.fire(shot).is_none());
        let (lane, landed) = poll_fn(|context| shots.poll(context)).await;
        assert_eq!(lane, (port, to));
        let Landed::Connected(stream) = landed else { panic!("{landed:?}") };
        assert_eq!(stream.local_addr().unwrap().port(), port);
        let again = shots.fire(shot);
        assert!(matches!(again, Some((_, Landed::Taken))), "{again:?}");
        // Nobody listens there: that is another answer.
        drop((listener, stream));
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let landed = match shots.fire(Shot { to: nobody, ..shot }) {
            Some((_, landed)) => landed,
            None => poll_fn(|context| shots.poll(context)).await.1,
        };
        assert!(matches!(landed, Landed::Refused), "{landed:?}");
    }
}
