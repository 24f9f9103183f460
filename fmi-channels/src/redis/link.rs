//! A link: it writes into the mailbox of another process, and reads nothing.
//!
//! Small frames go in letters, one command each. While several are under way what comes next is
//! gathered into one. A large payload is a value of its own, of which a letter tells.

use super::{
    coding::{Draft, Kind, note},
    connection::Connection,
    keys::BoxKeys,
    office::Office,
    script,
    trouble::Trouble,
};
use crate::account::SPACE;
use fmi_actors::{
    Reason,
    channel::{Link, Room, Rung, Seat},
    frame::{self, Frame},
    pair::Path,
};
use futures::{future::BoxFuture, task::AtomicWaker};
use parking_lot::Mutex;
use redis::{Cmd, Value, cmd};
use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

/// Payloads of more bytes are values of their own.
pub(super) const INLINE: usize = 16 << 10;
/// Letters under way from which on frames are gathered, and bytes that a letter waits for then.
const PIPELINE: usize = 4;
const BATCH: usize = 32 << 10;
/// Bytes under way from which on user frames wait in their outbox, and all frames do.
const USER_BYTES: usize = 1 << 20;
const RESERVED_BYTES: usize = 4 << 20;

#[derive(Debug)]
pub(super) struct RedisLink {
    office: Arc<Office>,
    process: u32,
    to: BoxKeys,
    connection: Connection,
    itself: Weak<Self>,
    out: Mutex<Out>,
    dead: AtomicBool,
    /// We close once everything has left.
    closing: AtomicBool,
    /// Woken at the end.
    drivers: [AtomicWaker; 2],
}

/// What has not arrived in the store yet.
#[derive(Debug)]
struct Out {
    /// Frames that are being gathered.
    draft: Draft,
    /// Letters under way.
    letters: usize,
    /// Bytes under way and gathered.
    bytes: usize,
}

impl RedisLink {
    /// Asks for the mailbox of a process, and links to it.
    pub(super) async fn begin(office: &Arc<Office>, process: u32) -> Result<Arc<Self>, Trouble> {
        let to = office.keys.mailbox(process);
        let connection = office.hub.connection(to.slot).await?;
        let link = Arc::new_cyclic(|itself| Self {
            office: Arc::clone(office),
            process,
            to,
            connection,
            itself: Weak::clone(itself),
            out: Mutex::new(Out { draft: Draft::new(), letters: 0, bytes: 0 }),
            dead: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            drivers: Default::default(),
        });
        let opened = link.connection.ask(link.post(&link.note(Kind::Open))).await;
        match opened.inspect_err(|trouble| office.hub.failed(&link.connection, trouble))? {
            Value::Nil => Err(Trouble::passing("it has no mailbox there, or none any more")),
            _ => Ok(link),
        }
    }

    /// From now on it dies with its connection, after which nobody knows what has arrived.
    pub(super) fn watch_connection(self: &Arc<Self>) {
        let (over, link) = (self.connection.over(), Arc::downgrade(self));
        fmi_actors::service::Service::get().spawn(async move {
            over.await;
            if let Some(link) = link.upgrade() {
                link.kill(&Trouble::cut("the connection to the store is lost"));
            }
        });
    }

