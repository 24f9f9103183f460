//! Relayed connections of the server: waiting for the second, and moving bytes.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{oneshot, watch},
    time::{Instant, sleep_until, timeout},
};
use tracing::debug;

use super::{super::floor::Shared, Entry, Hello, JOINED, PATIENCE};

/// Bytes that a relay holds, each way.
const BUFFER: usize = 64 << 10;
/// After so much silence the kernel asks whether the other side is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// A connection's place in a relay.
#[derive(Debug)]
pub(in super::super) enum Relayed {
    /// The first; the second arrives here.
    First(Place, oneshot::Receiver<TcpStream>),
    /// The second, and the way to the first.
    Second(Way),
}

/// The way from the second connection's task to the first's.
pub(in super::super) type Way = oneshot::Sender<TcpStream>;

/// Finds the place of a connection.
pub(in super::super) fn enter(shared: &Arc<Shared>, hello: Hello) -> Result<Relayed, String> {
    let (way, arrival) = oneshot::channel();
    let entry = shared.floor.lock().relay(hello, way)?;
    Ok(match entry {
        Entry::First(number) => {
            Relayed::First(Place { shared: Arc::clone(shared), hello, number }, arrival)
        }
        Entry::Second(way) => Relayed::Second(way),
    })
}

/// Serves a connection whose handshake is over and whose place in the table is known.
pub(in super::super) async fn serve(
    shared: &Shared,
    mut own: TcpStream,
    hello: Hello,
    place: Relayed,
    mut closing: watch::Receiver<bool>,
) {
    let Hello { epoch, process, peer, .. } = hello;
    let (_place, arrival) = match place {
        // The first one's task goes on with both.
        Relayed::Second(way) => return drop(way.send(own)),
        Relayed::First(place, arrival) => (place, arrival),
    };
    let mut nothing = [0];
    let other = tokio::select! {
        other = timeout(PATIENCE, arrival) => other,
        // Has nothing to say before; this is its end.
        _ = own.peek(&mut nothing) => return,
        _ = closing.wait_for(|closing| *closing) => return,
    };
    let Ok(Ok(mut other)) = other else {
        return debug!(epoch, process, peer, "nobody came for a relay");
    };
    debug!(epoch, process, peer, "two processes are relayed");
    let moved = &shared.counts.relayed;
    tokio::select! {
        end = splice(&mut own, &mut other, shared.options.relay_idle, moved) => {
            debug!(epoch, process, peer, ?end, "a relay has ended");
        }
        _ = closing.wait_for(|closing| *closing) => {}
    }
}

/// A place in the table, given back whatever ends the relay.
#[derive(Debug)]
pub(in super::super) struct Place {
    shared: Arc<Shared>,
    hello: Hello,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.floor.lock().relays.end(&self.hello, self.number);
    }
}

/// Moves bytes both ways until both sides have ended, one breaks, or nothing moves for `idle`.
async fn splice(
    one: &mut TcpStream,
    two: &mut TcpStream,
    idle: Duration,
    moved: &AtomicU64,
) -> io::Result<()> {
    for stream in [&mut *one, &mut *two] {
        stream.set_nodelay(true)?;
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 3);
        SockRef::from(&*stream).set_tcp_keepalive(&keepalive)?;
        stream.write_all(&[JOINED]).await?;
    }
    let start = Instant::now();
    let latest = AtomicU64::new(0);
    let stir = |bytes: usize| {
        moved.fetch_add(bytes as u64, Ordering::Relaxed);
        latest.store(start.elapsed().as_millis() as u64, Ordering::Relaxed);
    };
    let ((from_one, to_one), (from_two, to_two)) = (one.split(), two.split());
    let both = async {
        tokio::try_join!(pump(from_one, to_two, &stir), pump(from_two, to_one, &stir)).map(|_| ())
    };
    let quiet = async {
        loop {
            let since = start + Duration::from_millis(latest.load(Ordering::Relaxed));
            if since.elapsed() >= idle {
                return;
            }
            sleep_until(since + idle).await;
        }
    };
    tokio::select! {
        end = both => end,
        () = quiet => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Moves bytes one way until the end of the stream, and passes that on.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    stir: &impl Fn(usize),
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER].into_boxed_slice();
    loop {
        let bytes = from.read(&mut buffer).await?;
        if bytes == 0 {
            return to.shutdown().await;
        }
        stir(bytes);
        to.write_all(&buffer[..bytes]).await?;
        stir(0);
    }
}
