//! A QUIC connection to another process.

use super::{
    hub::Hub,
    reader::{ReadError, Reader, Turn},
    writer::Writer,
};
use fmi_actors::{
    Node, Peer,
    channel::{Link, Room, Rung, Seat},
    frame::Frame,
    pair::Path,
};
use futures::{
    future::BoxFuture,
    task::{AtomicWaker, noop_waker_ref},
};
use parking_lot::Mutex;
use quinn::{Connection, ConnectionError, RecvStream, SendStream, VarInt, WriteError};
use std::{
    future::{Future, poll_fn},
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

/// Bytes after which a link lets others have their turn, and after which long frames let short
/// ones.
const TURN: usize = 2 << 20;
const LONG_TURN: usize = 256 << 10;
/// What a stream for long frames begins with, so that the other side knows of it.
const PREAMBLE: &[u8] = b"L";
/// How long we wait for the other side to notice that we know that it has closed.
const FAREWELL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct QuicLink {
    hub: Arc<Hub>,
    connection: Connection,
    rung: Rung,
    node: Weak<Node>,
    process: u32,
    writer: Mutex<Writer>,
    /// It is in use: what comes is read.
    open: AtomicBool,
    dead: AtomicBool,
    /// We close once the queue is written.
    closing: AtomicBool,
    /// Reads that brought something.
    moved: AtomicUsize,
    /// Of the task that reads and writes.
    task: OnceLock<Waker>,
    /// Woken at the end.
    drivers: [AtomicWaker; 2],
}

/// Why a link has ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("closed")]
    Closed,
    #[error("closed by the peer")]
    ByPeer,
    #[error("the peer does not take what is left")]
    Late,
    #[error("{0}")]
    Read(#[from] ReadError),
    #[error("{0}")]
    Write(#[from] WriteError),
}

impl QuicLink {
    /// A link over a connection whose first stream has begun it.
    pub(super) async fn begin(
        hub: &Arc<Hub>,
        (connection, rung): (Connection, Rung),
        (short, read_short): (SendStream, RecvStream),
        (node, process): (&Arc<Node>, u32),
    ) -> Result<Arc<Self>, WriteError> {
        let mut long = connection.open_uni().await?;
        long.write_all(PREAMBLE).await?;
        let link = Arc::new(Self {
            hub: Arc::clone(hub),
            connection,
            rung,
            node: Arc::downgrade(node),
            process,
            writer: Mutex::new(Writer::new(short, long)),
            open: AtomicBool::new(false),
            dead: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            moved: AtomicUsize::new(0),
            task: OnceLock::new(),
            drivers: Default::default(),
        });
        let life = Box::pin(live(Arc::clone(&link), read_short));
        let _ = link.task.set(hub.engine.spawn(life));
        Ok(link)
    }

    /// It is in use from now on.
    pub(super) fn open(&self) {
        self.open.store(true, Ordering::Release);
        self.call();
    }

    fn peer(&self) -> Option<(Arc<Node>, Arc<Peer>)> {
        let node = self.node.upgrade()?;
        let peer = node.peer(self.process)?;
        Some((node, peer))
    }

    /// Lets the task look.
    fn call(&self) {
        self.hub.engine.attend(|| self.task().wake_by_ref());
    }

    fn task(&self) -> &Waker {
        self.task.get().unwrap_or_else(|| noop_waker_ref())
    }

    fn kill(&self, why: &End) {
        self.dead.store(true, Ordering::Release);
        match why {
            _ if self.closing.load(Ordering::Acquire) => {
                tracing::debug!(process = self.process, %why, "link closed");
            }
            End::Closed | End::ByPeer => {
                tracing::debug!(process = self.process, %why, "link closed");
            }
            _ => tracing::info!(process = self.process, %why, "link lost"),
        }
        for driver in &self.drivers {
            driver.wake();
        }
    }

    /// Writes what is queued, as far as it goes.
    fn flush(&self, context: &mut Context<'_>) -> Result<(), WriteError> {
        let mut writer = self.writer.lock();
        let before = writer.room();
        writer.flush(context)?;
        let regained = before != Room::User && writer.room() == Room::User;
        drop(writer);
        if regained && let Some((_, peer)) = self.peer() {
            peer.writable();
        }
        Ok(())
    }
}

impl Link for QuicLink {
    fn channel(&self) -> &'static str {
        "quic"
    }

    fn rung(&self) -> Rung {
        self.rung
    }

    fn path(&self) -> Path {
        Path::STREAM
    }

    fn room(&self) -> Room {
        if self.dead.load(Ordering::Relaxed) { Room::None } else { self.writer.lock().room() }
    }

    fn send(&self, frame: Frame) {
        if self.dead.load(Ordering::Relaxed) {
            return;
        }
        self.hub.engine.attend(|| {
            let mut context = Context::from_waker(self.task());
            // A connection that takes nothing any more is found out by the task, which reads.
            let _ = self.writer.lock().send(frame, &mut context);
        });
    }

    fn progress(&self) -> bool {
        let before = self.moved.load(Ordering::Relaxed);
        self.hub.engine.attend(|| self.hub.socket.nudge());
        self.moved.load(Ordering::Relaxed) != before
    }

    fn drive(self: Arc<Self>, seat: Seat) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let _watch = self.hub.watch.here(seat);
            poll_fn(|context| {
                self.drivers[seat as usize].register(context.waker());
                match self.dead.load(Ordering::Acquire) {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            })
            .await;
        })
    }

    fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.open.store(true, Ordering::Release);
        self.call();
    }
}

