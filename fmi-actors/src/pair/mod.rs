//! The pair layer: makes frames between two ranks arrive once and in order, over whatever links.
//!
//! Channels promise at-least-once, unordered delivery, no more. One [`Pair`] on each side does
//! the rest, and no channel has a second such layer. It is *sans-I/O*: it is told what arrived
//! and what time it is, and asked what to send.
//!
//! * Frames are **numbered** when first sent, **retained** until acknowledged (bounded in frames
//!   and bytes), **replayed** when the link changes or, over a lossy one, when a timer says so.
//! * The receiver **drops duplicates** and **restores order**; room for the missing frame is
//!   always there, since what may be in flight is bounded.
//! * **Credit** bounds what waits unmatched at the receiver: each lane has [`CREDIT`] units of
//!   [`UNIT`] bytes. A message costs a unit and one more for each `UNIT` bytes. The last units
//!   are for envelopes, whose payload stays here until the receiver pulls it: when it is matched,
//!   or `ahead` of that, with credit that has become free.
//! * **Lanes:** control frames go before collective frames, those before the user's, and each
//!   has its own share of the window, so that none waits behind user payload.

mod ahead;
mod inbound;
mod outbound;
mod shelving;
#[cfg(test)]
mod tests;

use crate::{
    AlignedBuf, Payload,
    clock::Time,
    frame::{Datatype, Flags, Frame, Header, Kind, Signature, Space},
};
use inbound::Inbound;
use outbound::Outbound;
pub use shelving::Put;
use std::time::Duration;

/// Credit units a lane has.
pub const CREDIT: u16 = 4096;
/// Bytes of a credit unit.
pub const UNIT: u64 = 256;
/// Credit units that only envelopes may use.
pub const ENVELOPES: u16 = 512;
/// Frames that may be in flight unacknowledged.
pub const WINDOW: usize = 1024;
/// Payload bytes that may be in flight unacknowledged.
pub const WINDOW_BYTES: usize = 4 << 20;
/// How long an acknowledgement waits for a frame to ride on.
pub const ACK_DELAY: Duration = Duration::from_millis(10);

/// Which share of a pair's resources a message uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Point-to-point messages.
    User,
    /// Messages of collectives.
    Collective,
}

impl Lane {
    /// Both.
    pub const ALL: [Self; 2] = [Self::User, Self::Collective];

    fn of(flags: Flags) -> Self {
        if flags.has(Flags::COLLECTIVE) { Self::Collective } else { Self::User }
    }
}

/// The two ends, as they stand in every header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The job's epoch.
    pub epoch: u32,
    /// World rank on this side.
    pub local: u32,
    /// World rank on the other side.
    pub remote: u32,
    /// How often the local rank has registered.
    pub local_incarnation: u16,
    /// The incarnation of the remote rank that this pair speaks to.
    pub remote_incarnation: u16,
}

/// What a link can do, as far as the pair layer cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// Frames are handed to the other side before `send` returns: nothing to retain, and
    /// payloads need not be cut or encoded.
    pub direct: bool,
    /// Frames can be lost while the link lives: a timer replays them.
    pub lossy: bool,
    /// Payloads up to this many bytes are sent before they are matched.
    pub eager: usize,
    /// Payload bytes in one frame at most.
    pub chunk: usize,
    /// The channel itself learns when a frame has been read ([`Pair::receipt`]): the receiver owes
    /// no acknowledgement for what comes over it.
    pub receipts: bool,
    /// Payloads of more bytes are put into the node's store, and the envelope says so.
    pub stored: usize,
}

impl Path {
    /// Inside a process.
    pub const DIRECT: Self =
        Self { direct: true, eager: usize::MAX, chunk: usize::MAX, ..Self::STREAM };
    /// A byte stream between processes.
    pub const STREAM: Self = Self {
        direct: false,
        lossy: false,
        eager: 256 << 10,
        chunk: 256 << 10,
        receipts: false,
        stored: usize::MAX,
    };
}

/// A message to be sent.
#[derive(Debug)]
pub struct Outgoing {
    /// Where it is matched.
    pub space: Space,
    /// Its tag.
    pub tag: u32,
    /// What it contains.
    pub datatype: Datatype,
    /// The content, as bytes unless the path is direct.
    pub payload: Payload,
    /// Report the match with [`Event::Matched`].
    pub sync: bool,
    /// For the first frame of a collective.
    pub signature: Option<Signature>,
}