    /// Ends the link. Another is dialled if there is something to say.
    pub(super) fn kill(&self, why: &Trouble) {
        if self.dead.swap(true, Ordering::AcqRel) {
            return;
        }
        match self.closing.load(Ordering::Acquire) {
            true => tracing::debug!(process = self.process, "link closed"),
            false => tracing::info!(process = self.process, why = why.reason, "link lost"),
        }
        self.drivers.iter().for_each(AtomicWaker::wake);
        let Some(link) = self.itself.upgrade() else { return };
        let lasting = why.is_lasting().then(|| why.reason.clone());
        // Not from within a send.
        fmi_actors::service::Service::get().spawn(async move {
            link.office.forget_link(&link);
            let Some(node) = link.office.node.upgrade() else { return };
            let Some(peer) = node.peer(link.process) else { return };
            if let Some(reason) = lasting.filter(|_| !node.is_closing()) {
                let reason = format!("{}: {reason}", link.office.hub.target);
                node.lose(&peer.member().ranks, &Reason::Unreachable(reason));
            }
            let link: Arc<dyn Link> = link;
            peer.detach(&link);
        });
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    pub(super) fn process(&self) -> u32 {
        self.process
    }

    fn note(&self, kind: Kind) -> Vec<u8> {
        note(kind, self.office.process, self.office.epoch)
    }

    /// The command that posts a letter.
    fn post(&self, letter: &[u8]) -> Cmd {
        let mut post = cmd("EVALSHA");
        post.arg(script::POST.hash()).arg(1).arg(&self.to.stream);
        post.arg(letter).arg(&self.to.bell).arg(self.office.hub.publish());
        post
    }

    /// Sends a letter that is counted already.
    fn ship(&self, letter: &[u8], bytes: usize) {
        let Some(link) = self.itself.upgrade() else { return };
        self.connection.send(self.post(letter), move |answer| link.shipped(answer, bytes, None));
    }

    fn shipped(&self, answer: Result<Value, Trouble>, bytes: usize, value: Option<String>) {
        let (next, regained, drained) = {
            let mut out = self.out.lock();
            let before = out.room();
            out.letters -= 1;
            out.bytes -= bytes;
            let next = self.take(&mut out, 0);
            (next, before != Room::User && out.room() == Room::User, out.letters == 0)
        };
        match answer {
            Ok(Value::Nil) => {
                if let Some(value) = value {
                    // Nobody will read it.
                    let mut delete = cmd("DEL");
                    delete.arg(value);
                    self.connection.send(delete, |_| ());
                }
                self.kill(&Trouble::passing("its mailbox is gone"));
            }
            Ok(_) => {}
            Err(trouble) => {
                if let Some(value) = value {
                    self.office.doubt(value, self.to.slot);
                }
                self.office.hub.failed(&self.connection, &trouble);
                self.kill(&trouble);
            }
        }
        if let Some((letter, bytes)) = next {
            self.ship(&letter, bytes);
        }
        if regained
            && let Some(peer) = self.office.node.upgrade().and_then(|node| node.peer(self.process))
        {
            peer.writable();
        }
        if drained && self.closing.load(Ordering::Acquire) {
            self.kill(&Trouble::cut("closed"));
        }
    }

    /// Takes what is gathered, if there is some and it is to leave.
    fn take(&self, out: &mut Out, enough: usize) -> Option<(Vec<u8>, usize)> {
        let bytes = out.draft.len();
        if bytes == 0 || out.letters >= PIPELINE && bytes < enough {
            return None;
        }
        out.letters += 1;
        let draft = std::mem::replace(&mut out.draft, Draft::new());
        Some((draft.seal(Kind::Frames, self.office.process, self.office.epoch), bytes))
    }

    fn write(&self, frame: &Frame) {
        if frame.header.length as usize > INLINE {
            return self.send_value(frame);
        }
        let letter = {
            let mut out = self.out.lock();
            let before = out.draft.len();
            out.draft.push(frame);
            out.bytes += out.draft.len() - before;
            self.take(&mut out, BATCH)
        };
        if let Some((letter, bytes)) = letter {
            self.ship(&letter, bytes);
        }
    }

    fn send_value(&self, frame: &Frame) {
        let Some(payload) = frame.payload.bytes() else { return };
        let number = self.office.next_value();
        let key = self.to.value(self.office.process, number);
        let letter =
            Draft::value(frame, number).seal(Kind::Value, self.office.process, self.office.epoch);
        let bytes = payload.len();
        {
            let mut out = self.out.lock();
            out.letters += 1;
            out.bytes += bytes;
        }
        let mut set = cmd("SET");
        let ttl = self.office.hub.target.ttl.as_millis() as u64;
        set.arg(&key).arg(payload).arg("PX").arg(ttl);
        let Some(link) = self.itself.upgrade() else { return };
        self.office.long.begin(bytes);
        self.connection.send_two([set, self.post(&letter)], move |[stored, posted]| {
            link.office.long.end(bytes);
            if let Err(trouble) = stored {
                link.office.hub.failed(&link.connection, &trouble);
                link.kill(&trouble);
            }
            link.shipped(posted, bytes, Some(key));
        });
    }
}

impl Out {
    fn room(&self) -> Room {
        match self.bytes {
            bytes if bytes < USER_BYTES => Room::User,
            bytes if bytes < RESERVED_BYTES => Room::Reserved,
            _ => Room::None,
        }
    }
}

impl Link for RedisLink {
    fn channel(&self) -> &'static str {
        super::NAME
    }

    fn rung(&self) -> Rung {
        Rung::Store
    }

    fn path(&self) -> Path {
        super::PATH
    }

    fn room(&self) -> Room {
        if self.is_dead() { Room::None } else { self.out.lock().room() }
    }

    fn send(&self, frame: Frame) {
        if self.is_dead() {
            return;
        }
        match frame.header.kind {
            frame::Kind::Ack => self.write(&frame),
            _ => SPACE.sync_scope(Some(frame.header.space), || self.write(&frame)),
        }
    }

    fn progress(&self) -> bool {
        self.office.hub.wires.nudge()
    }

    fn rests(&self) -> bool {
        self.office.long.are_moving()
    }

    fn drive(self: Arc<Self>, seat: Seat) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let _watch = self.office.hub.wires.watch_here(seat);
            std::future::poll_fn(|context| {
                self.drivers[seat as usize].register(context.waker());
                match self.is_dead() {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            })
            .await;
        })
    }

    fn close(&self) {
        if self.closing.swap(true, Ordering::AcqRel) || self.is_dead() {
            return;
        }
        let leaving = self.office.node.upgrade().is_none_or(|node| node.is_closing());
        let last = {
            let mut out = self.out.lock();
            let last = self.take(&mut out, 1);
            out.letters += usize::from(leaving);
            if out.letters == 0 {
                drop(out);
                return self.kill(&Trouble::cut("closed"));
            }
            last
        };
        // It is closed when they have arrived.
        if let Some((letter, bytes)) = last {
            self.ship(&letter, bytes);
        }
        if leaving {
            self.ship(&self.note(Kind::End), 0);
        }
    }
}
