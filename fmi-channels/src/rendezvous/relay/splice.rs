//! Relayed connections of the server: waiting for the second, and moving bytes.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::{oneshot, watch},
    time::{Instant, sleep, sleep_until, timeout},
};
use tracing::debug;

use super::{
    super::{
        counts::{Counts, count},
        floor::Shared,
    },
    Entry, Hello, JOINED, PATIENCE,
    pace::Pace,
};

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
    let pace = shared.floor.lock().relays.pace(epoch);
    let terms = Terms { idle: shared.options.relay_idle, pace: &pace, counts: &shared.counts };
    tokio::select! {
        end = splice(&mut own, &mut other, &terms) => {
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

/// How bytes are moved.
struct Terms<'s> {
    /// A relay on which nothing moves for so long ends.
    idle: Duration,
    pace: &'s Mutex<Pace>,
    counts: &'s Counts,
}

/// Moves bytes both ways until both sides have ended, one breaks, or nothing moves.
async fn splice(one: &mut TcpStream, two: &mut TcpStream, terms: &Terms<'_>) -> io::Result<()> {
    for stream in [&mut *one, &mut *two] {
        stream.set_nodelay(true)?;
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 3);
        SockRef::from(&*stream).set_tcp_keepalive(&keepalive)?;
        stream.write_all(&[JOINED]).await?;
    }
    let start = Instant::now();
    let latest = AtomicU64::new(0);
    let idle = terms.idle;
    let stir = || {
        latest.store(start.elapsed().as_millis() as u64, Ordering::Relaxed);
    };
    let ((from_one, to_one), (from_two, to_two)) = (one.split(), two.split());
    let both = async {
        let (there, back) =
            (pump(from_one, to_two, terms, &stir), pump(from_two, to_one, terms, &stir));
        tokio::try_join!(there, back).map(drop)
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

/// Moves bytes one way until the end of the stream, and passes that on. Reads no more before its
/// turn: who sends is held up by its own connection.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    terms: &Terms<'_>,
    stir: &impl Fn(),
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER].into_boxed_slice();
    loop {
        let bytes = from.read(&mut buffer).await?;
        if bytes == 0 {
            return to.shutdown().await;
        }
        stir();
        let wait = terms.pace.lock().turn(bytes, Instant::now().into_std());
        if !wait.is_zero() {
            count(&terms.counts.held, bytes);
            sleep(wait).await;
        }
        to.write_all(&buffer[..bytes]).await?;
        count(&terms.counts.relayed, bytes);
        stir();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use futures::future::join_all;
    use tokio::io::{duplex, repeat, sink};

    use super::*;

    const RATE: u64 = 10 << 20;

    /// Relays of one job that all have more to say than may be moved; time passes as it is waited
    /// for. What each moves in so many seconds, and how often it was moved.
    async fn moved(relays: usize, seconds: u64) -> (Vec<u64>, Counts) {
        let (pace, counts) = (Mutex::new(Pace::new(RATE)), Counts::default());
        let terms = Terms { idle: Duration::MAX, pace: &pace, counts: &counts };
        let steps: Vec<_> = (0..relays).map(|_| AtomicUsize::new(0)).collect();
        let pumps = steps.iter().map(|steps| {
            let stir = || _ = steps.fetch_add(1, Ordering::Relaxed);
            let terms = &terms;
            async move { pump(repeat(7), sink(), terms, &stir).await }
        });
        let ended = timeout(Duration::from_secs(seconds), join_all(pumps)).await;
        assert!(ended.is_err(), "none of them ends");
        // Two for each buffer.
        let each = steps.iter().map(|steps| (steps.load(Ordering::Relaxed) / 2 * BUFFER) as u64);
        (each.collect(), counts)
    }

    #[tokio::test(start_paused = true)]
    async fn relays_of_a_job_share_its_rate() {
        let (each, counts) = moved(8, 10).await;
        let all = counts.relayed.load(Ordering::Relaxed);
        assert_eq!(each.iter().sum::<u64>(), all);
        assert!((95 << 20..=103 << 20).contains(&all), "{all}");
        let (least, most) = (each.iter().min().unwrap(), each.iter().max().unwrap());
        assert!(most - least <= RATE / 2, "{each:?}");
        assert!(counts.held.load(Ordering::Relaxed) > all / 2);
    }

    /// What may not move is not read: it stays with who sends it.
    #[tokio::test(start_paused = true)]
    async fn who_sends_too_fast_is_held_up() {
        let (pace, counts) = (Mutex::new(Pace::new(1)), Counts::default());
        let terms = Terms { idle: Duration::MAX, pace: &pace, counts: &counts };
        let (mut sender, from) = duplex(1000);
        let taken = AtomicUsize::new(0);
        let send = async {
            loop {
                sender.write_all(&[7; 10]).await.unwrap();
                taken.fetch_add(10, Ordering::Relaxed);
            }
        };
        let both = async { tokio::join!(pump(from, sink(), &terms, &|| {}), send) };
        assert!(timeout(Duration::from_secs(9), both).await.is_err());
        // What the pipe holds, and the pump once.
        assert!(taken.load(Ordering::Relaxed) <= 2000, "{taken:?}");
    }
}
