//! A segment that is shared with another process, as a link.

use super::ring::{Inlet, Outlet};
use crate::{
    events::watch,
    framing::{ByteStream, ReadError, Reader, Turn, Writer},
};
use fmi_actors::{
    Node, Peer,
    channel::{Link, Room, Rung, Seat},
    frame::Frame,
    home::{self, Wakefulness},
    pair::Path,
};
use futures::{future::BoxFuture, task::AtomicWaker};
use parking_lot::Mutex;
use socket2::Socket;
use std::{
    io::{self, ErrorKind, IoSlice},
    mem::MaybeUninit,
    net::Shutdown,
    os::fd::OwnedFd,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::io::{Interest, unix::AsyncFd};

/// How long who writes a large payload waits for who reads it at the same time to make room.
const PATIENCE: Duration = Duration::from_micros(20);

#[derive(Debug)]
pub(super) struct ShmLink {
    rings: Rings,
    node: Weak<Node>,
    process: u32,
    reader: Mutex<Reader>,
    writer: Mutex<Writer>,
    dead: AtomicBool,
    /// We close once the queue is written.
    closing: AtomicBool,
    /// The other side has closed: what is in the ring is all that will come.
    ended: AtomicBool,
    /// A read ended before the ring was empty.
    unread: AtomicBool,
    /// Frames wait for room in the ring. Written by who holds the writer.
    behind: AtomicBool,
    /// Woken when there is something to write, and at the end.
    drivers: [AtomicWaker; 2],
}

/// Both rings, and the bell of whoever sleeps.
#[derive(Debug)]
struct Rings {
    inlet: Inlet,
    outlet: Outlet,
    bell: Socket,
}

impl Rings {
    fn ring_bell(&self) {
        // If the socket is full, it has been rung often enough; if it is dead, the driver finds out.
        let _ = self.bell.send(&[1]);
    }

    /// Empties the bell's socket. False at its end.
    fn hear_bell(&self) -> bool {
        let mut bytes = [MaybeUninit::uninit(); 64];
        loop {
            match self.bell.recv(&mut bytes) {
                Ok(0) => return false,
                Ok(count) if count < bytes.len() => return true,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }
}

impl ByteStream for Rings {
    fn recv(
        &self,
        place: &mut [MaybeUninit<u8>],
        spare: &mut [MaybeUninit<u8>],
    ) -> io::Result<(usize, bool)> {
        let (bytes, left) = self.inlet.read(place, spare)?;
        if bytes == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        if self.inlet.wakes_writer(bytes + left) {
            self.ring_bell();
        }
        Ok((bytes, left > 0))
    }

    fn send(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let bytes = self.outlet.write(parts)?;
        if bytes == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        if self.outlet.wakes_reader() {
            self.ring_bell();
        }
        Ok(bytes)
    }
}

impl ShmLink {
    pub(super) fn new(
        bell: Socket,
        (inlet, outlet): (Inlet, Outlet),
        node: &Arc<Node>,
        process: u32,
    ) -> Arc<Self> {
        // Until somebody looks, the bell has to be rung.
        inlet.sleep();
        Arc::new(Self {
            rings: Rings { inlet, outlet, bell },
            node: Arc::downgrade(node),
            process,
            reader: Mutex::new(Reader::new(process, false, false)),
            writer: Mutex::new(Writer::new(false)),
            dead: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            // Something may have come before there was a driver.
            unread: AtomicBool::new(true),
            behind: AtomicBool::new(false),
            drivers: Default::default(),
        })
    }

    fn peer(&self) -> Option<(Arc<Node>, Arc<Peer>)> {
        let node = self.node.upgrade()?;
        let peer = node.peer(self.process)?;
        Some((node, peer))
    }

    fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    fn read(&self, reader: &mut Reader) -> Result<(bool, Turn), ReadError> {
        let node = self.node.upgrade().ok_or(ReadError::Gone)?;
        reader.read(&self.rings, &node, self.path())
    }

    fn kill(&self, why: &dyn std::fmt::Display) {
        if self.dead.swap(true, Ordering::AcqRel) {
            return;
        }
        let _ = self.rings.bell.shutdown(Shutdown::Both);
        if self.closing.load(Ordering::Acquire) {
            tracing::debug!(process = self.process, "link closed");
        } else {
            tracing::info!(process = self.process, %why, "link lost");
        }
        self.call_drivers();
    }

    fn call_drivers(&self) {
        for driver in &self.drivers {
            driver.wake();
        }
    }

    fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Acquire)
    }

    /// Writes what there is room for; tells those who wait for the link to take more.
    fn flush(&self) {
        let told = {
            let mut writer = self.writer.lock();
            let before = writer.room(&self.rings);
            if let Err(error) = self.write_on(&mut writer) {
                drop(writer);
                return self.kill(&error);
            }
            if writer.is_empty(&self.rings) && self.closing.load(Ordering::Acquire) {
                // Says that no more will come; the peer's end of it ends the link.
                let _ = self.rings.bell.shutdown(Shutdown::Write);
            }
            before != Room::User && writer.room(&self.rings) == Room::User
        };
        if told && let Some((_, peer)) = self.peer() {
            peer.writable();
        }
    }

    /// Writes until the queue is empty or nobody makes room.
    fn write_on(&self, writer: &mut Writer) -> io::Result<()> {
        writer.flush(&self.rings)?;
        while !writer.is_empty(&self.rings) && self.room_comes()? {
            writer.flush(&self.rings)?;
        }
        self.behind.store(!writer.is_empty(&self.rings), Ordering::Release);
        Ok(())
    }

    /// Waits a little for room, if the other side is awake on another core and about to make it.
    fn room_comes(&self) -> io::Result<bool> {
        if home::wakefulness() != Wakefulness::Spins {
            return Ok(false);
        }
        let start = std::time::Instant::now();
        while self.rings.outlet.is_watched() && start.elapsed() < PATIENCE {
            for _ in 0..32 {
                std::hint::spin_loop();
            }
            if self.rings.outlet.room()? > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Says that somebody has to wake this side. False if there is something to do already.
    fn sleep(&self) -> bool {
        let empty = self.rings.inlet.sleep();
        if self.rings.inlet.finds_writer_asleep() {
            self.rings.ring_bell();
        }
        let full = !self.is_behind() || self.rings.outlet.sleep();
        empty && full
    }

    fn poll_drive(
        &self,
        events: &AsyncFd<OwnedFd>,
        seat: Seat,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        self.drivers[seat as usize].register(context.waker());
        loop {
            if self.is_dead() {
                return Poll::Ready(());
            }
            // Asked again until it has to wait: only then it tells of the next time.
            let mut rung = false;
            if let Poll::Ready(ready) = events.poll_read_ready(context) {
                rung = true;
                let Ok(mut ready) = ready else { return Poll::Ready(()) };
                // Cleared before the read: what comes after it sets it again.
                ready.clear_ready();
                if !self.rings.hear_bell() {
                    self.ended.store(true, Ordering::Release);
                }
            }
            // Before the ring is read: what was written before the end is seen then.
            let ended = self.ended.load(Ordering::Acquire);
            self.unread.store(false, Ordering::Release);
            let result = self.read(&mut self.reader.lock());
            match result {
                Ok((_, Turn::WouldBlock)) if ended => self.kill(&ReadError::Closed),
                Ok((_, Turn::WouldBlock)) => {}
                Ok((_, Turn::Over)) => {
                    // Others have their turn; no event will tell of what is left.
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Err(error) => self.kill(&error),
            }
            if self.is_dead() {
                return Poll::Ready(());
            }
            if self.is_behind() {
                self.flush();
            }
            // The bell, and the end, may have been heard by another driver meanwhile.
            let more = rung || self.ended.load(Ordering::Acquire) != ended;
            if self.sleep() && !more && !self.unread.load(Ordering::Acquire) {
                return Poll::Pending;
            }
        }
    }
}

impl Link for ShmLink {
    fn channel(&self) -> &'static str {
        super::NAME
    }

    fn rung(&self) -> Rung {
        Rung::Machine
    }

    fn path(&self) -> Path {
        Path::STREAM
    }

    fn room(&self) -> Room {
        if self.dead.load(Ordering::Relaxed) {
            Room::None
        } else {
            self.writer.lock().room(&self.rings)
        }
    }

    fn send(&self, frame: Frame) {
        if self.dead.load(Ordering::Relaxed) {
            return;
        }
        let mut writer = self.writer.lock();
        let was_empty = writer.is_empty(&self.rings);
        let mut result = writer.send(&self.rings, frame);
        let first = was_empty && !writer.is_empty(&self.rings);
        if first && result.is_ok() {
            result = self.write_on(&mut writer);
        }
        drop(writer);
        match result {
            // The driver waits for the ring to take more.
            Ok(()) if first && self.is_behind() => self.call_drivers(),
            Ok(()) => {}
            Err(error) => self.kill(&error),
        }
    }

    fn progress(&self) -> bool {
        if self.dead.load(Ordering::Relaxed) {
            return false;
        }
        self.rings.inlet.watch();
        if self.is_behind() {
            self.flush();
        }
        if self.rings.inlet.filled().is_ok_and(|bytes| bytes == 0) {
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

    fn in_memory(&self) -> bool {
        true
    }

    fn park(&self) -> bool {
        !self.dead.load(Ordering::Relaxed) && !self.sleep()
    }

    fn drive(self: Arc<Self>, seat: Seat) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let bell = self.rings.bell.try_clone();
            match bell.and_then(|bell| watch(bell, Interest::READABLE)) {
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
        self.flush();
        self.call_drivers();
    }
}