impl Outgoing {
    /// The lane it uses.
    #[must_use]
    pub fn lane(&self) -> Lane {
        if self.space.is_collective() { Lane::Collective } else { Lane::User }
    }

    /// Bytes it occupies in the outbox.
    #[must_use]
    pub fn cost(&self) -> usize {
        self.payload.size_hint() + UNIT as usize
    }
}

/// A message that arrived, before it is matched.
#[derive(Debug)]
pub struct Arrival {
    /// World rank of the sender.
    pub source: u32,
    /// Where it is matched.
    pub space: Space,
    /// Its tag.
    pub tag: u32,
    /// What it contains.
    pub datatype: Datatype,
    /// Bytes of its payload.
    pub total: u64,
    /// The payload, or where it waits.
    pub body: Body,
    /// The sender waits for the match.
    pub sync: bool,
    /// Credit units that its match gives back.
    pub credit: u16,
    /// Number of the message in its pair.
    pub message: u32,
    /// What the sender believes the collective to be.
    pub signature: Option<Signature>,
}

impl Arrival {
    /// The lane it came on.
    #[must_use]
    pub fn lane(&self) -> Lane {
        if self.space.is_collective() { Lane::Collective } else { Lane::User }
    }
}

/// The payload of an [`Arrival`].
#[derive(Debug)]
pub enum Body {
    /// It came along.
    Here(Payload),
    /// It waits at the sender for a [`Pair::pull`].
    There,
    /// It is in the store.
    Stored,
    /// It was to be in the store, and is not: why, encoded.
    Missing(Payload),
}

/// What came out of the pair layer, in order.
#[derive(Debug)]
pub enum Event {
    /// A message to be matched.
    Message(Arrival),
    /// The payload of a message that was pulled.
    Pulled {
        /// The message.
        message: u32,
        /// Its payload.
        payload: Payload,
    },
    /// A message of ours that asked for it is matched.
    Matched {
        /// The message.
        message: u32,
    },
    /// A message of ours will never be matched; it asked for the match.
    Discarded {
        /// The message.
        message: u32,
    },
    /// A collective failed on another rank.
    Notice {
        /// Which.
        space: Space,
        /// The cause, encoded.
        cause: Payload,
    },
}

/// What no correct peer sends. The link that brought it must be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// An acknowledgement of frames that were never sent.
    #[error("acknowledges a frame that was not sent")]
    Acknowledgement,
    /// A number too far ahead of what may be in flight.
    #[error("frame number outside the window")]
    Window,
    /// More unmatched messages than there is credit for.
    #[error("sends without credit")]
    Credit,
    /// From or to a rank that is not there.
    #[error("names a rank that is not there")]
    Rank,
    /// A piece of a payload that nobody pulled, or in the wrong place.
    #[error("payload that was not asked for")]
    Data,
}

/// One side of the conversation between two ranks.
#[derive(Debug)]
pub struct Pair {
    ends: Ends,
    out: Outbound,
    inn: Inbound,
}

impl Pair {
    /// A pair that has sent and received nothing. `outbox` bounds the bytes of each lane that
    /// wait for acknowledgement; a message of any size fits an empty one.
    #[must_use]
    pub fn new(ends: Ends, outbox: usize) -> Self {
        Self { ends, out: Outbound::new(outbox), inn: Inbound::default() }
    }

    /// The two ends.
    #[must_use]
    pub fn ends(&self) -> Ends {
        self.ends
    }

    /// Whether the outbox has room for a message.
    #[must_use]
    pub fn has_room(&self, lane: Lane, cost: usize) -> bool {
        self.out.has_room(lane, cost)
    }

    /// Puts a message into the outbox and returns its number, or gives it back when there is no
    /// room.
    ///
    /// # Errors
    /// The message, when the outbox [has no room](Self::takes) for it.
    #[allow(clippy::result_large_err, reason = "giving the message back is the point")]
    pub fn submit(&mut self, message: Outgoing) -> Result<u32, Outgoing> {
        if !self.takes(&message) {
            return Err(message);
        }
        Ok(self.out.submit(message))
    }

    /// Whether the outbox has room for a message.
    #[must_use]
    pub fn takes(&self, message: &Outgoing) -> bool {
        self.has_room(message.lane(), message.cost())
    }

    /// Tells the peer's ranks that a collective failed.
    pub fn notice(&mut self, space: Space, cause: Payload) {
        self.out.control(Kind::Notice, space, 0, cause);
    }

