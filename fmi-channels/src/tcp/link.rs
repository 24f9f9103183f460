//! A TCP connection to another process.

use super::stream::Stream;
use crate::{
    events::watch,
    framing::{ByteStream, ReadError, Reader, Turn, Writer},
};
use fmi_actors::{
    Node, Peer,
    channel::{Link, Room, Rung, Seat},
    frame::Frame,
    pair::Path,
};
use futures::{future::BoxFuture, task::AtomicWaker};
use parking_lot::Mutex;
use std::{
    io,
    net::Shutdown,
    os::fd::OwnedFd,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};
use tokio::io::{Interest, unix::AsyncFd};

/// Long pieces: the kernel copies, sends and acknowledges 1 MiB of one call in half the time of four calls.
const PATH: Path = Path { chunk: 1 << 20, ..Path::STREAM };

#[derive(Debug)]
pub(super) struct TcpLink {
    stream: Stream,
    channel: &'static str,
    rung: Rung,
    node: Weak<Node>,
    process: u32,
    reader: Mutex<Reader>,
    writer: Mutex<Writer>,
    dead: AtomicBool,
    /// Nothing can be written any more. What the peer said last may still be read.
    mute: AtomicBool,
    /// We close once the queue is written.
    closing: AtomicBool,
    /// A read ended before the socket was empty.
    unread: AtomicBool,
    /// Woken when there is something to write, and at the end.
    drivers: [AtomicWaker; 2],
}

