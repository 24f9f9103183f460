//! The receiving half: order, duplicates, credit given back, payloads put together.

use super::{
    ACK_DELAY, Arrival, Body, CREDIT, Event, Lane, Path, Violation, WINDOW, WINDOW_BYTES,
    ahead::Ahead, before, outbound::Outbound, units,
};
use crate::{
    AlignedBuf, Payload, Result,
    clock::Time,
    frame::{Datatype, Flags, Frame, Header, Kind},
};
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, btree_map::Entry};

/// An acknowledgement does not wait for company after so many frames or bytes.
const ACK_FRAMES: u32 = 256;
const ACK_BYTES: usize = 1 << 20;
/// Credit is reported without waiting for company when this much can be given back.
const CREDIT_NEWS: u16 = CREDIT / 4;

#[derive(Debug, Default)]
pub(super) struct Inbound {
    expected: u32,
    /// Frames that came before their turn.
    early: BTreeMap<u32, Frame>,
    early_bytes: usize,
    lanes: [LaneState; 2],
    /// Payloads that were pulled, by message.
    assemblies: FxHashMap<u32, Assembly>,
    /// Payloads that are asked for before they are matched.
    ahead: Ahead,
    /// Since when an acknowledgement is owed.
    pub(super) owed_since: Option<Time>,
    owed_frames: u32,
    owed_bytes: usize,
    /// It is due with the next frame, or in one of its own.
    pub(super) ack_now: bool,
    /// The sender has no credit left, and does not know of some that was given back.
    pub(super) owes_credit: bool,
}

#[derive(Debug, Default)]
struct LaneState {
    /// Credit units received, given back, and reported; counted from the start, wrapping.
    received: u16,
    returned: u16,
    reported: u16,
}

#[derive(Debug)]
struct Assembly {
    /// Not there while a link reads into it.
    buf: Option<AlignedBuf>,
    total: u64,
}

impl Inbound {
    /// Puts acknowledgement and credit into a header that leaves.
    pub(super) fn stamp(&mut self, header: &mut Header) {
        header.acknowledgement = self.expected;
        for (slot, lane) in header.credit.iter_mut().zip(&mut self.lanes) {
            *slot = lane.returned;
            lane.reported = lane.returned;
        }
        self.ack_now = false;
        self.owes_credit = false;
        self.owed_since = None;
        self.owed_frames = 0;
        self.owed_bytes = 0;
    }

    /// A message was taken or dropped: its units go to those that wait at the sender, and back.
    pub(super) fn consumed(&mut self, lane: Lane, message: u32, units: u16, out: &mut Outbound) {
        self.ahead.taken(lane, message, units);
        // Of those, one is for the next envelope.
        let least = self.ahead.give_back(lane, units.min(1));
        while let Some(parked) = self.ahead.next(lane) {
            // If there is no memory, it has to wait for its receive, which fails.
            if self.expect(parked.message, parked.total, parked.datatype, false) == Ok(true) {
                self.ahead.lend(lane, &parked);
                out.control(Kind::Pull, parked.space, parked.message, Payload::empty());
            }
        }
        let units = least + self.ahead.give_back(lane, 0);
        let lane = &mut self.lanes[lane as usize];
        lane.returned = lane.returned.wrapping_add(units);
        self.ack_now |= lane.returned.wrapping_sub(lane.reported) >= CREDIT_NEWS;
        // A little room need not be told at once, but what waits for it has to come.
        self.owes_credit |= units > 0 && lane.received.wrapping_sub(lane.reported) >= CREDIT;
    }

    /// The payload of a message that was asked for ahead, if it is here.
    pub(super) fn take_ahead(&mut self, message: u32) -> Option<Payload> {
        self.ahead.take(message)
    }