    /// Asks the peer's ranks about a collective. Who waits until everything has arrived does not wait
    /// for this.
    pub fn question(&mut self, space: Space, question: Payload) {
        self.out.question(space, question);
    }

    /// The next frame to be sent over a link of this kind that has room for user frames, or
    /// only for collective and control frames.
    pub fn poll_transmit(&mut self, now: Time, path: Path, user_room: bool) -> Option<Frame> {
        let mut frame = match self.out.poll(now, path, user_room) {
            Some(frame) => frame,
            None if self.inn.ack_now || (self.out.probe && !path.receipts) => {
                self.out.ack_frame(path)
            }
            None => return None,
        };
        self.address(&mut frame.header);
        Some(frame)
    }

    /// Puts into a header what both ends have to know.
    fn address(&mut self, header: &mut Header) {
        self.inn.stamp(header);
        header.epoch = self.ends.epoch;
        header.source = self.ends.local;
        header.destination = self.ends.remote;
        header.source_incarnation = self.ends.local_incarnation;
        header.destination_incarnation = self.ends.remote_incarnation;
    }

    /// Takes a message that leaves at once, over a link of this kind that has room for it: the same as
    /// [`submit`](Self::submit) and [`poll_transmit`](Self::poll_transmit) where nothing is before it, for
    /// less.
    ///
    /// # Errors
    /// The message, when something is before it or it has to wait for the peer.
    #[allow(clippy::result_large_err, reason = "giving the message back is the point")]
    pub fn transmit(
        &mut self,
        now: Time,
        path: Path,
        message: Outgoing,
    ) -> Result<Frame, Outgoing> {
        let mut frame = self.out.transmit(now, path, message)?;
        self.address(&mut frame.header);
        Ok(frame)
    }

    /// Takes a frame from a link, and returns the first event that it brings about; as long as there is
    /// one, [`follow`](Self::follow) gives the next. `path` says what kind of link, `in_place` is the buffer that [`take_assembly`](Self::take_assembly) gave for it.
    ///
    /// Frames of another epoch or incarnation are dropped: they are echoes of the past.
    ///
    /// # Errors
    /// [`Violation`], after which the link cannot be trusted.
    pub fn receive(
        &mut self,
        now: Time,
        path: Path,
        frame: Frame,
        in_place: Option<AlignedBuf>,
    ) -> Result<Option<Event>, Violation> {
        let header = &frame.header;
        if let Some(buf) = in_place {
            self.inn.put_back(header.message, buf);
        } else if !self.is_current(header) {
            return Ok(None);
        }
        self.out.acknowledged(now, header.acknowledgement)?;
        if !self.inn.is_old(header) {
            self.out.credited(header.credit);
        }
        if header.flags.has(Flags::ACK_NOW) {
            self.inn.ack_now = true;
        }
        if header.kind == Kind::Ack {
            return Ok(None);
        }
        self.inn.receive(now, path, frame, &mut self.out)
    }