/// Reads and writes, as a task of the engine, until the link is dead; then says farewell.
async fn live(link: Arc<QuicLink>, read_short: RecvStream) {
    let mut life = Life {
        link: Arc::clone(&link),
        short: Inbound { reader: Reader::new(link.process), stream: Some(read_short) },
        long: Inbound { reader: Reader::new(link.process), stream: None },
        arriving: None,
        goodbye: Goodbye::Unsaid,
        patience: None,
    };
    let why = poll_fn(|context| life.poll(context)).await;
    link.kill(&why);
    link.writer.lock().clear();
    if let Some((node, peer)) = link.peer() {
        life.short.reader.abort(&node, link.path());
        life.long.reader.abort(&node, link.path());
        let dead: Arc<dyn Link> = link.clone();
        peer.detach(&dead);
    }
    match why {
        End::ByPeer => {
            // It closes the connection when it has got this.
            drop(link.writer.lock().finish());
            let mut patience = link.hub.alarm.timer(Instant::now() + FAREWELL);
            let mut closed = Box::pin(link.connection.closed());
            poll_fn(|context| {
                match closed.as_mut().poll(context).is_ready() || patience.poll(context).is_ready()
                {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            })
            .await;
            link.connection.close(VarInt::from_u32(0), b"");
        }
        End::Closed | End::Late => link.connection.close(VarInt::from_u32(0), b""),
        End::Read(_) | End::Write(_) => link.connection.close(VarInt::from_u32(1), b"broken"),
    }
}

/// What only the task of a link has to do with.
struct Life {
    link: Arc<QuicLink>,
    short: Inbound,
    long: Inbound,
    /// The other side's stream for long frames.
    arriving: Option<BoxFuture<'static, Result<RecvStream, ConnectionError>>>,
    goodbye: Goodbye,
    /// How long closing may take.
    patience: Option<super::alarm::Timer>,
}

/// Whether we have said that no more will come.
enum Goodbye {
    Unsaid,
    /// The future waits until all that we sent is acknowledged.
    Said(BoxFuture<'static, ()>),
    Heard,
}

struct Inbound {
    reader: Reader,
    stream: Option<RecvStream>,
}

impl Life {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<End> {
        if !self.link.open.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        match self.step(context) {
            Ok(Some(end)) => Poll::Ready(end),
            Ok(None) => Poll::Pending,
            Err(end) => Poll::Ready(end),
        }
    }

    fn step(&mut self, context: &mut Context<'_>) -> Result<Option<End>, End> {
        let ended = self.read(context)?;
        let closing = self.link.closing.load(Ordering::Acquire);
        if ended && !closing {
            return Ok(Some(End::ByPeer));
        }
        self.link.flush(context)?;
        if !closing {
            return Ok(None);
        }
        if matches!(self.goodbye, Goodbye::Unsaid) {
            let mut writer = self.link.writer.lock();
            if writer.is_empty() {
                self.goodbye = Goodbye::Said(Box::pin(writer.finish()));
            }
        }
        if let Goodbye::Said(heard) = &mut self.goodbye
            && heard.as_mut().poll(context).is_ready()
        {
            self.goodbye = Goodbye::Heard;
        }
        if ended && matches!(self.goodbye, Goodbye::Heard) {
            return Ok(Some(End::Closed));
        }
        let patience = self.patience.get_or_insert_with(|| {
            let silent = self.link.node.upgrade().map_or(FAREWELL, |node| node.settings().silent);
            self.link.hub.alarm.timer(Instant::now() + silent)
        });
        Ok(patience.poll(context).is_ready().then_some(End::Late))
    }

    /// Reads for a turn; true if nothing more will come.
    fn read(&mut self, context: &mut Context<'_>) -> Result<bool, End> {
        let node = self.link.node.upgrade().ok_or(ReadError::Gone)?;
        let to = (&*node, self.link.path());
        for _ in 0..TURN / LONG_TURN {
            let (moved, short) = self.short.read(TURN, to, context)?;
            if self.long.stream.is_none() {
                self.find_long(context)?;
            }
            let (long_moved, long) = self.long.read(LONG_TURN, to, context)?;
            if moved || long_moved {
                self.link.moved.fetch_add(1, Ordering::Relaxed);
            }
            match (short, long) {
                (Turn::End, Turn::End) => return Ok(true),
                (Turn::Over, _) | (_, Turn::Over) => {}
                _ => return Ok(false),
            }
        }
        // Others have their turn.
        context.waker().wake_by_ref();
        Ok(false)
    }

    fn find_long(&mut self, context: &mut Context<'_>) -> Result<(), End> {
        let connection = &self.link.connection;
        let arriving = self.arriving.get_or_insert_with(|| {
            let connection = connection.clone();
            Box::pin(async move {
                let mut stream = connection.accept_uni().await?;
                let mut preamble = [0; PREAMBLE.len()];
                // What it says does not matter, and an error comes again.
                let _ = stream.read_exact(&mut preamble).await;
                Ok(stream)
            })
        });
        if let Poll::Ready(stream) = arriving.as_mut().poll(context) {
            self.arriving = None;
            let lost = |error| ReadError::Stream(quinn::ReadError::ConnectionLost(error));
            self.long.stream = Some(stream.map_err(lost)?);
        }
        Ok(())
    }
}

impl Inbound {
    fn read(
        &mut self,
        limit: usize,
        to: (&Node, Path),
        context: &mut Context<'_>,
    ) -> Result<(bool, Turn), ReadError> {
        match &mut self.stream {
            Some(stream) => self.reader.read(stream, limit, to, context),
            None => Ok((false, Turn::Empty)),
        }
    }
}