    /// Prepares for a payload; true if it has to be asked for.
    pub(super) fn expect(
        &mut self,
        message: u32,
        total: u64,
        datatype: Datatype,
        direct: bool,
    ) -> Result<bool> {
        if self.assemblies.contains_key(&message) {
            return Ok(false);
        }
        let too_large = crate::Error::TooLarge { bytes: total };
        let capacity = usize::try_from(total).map_err(|_| too_large)?;
        // What is handed over needs no memory here.
        let capacity = if direct { 0 } else { capacity };
        let buf = AlignedBuf::with_capacity(capacity, datatype.align())?;
        self.assemblies.insert(message, Assembly { buf: Some(buf), total });
        Ok(true)
    }

    pub(super) fn take_assembly(&mut self, header: &Header) -> Option<AlignedBuf> {
        if header.kind != Kind::Data || header.sequence != self.expected {
            return None;
        }
        let assembly = self.assemblies.get_mut(&header.message)?;
        let filled = assembly.buf.as_ref()?.len() as u64;
        let fits = filled == header.total && filled + u64::from(header.length) <= assembly.total;
        if fits { assembly.buf.take() } else { None }
    }

    pub(super) fn put_back(&mut self, message: u32, buf: AlignedBuf) {
        if let Some(assembly) = self.assemblies.get_mut(&message) {
            assembly.buf = Some(buf);
        }
    }

    pub(super) fn receive(
        &mut self,
        now: Time,
        path: Path,
        frame: Frame,
        out: &mut Outbound,
    ) -> Result<Option<Event>, Violation> {
        let sequence = frame.header.sequence;
        if before(sequence, self.expected) {
            // A duplicate means that the sender does not know what arrived, unless its channel
            // tells it.
            self.ack_now |= !path.receipts;
            return Ok(None);
        }
        if sequence.wrapping_sub(self.expected) as usize > WINDOW {
            return Err(Violation::Window);
        }
        if sequence != self.expected || self.is_being_read(&frame) {
            return self.keep(frame).map(|()| None);
        }
        // A copy may have come over another link while this one was being read.
        if !self.early.is_empty()
            && let Some(copy) = self.early.remove(&sequence)
        {
            self.early_bytes -= copy.header.length as usize;
        }
        match self.apply(now, path, frame, out)? {
            Some(event) => Ok(Some(event)),
            None => self.follow(now, path, out),
        }
    }

    /// Whether the sender of this header knew less than we do now.
    pub(super) fn is_old(&self, header: &Header) -> bool {
        before(header.sequence, self.expected)
    }