    /// The next event of frames that came early and whose turn has come.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn follow(&mut self, now: Time, path: Path) -> Result<Option<Event>, Violation> {
        self.inn.follow(now, path, &mut self.out)
    }

    /// The buffer into which the payload of this frame can be read straight away, if the frame
    /// is the next one and continues a payload that was pulled. It must come back with
    /// [`receive`](Self::receive) or, if the link breaks, [`return_assembly`](Self::return_assembly).
    pub fn take_assembly(&mut self, header: &Header) -> Option<AlignedBuf> {
        if !self.is_current(header) {
            return None;
        }
        self.inn.take_assembly(header)
    }

    /// Takes back a buffer whose frame did not arrive whole. Frames that waited for it
    /// [follow](Self::follow).
    pub fn return_assembly(&mut self, header: &Header, buf: AlignedBuf) {
        self.inn.put_back(header.message, buf);
    }

    /// A message was matched or dropped: its credit goes to payloads that wait at the sender, and
    /// back there.
    pub fn consumed(&mut self, lane: Lane, message: u32, units: u16) {
        self.inn.consumed(lane, message, units, &mut self.out);
    }

    /// The payload of an envelope, if it was asked for ahead and is here. Else it has to be
    /// [pulled](Self::pull).
    pub fn pulled(&mut self, message: u32) -> Option<Payload> {
        self.inn.take_ahead(message)
    }

    /// Tells the sender that its message is matched.
    pub fn matched(&mut self, space: Space, message: u32) {
        self.out.control(Kind::Matched, space, message, Payload::empty());
    }

    /// Asks for the payload of an envelope; [`Event::Pulled`] brings it: on a `direct` path as
    /// it is, else in pieces, for which there has to be memory.
    ///
    /// # Errors
    /// [`crate::Error::TooLarge`] when there is no memory for it.
    pub fn pull(
        &mut self,
        space: Space,
        message: u32,
        total: u64,
        datatype: Datatype,
        direct: bool,
    ) -> crate::Result<()> {
        if self.inn.expect(message, total, datatype, direct)? {
            self.out.control(Kind::Pull, space, message, Payload::empty());
        }
        Ok(())
    }

    /// Tells the sender that nobody will take its message.
    pub fn discard(&mut self, space: Space, message: u32) {
        drop(self.pulled(message));
        self.out.control(Kind::Discard, space, message, Payload::empty());
    }

    /// The link changed: everything that is not acknowledged is sent again.
    pub fn replay(&mut self) {
        self.out.replay();
    }

    /// Asks the peer for an acknowledgement of everything sent so far, unless it has been asked
    /// since: whoever asks again for each answer would never end, and over a link that repeats
    /// frames there would be ever more of both. True if there is to be asked, once it is pumped.
    pub fn request_ack(&mut self) -> bool {
        self.out.ask()
    }

    /// The next payload to be put into the store; [`put_done`](Self::put_done) is to follow.
    pub fn next_put(&mut self) -> Option<Put> {
        self.out.shelving.next()
    }

    /// The payload of a message is in the store, or cannot be put there: why, encoded. Its
    /// envelope can leave now; it tells the receiver either.
    pub fn put_done(&mut self, message: u32, failure: Option<Payload>) {
        self.out.shelving.done(message, failure);
    }

    /// The channel has learnt that all frames before this number have been read.
    ///
    /// # Errors
    /// [`Violation`] if they were never sent; nothing has changed then.
    pub fn receipt(&mut self, now: Time, upto: u32) -> Result<(), Violation> {
        self.out.acknowledged(now, upto)
    }

    /// On a path with receipts: whether they are to be looked for, because somebody `waits` for them
    /// or has asked since the last frame was sent. To be asked when there is nothing to transmit.
    pub fn wants_receipts(&mut self, waits: bool) -> bool {
        self.out.take_probe(waits)
    }

    /// Whether the peer has to say something before this side can go on.
    #[must_use]
    pub fn awaits_peer(&self) -> bool {
        self.out.awaits_peer()
    }

    /// Whether there is anything to send, link and credit permitting.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.inn.ack_now || self.out.has_work()
    }

    /// Makes an owed acknowledgement due.
    pub fn settle(&mut self) {
        self.inn.ack_now |= self.inn.owed_since.is_some();
    }

    /// Whether everything submitted has arrived at the peer, but for [questions](Self::question).
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.out.is_flushed()
    }

    /// Whether messages of the user have not arrived at the peer.
    #[must_use]
    pub fn owes_messages(&self) -> bool {
        self.out.owes(Lane::User)
    }

    /// Whether an acknowledgement is owed that has had no frame to ride on.
    #[must_use]
    pub fn owes_ack(&self) -> bool {
        self.inn.owed_since.is_some()
    }

    /// When [`on_timeout`](Self::on_timeout) wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        if self.inn.owes_credit {
            // At the next look at the clock.
            return Some(Time::default());
        }
        let ack = self.inn.owed_since.map(|since| since + ACK_DELAY);
        [ack, self.out.replay_at()].into_iter().flatten().min()
    }

    /// Time has passed: owed acknowledgements become due, lost frames are sent again.
    pub fn on_timeout(&mut self, now: Time) {
        self.inn.ack_now |= self.inn.owes_credit
            || self.inn.owed_since.is_some_and(|since| since + ACK_DELAY <= now);
        self.out.on_timeout(now);
    }

    fn is_current(&self, header: &Header) -> bool {
        header.epoch == self.ends.epoch
            && header.source_incarnation == self.ends.remote_incarnation
            && header.destination_incarnation == self.ends.local_incarnation
    }
}

/// Credit units of a message sent whole. No message costs more than half of what there is, so
/// that a large value can be handed over inside a process.
fn units(total: u64) -> u16 {
    const MOST: u16 = (CREDIT - ENVELOPES) / 2;
    u16::try_from(1 + total / UNIT).unwrap_or(MOST).min(MOST)
}

/// Whether number `a` comes before `b`; numbers wrap.
fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}
