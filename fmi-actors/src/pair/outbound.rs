//! The sending half: outbox, lanes, window, what is retained.

use super::{
    CREDIT, ENVELOPES, Lane, Outgoing, Path, Violation, WINDOW, WINDOW_BYTES, before,
    shelving::Shelving, units,
};
use crate::{
    Payload,
    clock::Time,
    frame::{Datatype, Flags, Frame, Header, Kind, Signature, Space},
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::{collections::VecDeque, time::Duration};

/// Slots of the window that only control frames may use, and those that only they and
/// collectives may use.
const CONTROL_SLOTS: usize = 64;
const RESERVED_SLOTS: usize = 256;
/// Messages of a lane that go between two pieces of a payload, if there is no lack of either.
const BETWEEN_PIECES: u32 = 16;
const FIRST_REPLAY: Duration = Duration::from_millis(200);
const LAST_REPLAY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Outbound {
    next_sequence: u32,
    next_message: u32,
    limit: usize,
    control: VecDeque<Draft>,
    /// Control frames that nobody need have read, not acknowledged.
    questions: usize,
    lanes: [LaneState; 2],
    /// Payloads whose envelope is out, by message.
    parked: FxHashMap<u32, Stream>,
    /// Payloads that go into a store.
    pub(super) shelving: Shelving,
    retained: VecDeque<Retained>,
    retained_bytes: usize,
    /// Retained frames from here on are sent (again).
    cursor: usize,
    replay_after: Duration,
    replay_at: Option<Time>,
    /// Messages whose match is to be reported.
    pub(super) sync: FxHashSet<u32>,
    /// The peer is asked for an acknowledgement.
    pub(super) probe: bool,
    /// Number of the next frame when the peer was last asked.
    asked: Option<u32>,
}

#[derive(Debug, Default)]
struct LaneState {
    queue: VecDeque<(u32, Outgoing)>,
    streams: VecDeque<Stream>,
    /// Messages since the last piece.
    since_piece: u32,
    /// Bytes submitted and not acknowledged.
    outbox: usize,
    /// Credit units spent, and those given back, both counted from the start, wrapping.
    sent: u16,
    returned: u16,
}

/// A frame without its numbers.
#[derive(Debug)]
struct Draft {
    kind: Kind,
    flags: Flags,
    space: Space,
    tag: u32,
    datatype: Datatype,
    message: u32,
    total: u64,
    signature: Option<Signature>,
    payload: Payload,
    /// Bytes that leave the outbox of the lane when this frame is acknowledged.
    release: Option<(Lane, usize)>,
    /// Nobody need have read it.
    question: bool,
}

/// A payload that is sent in pieces.
#[derive(Debug)]
struct Stream {
    message: u32,
    space: Space,
    datatype: Datatype,
    lane: Lane,
    payload: Payload,
    offset: usize,
    cost: usize,
}

#[derive(Debug)]
struct Retained {
    header: Header,
    signature: Option<Signature>,
    payload: Payload,
    release: Option<(Lane, usize)>,
    question: bool,
}

impl Outbound {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            next_sequence: 0,
            next_message: 0,
            limit,
            control: VecDeque::new(),
            questions: 0,
            lanes: Default::default(),
            parked: FxHashMap::default(),
            shelving: Shelving::default(),
            retained: VecDeque::new(),
            retained_bytes: 0,
            cursor: 0,
            replay_after: FIRST_REPLAY,
            replay_at: None,
            sync: FxHashSet::default(),
            probe: false,
            asked: None,
        }
    }

    pub(super) fn has_room(&self, lane: Lane, cost: usize) -> bool {
        let outbox = self.lanes[lane as usize].outbox;
        outbox == 0 || outbox.saturating_add(cost) <= self.limit
    }

    pub(super) fn submit(&mut self, message: Outgoing) -> u32 {
        let number = self.next_message;
        self.next_message = number.wrapping_add(1);
        let lane = &mut self.lanes[message.lane() as usize];
        lane.outbox += message.cost();
        lane.queue.push_back((number, message));
        number
    }

    /// The frame of a message before which there is nothing, if it need not wait.
    #[allow(clippy::result_large_err, reason = "giving the message back is the point")]
    pub(super) fn transmit(
        &mut self,
        now: Time,
        path: Path,
        message: Outgoing,
    ) -> Result<Frame, Outgoing> {
        let size = message.payload.size_hint();
        let (total, lane) = (size as u64, message.lane());
        let state = &self.lanes[lane as usize];
        let room = CREDIT - state.sent.wrapping_sub(state.returned);
        let waits = self.has_work()
            || self.retained.len() >= WINDOW - RESERVED_SLOTS
            || self.retained_bytes >= WINDOW_BYTES
            || !self.has_room(lane, message.cost())
            || size > path.stored
            || !is_eager(total, path, room);
        if waits {
            return Err(message);
        }
        let number = self.next_message;
        self.next_message = number.wrapping_add(1);
        let state = &mut self.lanes[lane as usize];
        state.outbox += message.cost();
        state.sent = state.sent.wrapping_add(units(total));
        if message.sync {
            self.sync.insert(number);
        }
        let draft = self.draft(number, message, lane, true);
        Ok(self.number(now, path, draft))
    }

    pub(super) fn control(&mut self, kind: Kind, space: Space, message: u32, payload: Payload) {
        self.control.push_back(Draft {
            kind,
            flags: Flags::default().with(Flags::COLLECTIVE, space.is_collective()),
            space,
            tag: 0,
            datatype: Datatype::BYTES,
            message,
            total: payload.size_hint() as u64,
            signature: None,
            payload,
            release: None,
            question: false,
        });
    }

    /// A notice that is of no use any more once this side has all that it waits for.
    pub(super) fn question(&mut self, space: Space, payload: Payload) {
        self.control(Kind::Notice, space, 0, payload);
        if let Some(draft) = self.control.back_mut() {
            draft.question = true;
            self.questions += 1;
        }
    }

    /// The peer matched the envelope: its payload is due.
    pub(super) fn pulled(&mut self, message: u32) {
        if let Some(stream) = self.parked.remove(&message) {
            self.lanes[stream.lane as usize].streams.push_back(stream);
        }
    }

    /// The peer will not pull the envelope.
    pub(super) fn discarded(&mut self, message: u32) {
        if let Some(stream) = self.parked.remove(&message) {
            self.lanes[stream.lane as usize].outbox -= stream.cost;
        }
    }

    pub(super) fn poll(&mut self, now: Time, path: Path, user_room: bool) -> Option<Frame> {
        if self.cursor < self.retained.len() {
            return Some(self.again(path));
        }
        let used = self.retained.len();
        let draft = if used >= WINDOW {
            None
        } else if let Some(draft) = self.control.pop_front() {
            Some(draft)
        } else if used < WINDOW - CONTROL_SLOTS
            && let Some(draft) = self.next_of(Lane::Collective, path)
        {
            Some(draft)
        } else if user_room && used < WINDOW - RESERVED_SLOTS {
            self.next_of(Lane::User, path)
        } else {
            None
        };
        draft.map(|draft| self.number(now, path, draft))
    }

    pub(super) fn ack_frame(&mut self, path: Path) -> Frame {
        let asks = !path.receipts && std::mem::take(&mut self.probe);
        if asks {
            self.asked = Some(self.next_sequence);
        }
        let flags = Flags::default().with(Flags::ACK_NOW, asks);
        Frame {
            header: Header {
                flags,
                sequence: self.next_sequence,
                ..blank(Kind::Ack, Space::messages(0))
            },
            signature: None,
            payload: Payload::empty(),
        }
    }

    pub(super) fn acknowledged(&mut self, now: Time, upto: u32) -> Result<(), Violation> {
        if before(self.next_sequence, upto) {
            return Err(Violation::Acknowledgement);
        }
        let mut progress = false;
        while let Some(first) = self.retained.front()
            && before(first.header.sequence, upto)
        {
            self.retained_bytes -= first.header.length as usize;
            if let Some((lane, cost)) = first.release {
                self.lanes[lane as usize].outbox -= cost;
            }
            self.questions -= usize::from(first.question);
            self.retained.pop_front();
            self.cursor = self.cursor.saturating_sub(1);
            progress = true;
        }
        if progress {
            self.replay_after = FIRST_REPLAY;
            self.replay_at = (self.replay_at.is_some() && !self.retained.is_empty())
                .then(|| now + self.replay_after);
        }
        Ok(())
    }

    /// The peer has given back so many units in all; older news are ignored.
    pub(super) fn credited(&mut self, credit: [u16; 2]) {
        for (lane, returned) in self.lanes.iter_mut().zip(credit) {
            let outstanding = lane.sent.wrapping_sub(lane.returned);
            let news = returned.wrapping_sub(lane.returned);
            if news != 0 && news <= outstanding {
                lane.returned = returned;
            }
        }
    }

    pub(super) fn ask(&mut self) -> bool {
        self.probe |= self.asked != Some(self.next_sequence);
        self.probe
    }

    /// Whether receipts are to be looked for.
    pub(super) fn take_probe(&mut self, waits: bool) -> bool {
        let asks = std::mem::take(&mut self.probe);
        if asks {
            self.asked = Some(self.next_sequence);
        }
        (asks || waits) && !self.retained.is_empty()
    }

    /// Whether something here waits for the peer: for credit, to be pulled, or to be matched.
    pub(super) fn awaits_peer(&self) -> bool {
        !self.sync.is_empty()
            || !self.parked.is_empty()
            || self.lanes.iter().any(|lane| !lane.queue.is_empty())
    }

    pub(super) fn replay(&mut self) {
        self.cursor = 0;
        self.probe = true;
    }

    pub(super) fn replay_at(&self) -> Option<Time> {
        self.replay_at
    }

    pub(super) fn on_timeout(&mut self, now: Time) {
        if self.replay_at.is_some_and(|at| at <= now) {
            self.replay();
            self.replay_after = (self.replay_after * 2).min(LAST_REPLAY);
            self.replay_at = Some(now + self.replay_after);
        }
    }

    pub(super) fn has_work(&self) -> bool {
        self.probe
            || self.cursor < self.retained.len()
            || !self.control.is_empty()
            || self.lanes.iter().any(|lane| !lane.queue.is_empty() || !lane.streams.is_empty())
    }

    pub(super) fn is_flushed(&self) -> bool {
        self.control.len() + self.retained.len() == self.questions
            && self.lanes.iter().all(|lane| lane.outbox == 0)
    }

    pub(super) fn owes(&self, lane: Lane) -> bool {
        self.lanes[lane as usize].outbox > 0
    }

    fn again(&mut self, path: Path) -> Frame {
        let retained = &mut self.retained[self.cursor];
        self.cursor += 1;
        let payload = retained.payload.share().expect("retained payloads are bytes");
        let mut header = retained.header;
        // It may have been sent first over a link where nobody but the peer could say it.
        header.flags = header.flags.without(Flags::ACK_NOW, path.receipts);
        Frame { header, signature: retained.signature, payload }
    }

    fn next_of(&mut self, lane: Lane, path: Path) -> Option<Draft> {
        if self.retained_bytes >= WINDOW_BYTES {
            return None;
        }
        let state = &mut self.lanes[lane as usize];
        let room = CREDIT - state.sent.wrapping_sub(state.returned);
        let pieces_turn = state.since_piece >= BETWEEN_PIECES && !state.streams.is_empty();
        if let Some((number, message)) = state.queue.front()
            && room > 0
            && !pieces_turn
        {
            let size = message.payload.size_hint();
            if size > path.stored || self.shelving.has(*number) {
                return self.next_stored(lane, path);
            }
            state.since_piece = state.since_piece.saturating_add(1);
            let total = size as u64;
            let eager = is_eager(total, path, room);
            let (number, message) = state.queue.pop_front()?;
            state.sent = state.sent.wrapping_add(if eager { units(total) } else { 1 });
            if message.sync {
                self.sync.insert(number);
            }
            return Some(self.draft(number, message, lane, eager));
        }
        self.next_piece(lane, path)
    }

    /// The envelope of the first message of a lane, if its payload is in the store. Those behind
    /// it wait with it, for messages keep their order.
    fn next_stored(&mut self, lane: Lane, path: Path) -> Option<Draft> {
        let state = &mut self.lanes[lane as usize];
        self.shelving.begin(&mut state.queue, path.stored);
        let first = state.queue.front().map(|(number, _)| *number)?;
        let Some(why) = self.shelving.take(first) else { return self.next_piece(lane, path) };
        let state = &mut self.lanes[lane as usize];
        state.since_piece = state.since_piece.saturating_add(1);
        let (number, mut message) = state.queue.pop_front()?;
        state.sent = state.sent.wrapping_add(1);
        if message.sync && why.size_hint() == 0 {
            self.sync.insert(number);
        }
        let (cost, total) = (message.cost(), message.payload.size_hint() as u64);
        message.payload = why;
        let draft = self.draft(number, message, lane, true);
        Some(Draft {
            kind: Kind::Envelope,
            flags: draft.flags.with(Flags::STORED, true),
            total,
            release: Some((lane, cost)),
            ..draft
        })
    }

    fn draft(&mut self, number: u32, message: Outgoing, lane: Lane, eager: bool) -> Draft {
        let Outgoing { space, tag, datatype, mut payload, sync, signature } = message;
        let (size, cost) = (payload.size_hint(), payload.size_hint() + super::UNIT as usize);
        let release = if eager {
            Some((lane, cost))
        } else {
            let parked = std::mem::replace(&mut payload, Payload::empty());
            let stream =
                Stream { message: number, space, datatype, lane, payload: parked, offset: 0, cost };
            self.parked.insert(number, stream);
            None
        };
        Draft {
            kind: if eager { Kind::Message } else { Kind::Envelope },
            flags: Flags::default()
                .with(Flags::COLLECTIVE, lane == Lane::Collective)
                .with(Flags::SYNC, sync)
                .with(Flags::SIGNED, signature.is_some()),
            space,
            tag,
            datatype,
            message: number,
            total: size as u64,
            signature,
            payload,
            release,
            question: false,
        }
    }

    fn next_piece(&mut self, lane: Lane, path: Path) -> Option<Draft> {
        let LaneState { streams, since_piece, .. } = &mut self.lanes[lane as usize];
        let mut stream = streams.pop_front()?;
        *since_piece = 0;
        let (offset, size) = (stream.offset, stream.payload.size_hint());
        let end = offset.saturating_add(path.chunk).min(size);
        let last = end == size;
        let piece = if last && offset == 0 {
            std::mem::replace(&mut stream.payload, Payload::empty())
        } else {
            stream.payload.slice(offset..end)
        };
        let draft = Draft {
            kind: Kind::Data,
            flags: Flags::default().with(Flags::COLLECTIVE, lane == Lane::Collective),
            space: stream.space,
            tag: 0,
            datatype: stream.datatype,
            message: stream.message,
            total: offset as u64,
            signature: None,
            payload: piece,
            release: last.then_some((lane, stream.cost)),
            question: false,
        };
        if !last {
            stream.offset = end;
            // To the back: large messages of one lane share it.
            streams.push_back(stream);
        }
        Some(draft)
    }

    fn number(&mut self, now: Time, path: Path, draft: Draft) -> Frame {
        let Draft { kind, flags, space, tag, datatype, message, total, signature, .. } = draft;
        let mut payload = draft.payload;
        let length = payload.size_hint() as u32;
        let mut pressed =
            self.retained.len() >= WINDOW / 2 || self.retained_bytes >= WINDOW_BYTES / 2;
        if pressed && path.receipts {
            (self.probe, pressed) = (true, false);
        }
        let header = Header {
            flags: flags.with(Flags::ACK_NOW, pressed),
            length,
            tag,
            datatype,
            sequence: self.next_sequence,
            message,
            total,
            ..blank(kind, space)
        };
        self.next_sequence = self.next_sequence.wrapping_add(1);
        if path.direct {
            if let Some((lane, cost)) = draft.release {
                self.lanes[lane as usize].outbox -= cost;
            }
            self.questions -= usize::from(draft.question);
            return Frame { header, signature, payload };
        }
        let copy = payload.share().expect("payloads that leave the process are bytes");
        self.retained_bytes += length as usize;
        self.retained.push_back(Retained {
            header,
            signature,
            payload: copy,
            release: draft.release,
            question: draft.question,
        });
        self.cursor = self.retained.len();
        if path.lossy && self.replay_at.is_none() {
            self.replay_at = Some(now + self.replay_after);
        }
        Frame { header, signature, payload }
    }
}

/// Whether a payload leaves with its envelope where there is room for so many units.
fn is_eager(total: u64, path: Path, room: u16) -> bool {
    // A message that costs no more than its envelope gains nothing by waiting.
    let affordable = if units(total) == 1 { room > 0 } else { units(total) + ENVELOPES <= room };
    total <= path.eager as u64 && affordable
}

fn blank(kind: Kind, space: Space) -> Header {
    Header {
        kind,
        flags: Flags::default(),
        length: 0,
        epoch: 0,
        source: 0,
        destination: 0,
        source_incarnation: 0,
        destination_incarnation: 0,
        space,
        tag: 0,
        datatype: Datatype::BYTES,
        sequence: 0,
        acknowledgement: 0,
        credit: [0; 2],
        message: 0,
        total: 0,
    }
}