    /// Processes frames whose turn has come, until one of them says something.
    pub(super) fn follow(
        &mut self,
        now: Time,
        path: Path,
        out: &mut Outbound,
    ) -> Result<Option<Event>, Violation> {
        while !self.early.is_empty()
            && let Some(frame) = self.early.remove(&self.expected)
        {
            self.early_bytes -= frame.header.length as usize;
            if self.is_being_read(&frame) {
                return self.keep(frame).map(|()| None);
            }
            if let Some(event) = self.apply(now, path, frame, out)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    fn keep(&mut self, frame: Frame) -> Result<(), Violation> {
        let bytes = frame.header.length as usize;
        if self.early_bytes + bytes > 2 * WINDOW_BYTES {
            return Err(Violation::Window);
        }
        // The first copy counts, also if another claims to be longer.
        if let Entry::Vacant(place) = self.early.entry(frame.header.sequence) {
            place.insert(frame);
            self.early_bytes += bytes;
        }
        Ok(())
    }

    fn is_being_read(&self, frame: &Frame) -> bool {
        frame.header.kind == Kind::Data
            && self.assemblies.get(&frame.header.message).is_some_and(|a| a.buf.is_none())
    }

    fn apply(
        &mut self,
        now: Time,
        path: Path,
        frame: Frame,
        out: &mut Outbound,
    ) -> Result<Option<Event>, Violation> {
        self.expected = self.expected.wrapping_add(1);
        if !path.direct && !path.receipts {
            self.owe(now, frame.header.length as usize);
        }
        let (kind, space, message) = (frame.header.kind, frame.header.space, frame.header.message);
        Ok(match kind {
            Kind::Message | Kind::Envelope => Some(Event::Message(self.arrival(path, frame)?)),
            Kind::Data => {
                let payload = self.piece(path, &frame.header, frame.payload)?;
                payload.map(|payload| Event::Pulled { message, payload })
            }
            Kind::Pull => {
                out.pulled(message);
                out.sync.remove(&message).then_some(Event::Matched { message })
            }
            Kind::Matched => out.sync.remove(&message).then_some(Event::Matched { message }),
            Kind::Discard => {
                out.discarded(message);
                out.sync.remove(&message).then_some(Event::Discarded { message })
            }
            Kind::Notice => Some(Event::Notice { space, cause: frame.payload }),
            Kind::Ack => None,
        })
    }

    fn owe(&mut self, now: Time, bytes: usize) {
        self.owed_since.get_or_insert(now);
        self.owed_frames += 1;
        self.owed_bytes += bytes;
        self.ack_now |= self.owed_frames >= ACK_FRAMES
            || self.owed_bytes >= ACK_BYTES
            || self.owed_since.is_some_and(|since| since + ACK_DELAY <= now);
    }

    fn arrival(&mut self, path: Path, frame: Frame) -> Result<Arrival, Violation> {
        let Frame { header, signature, payload } = frame;
        let whole = header.kind == Kind::Message;
        let cost = if whole { units(header.total) } else { 1 };
        let of = Lane::of(header.flags);
        let lane = &mut self.lanes[of as usize];
        lane.received = lane.received.wrapping_add(cost);
        if lane.received.wrapping_sub(lane.returned) > CREDIT {
            return Err(Violation::Credit);
        }
        // Some was given back before the sender had used all that it knows of.
        self.owes_credit |=
            lane.returned != lane.reported && lane.received.wrapping_sub(lane.reported) >= CREDIT;
        let sync = header.flags.has(Flags::SYNC);
        let body = match header.flags.has(Flags::STORED) {
            _ if whole => Body::Here(payload),
            false => Body::There,
            true if header.length == 0 => Body::Stored,
            true => Body::Missing(payload),
        };
        // With credit it would have come along. To ask for one whose sender waits for the match says
        // that it is matched.
        if matches!(body, Body::There) && !path.direct && !sync && header.total <= path.eager as u64
        {
            self.ahead.park(of, &header);
        }
        Ok(Arrival {
            source: header.source,
            space: header.space,
            tag: header.tag,
            datatype: header.datatype,
            total: header.total,
            body,
            sync,
            credit: cost,
            message: header.message,
            signature,
        })
    }

    /// Adds a piece; the payload, when it is whole.
    fn piece(
        &mut self,
        path: Path,
        header: &Header,
        payload: Payload,
    ) -> Result<Option<Payload>, Violation> {
        let assembly = self.assemblies.get_mut(&header.message).ok_or(Violation::Data)?;
        if path.direct {
            self.assemblies.remove(&header.message);
            return Ok(Some(payload));
        }
        let buf = assembly.buf.as_mut().ok_or(Violation::Data)?;
        let (start, end) = (header.total, header.total + u64::from(header.length));
        if end > assembly.total {
            return Err(Violation::Data);
        }
        // The link may have read the piece straight into the buffer.
        if buf.len() as u64 != end {
            if buf.len() as u64 != start {
                return Err(Violation::Data);
            }
            buf.extend(payload.bytes().unwrap_or_default());
        }
        if (buf.len() as u64) < assembly.total {
            return Ok(None);
        }
        let assembly = self.assemblies.remove(&header.message).ok_or(Violation::Data)?;
        let payload = assembly.buf.map(Payload::from);
        Ok(payload.and_then(|payload| self.ahead.keep(header.message, payload)))
    }
}