impl TcpLink {
    /// A link of a channel to a process. If it is `checked`, all frames carry sums.
    pub(super) fn new(
        stream: Stream,
        (channel, rung): (&'static str, Rung),
        checked: bool,
        node: &Arc<Node>,
        process: u32,
    ) -> Arc<Self> {
        // The beginning of a TLS link may have read more than its own, of which no event tells.
        let unread = matches!(stream, Stream::Tls(_));
        let reader = Reader::new(process, checked, stream.heard().is_some());
        Arc::new(Self {
            stream,
            channel,
            rung,
            node: Arc::downgrade(node),
            process,
            reader: Mutex::new(reader),
            writer: Mutex::new(Writer::new(checked)),
            dead: AtomicBool::new(false),
            mute: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            unread: AtomicBool::new(unread),
            drivers: Default::default(),
        })
    }

    /// Grows while something comes; nothing if the kernel listens for it.
    pub(super) fn heard(&self) -> Option<u64> {
        self.stream.heard()
    }

    /// Gives a sign of life, or the link up if the other side gives none. False if it is dead.
    pub(super) fn beat(&self, silent: bool) -> bool {
        if silent {
            self.kill(&"nothing has come from the other side for too long");
        }
        if self.dead.load(Ordering::Acquire) || self.mute.load(Ordering::Acquire) {
            return false;
        }
        let mut writer = self.writer.lock();
        // What waits to be written says as much.
        if writer.is_empty(&self.stream) && !self.closing.load(Ordering::Acquire) {
            let result = writer.beat(&self.stream);
            let queued = !writer.is_empty(&self.stream);
            drop(writer);
            match result {
                Ok(()) if queued => self.call_drivers(),
                Ok(()) => {}
                Err(error) => self.mute(&error),
            }
        }
        true
    }

    fn peer(&self) -> Option<(Arc<Node>, Arc<Peer>)> {
        let node = self.node.upgrade()?;
        let peer = node.peer(self.process)?;
        Some((node, peer))
    }

    fn read(&self, reader: &mut Reader) -> Result<(bool, Turn), ReadError> {
        let node = self.node.upgrade().ok_or(ReadError::Gone)?;
        let waited = self.stream.waiting() > 0;
        let result = reader.read(&self.stream, &node, self.path());
        if !waited && self.stream.waiting() > 0 {
            // Reading made it say something.
            self.call_drivers();
        }
        result
    }

    fn kill(&self, why: &dyn std::fmt::Display) {
        if self.dead.swap(true, Ordering::AcqRel) {
            return;
        }
        let _ = self.stream.socket().shutdown(Shutdown::Both);
        if self.closing.load(Ordering::Acquire) {
            tracing::debug!(process = self.process, "link closed");
        } else {
            tracing::info!(process = self.process, %why, "link lost");
        }
        self.call_drivers();
    }

    /// A write failed. The link dies when the last word of the peer is read: it may be the
    /// acknowledgement of all that we sent.
    fn mute(&self, why: &io::Error) {
        if !self.mute.swap(true, Ordering::AcqRel) {
            tracing::debug!(process = self.process, %why, "link takes nothing any more");
            self.unread.store(true, Ordering::Release);
            self.call_drivers();
        }
    }

    fn call_drivers(&self) {
        for driver in &self.drivers {
            driver.wake();
        }
    }

    fn flush(&self) -> io::Result<bool> {
        let mut writer = self.writer.lock();
        let before = writer.room(&self.stream);
        writer.flush(&self.stream)?;
        if writer.is_empty(&self.stream) && self.closing.load(Ordering::Acquire) {
            // Says that no more will come; the peer's end of it ends the link.
            self.stream.finish();
        }
        Ok(before != Room::User && writer.room(&self.stream) == Room::User)
    }

    fn after_flush(&self, result: io::Result<bool>) {
        match result {
            Ok(true) => {
                if let Some((_, peer)) = self.peer() {
                    peer.writable();
                }
            }
            Ok(false) => {}
            Err(error) => self.mute(&error),
        }
    }

    fn poll_drive(
        &self,
        events: &AsyncFd<OwnedFd>,
        seat: Seat,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        self.drivers[seat as usize].register(context.waker());
        loop {
            if self.dead.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            let mut idle = true;
            let mut readable = self.unread.swap(false, Ordering::AcqRel);
            if let Poll::Ready(ready) = events.poll_read_ready(context) {
                let Ok(mut ready) = ready else { return Poll::Ready(()) };
                // Cleared before the read: what comes after it sets it again.
                ready.clear_ready();
                readable = true;
            }
            if readable {
                idle = false;
                let result = self.read(&mut self.reader.lock());
                match result {
                    Ok((_, Turn::WouldBlock)) => {}
                    Ok((_, Turn::Over)) => {
                        // Others have their turn; no event will tell of what is left.
                        self.unread.store(true, Ordering::Release);
                        context.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    Err(error) => self.kill(&error),
                }
            }
            if !self.mute.load(Ordering::Acquire)
                && !self.writer.lock().is_empty(&self.stream)
                && let Poll::Ready(ready) = events.poll_write_ready(context)
            {
                let Ok(mut ready) = ready else { return Poll::Ready(()) };
                ready.clear_ready();
                self.after_flush(self.flush());
                idle = false;
            }
            if idle {
                return Poll::Pending;
            }
        }
    }
}

impl Link for TcpLink {
    fn channel(&self) -> &'static str {
        self.channel
    }

    fn rung(&self) -> Rung {
        self.rung
    }

    fn path(&self) -> Path {
        PATH
    }

    fn room(&self) -> Room {
        if self.dead.load(Ordering::Relaxed) || self.mute.load(Ordering::Relaxed) {
            Room::None
        } else {
            self.writer.lock().room(&self.stream)
        }
    }

    fn send(&self, frame: Frame) {
        if self.dead.load(Ordering::Relaxed) || self.mute.load(Ordering::Relaxed) {
            return;
        }
        let mut writer = self.writer.lock();
        let was_empty = writer.is_empty(&self.stream);
        let result = writer.send(&self.stream, frame);
        let queued = was_empty && !writer.is_empty(&self.stream);
        drop(writer);
        match result {
            // The driver waits for the socket to take more.
            Ok(()) if queued => self.call_drivers(),
            Ok(()) => {}
            Err(error) => self.mute(&error),
        }
    }

    fn progress(&self) -> bool {
        if self.dead.load(Ordering::Relaxed) {
            return false;
        }
        let Some(mut reader) = self.reader.try_lock() else { return false };
        let result = self.read(&mut reader);
        drop(reader);
        match result {
            Ok((moved, turn)) => {
                if turn == Turn::Over {
                    self.unread.store(true, Ordering::Release);
                    self.call_drivers();
                }
                moved
            }
            Err(error) => {
                self.kill(&error);
                false
            }
        }
    }

    fn drive(self: Arc<Self>, seat: Seat) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let both = Interest::READABLE | Interest::WRITABLE;
            let socket = self.stream.socket().try_clone();
            let events = socket.and_then(|socket| watch(socket, both));
            match events {
                Ok(events) => {
                    std::future::poll_fn(|context| self.poll_drive(&events, seat, context)).await;
                }
                Err(error) => self.kill(&error),
            }
            if let Some((node, peer)) = self.peer() {
                self.reader.lock().abort(&node, self.path());
                let link: Arc<dyn Link> = self;
                peer.detach(&link);
            }
        })
    }

    fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.after_flush(self.flush());
        self.call_drivers();
    }
}
