//! Two pairs over a wire that the bytes command: it loses, repeats, dies, and brings forged frames.

use super::Supply;
use fmi_actors::{
    Payload,
    clock::Time,
    frame::{Datatype, Frame, HEADER_LEN, Header, Space},
    pair::{Body, Ends, Event, Lane, Outgoing, Pair, Path},
};
use std::collections::VecDeque;

const WIRE: Path = Path { lossy: true, eager: 600, chunk: 300, ..Path::STREAM };
const OUTBOX: usize = 16 << 10;
/// Calls that one run makes at most; the corpus need not be longer.
const CALLS: usize = 400;
/// Milliseconds in which an honest wire delivers everything.
const PATIENCE: u64 = 600_000;

struct Side {
    pair: Pair,
    unmatched: VecDeque<fmi_actors::pair::Arrival>,
    pulling: Vec<(u32, Lane)>,
    sent: [Vec<Vec<u8>>; 2],
    got: [Vec<Vec<u8>>; 2],
}

/// Any calls, any frames: no panic, and without forged frames everything arrives once.
pub fn pair(data: &[u8]) {
    let mut supply = Supply(data);
    let mut sides = [Side::new(0, 1), Side::new(1, 0)];
    let mut now = 0_u64;
    let mut forged = false;
    for _ in 0..CALLS {
        if supply.is_empty() {
            break;
        }
        let command = supply.byte();
        let (from, time) = (usize::from(command >> 7), Time(now * 1_000_000));
        match command & 0x7f {
            0..=29 => sides[from].send(&mut supply),
            30..=69 => {
                carry(&mut sides, from, time, 1, forged);
            }
            70..=79 => {
                carry(&mut sides, from, time, 2, forged);
            }
            80..=89 => {
                carry(&mut sides, from, time, 0, forged);
            }
            90..=99 => sides[from].match_one(),
            100..=109 => {
                now += u64::from(supply.byte());
                sides.iter_mut().for_each(|side| side.tick(now));
            }
            110..=114 => sides.iter_mut().for_each(|side| side.pair.replay()),
            115 => {
                sides[from].pair.request_ack();
            }
            116 => sides[from].pair.settle(),
            _ => {
                forged = true;
                forge(&mut sides[from], &mut supply, time);
            }
        }
    }
    if !forged {
        finish(&mut sides, now);
    }
}

/// Delivers what is left and compares.
fn finish(sides: &mut [Side; 2], begun: u64) {
    for now in begun..begun + PATIENCE {
        let time = Time(now * 1_000_000);
        for from in 0..2 {
            while carry(sides, from, time, 1, false) {}
            sides[from].tick(now);
            while !sides[from].unmatched.is_empty() {
                sides[from].match_one();
            }
        }
        let count = |all: &[Vec<Vec<u8>>; 2]| all.iter().map(Vec::len).sum::<usize>();
        let arrived = (0..2).all(|at| count(&sides[at].got) == count(&sides[1 - at].sent));
        if arrived && sides.iter().all(|side| side.pair.is_flushed()) {
            break;
        }
    }
    let [one, two] = sides;
    for (sent, got) in [(&mut one.sent, &mut two.got), (&mut two.sent, &mut one.got)] {
        for (sent, got) in sent.iter_mut().zip(got) {
            // The payloads of envelopes complete in any order.
            sent.sort();
            got.sort();
            assert_eq!(sent, got, "lost, doubled or altered");
        }
    }
}

/// Moves a frame, if there is one, so many times.
fn carry(sides: &mut [Side; 2], from: usize, now: Time, copies: usize, forged: bool) -> bool {
    let Some(frame) = sides[from].pair.poll_transmit(now, WIRE, true) else { return false };
    for _ in 0..copies {
        let bytes = frame.payload.bytes().unwrap_or_default();
        let payload = Payload::copy_from(bytes, 1).expect("a small payload");
        let header = Header::decode(&frame.header.encode()).expect("a frame of ours");
        let copy = Frame { header, signature: frame.signature, payload };
        // Who was lied to may take the truth for a lie.
        sides[1 - from].take(now, copy, !forged);
    }
    true
}

/// A frame of somebody who may say anything.
fn forge(side: &mut Side, supply: &mut Supply<'_>, now: Time) {
    let mut bytes = [0; HEADER_LEN];
    let given = supply.take(HEADER_LEN);
    bytes[..given.len()].copy_from_slice(given);
    bytes[0] = 1;
    bytes[1] = 1 + bytes[1] % 8;
    let Ok(mut header) = Header::decode(&bytes) else { return };
    // Else it is dropped at once.
    let ends = side.pair.ends();
    header.epoch = ends.epoch;
    (header.source, header.destination) = (ends.remote, ends.local);
    (header.source_incarnation, header.destination_incarnation) = (1, 1);
    header.sequence %= 64;
    header.acknowledgement %= 64;
    header.message %= 64;
    let body = vec![7; usize::from(supply.short() % 2000)];
    header.length = body.len() as u32;
    let payload = Payload::copy_from(&body, 1).expect("a small payload");
    side.take(now, Frame { header, signature: None, payload }, false);
}

impl Side {
    fn new(local: u32, remote: u32) -> Self {
        let ends = Ends { epoch: 9, local, remote, local_incarnation: 1, remote_incarnation: 1 };
        Self {
            pair: Pair::new(ends, OUTBOX),
            unmatched: VecDeque::new(),
            pulling: Vec::new(),
            sent: Default::default(),
            got: Default::default(),
        }
    }

    fn send(&mut self, supply: &mut Supply<'_>) {
        let kind = supply.byte();
        let lane = if kind & 1 == 1 { Lane::Collective } else { Lane::User };
        let bytes = vec![supply.byte(); usize::from(supply.short() % 3000)];
        let message = Outgoing {
            space: Space { scope: 5, number: u32::from(lane == Lane::Collective) },
            tag: 3,
            datatype: Datatype::BYTES,
            payload: Payload::copy_from(&bytes, 1).expect("a small payload"),
            sync: kind & 2 == 2,
            signature: None,
        };
        if self.pair.submit(message).is_ok() {
            self.sent[lane as usize].push(bytes);
        }
    }

    fn take(&mut self, now: Time, frame: Frame, honest: bool) {
        let buf = self.pair.take_assembly(&frame.header).map(|mut buf| {
            buf.extend(frame.payload.bytes().unwrap_or_default());
            buf
        });
        let mut taken = self.pair.receive(now, WIRE, frame, buf);
        while let Ok(Some(event)) = taken {
            match event {
                Event::Message(arrival) => self.unmatched.push_back(arrival),
                Event::Pulled { message, payload } => {
                    let at = self.pulling.iter().position(|(number, _)| *number == message);
                    if let Some(at) = at {
                        let (_, lane) = self.pulling.remove(at);
                        self.keep(lane, &payload);
                    }
                }
                Event::Matched { .. } | Event::Discarded { .. } | Event::Notice { .. } => {}
            }
            taken = self.pair.follow(now, WIRE);
        }
        assert!(!honest || taken.is_ok(), "{taken:?}");
    }

    fn match_one(&mut self) {
        let Some(arrival) = self.unmatched.pop_front() else { return };
        let lane = arrival.lane();
        self.pair.consumed(lane, arrival.message, arrival.credit);
        match arrival.body {
            Body::Here(payload) => {
                if arrival.sync {
                    self.pair.matched(arrival.space, arrival.message);
                }
                self.keep(lane, &payload);
            }
            // A forged length; who receives would ask for the memory.
            Body::There if arrival.total > 1 << 20 => {
                self.pair.discard(arrival.space, arrival.message);
            }
            // Forged: nothing here goes into a store.
            Body::Stored | Body::Missing(_) => {}
            Body::There => {
                let (space, number) = (arrival.space, arrival.message);
                if let Some(payload) = self.pair.pulled(number) {
                    self.keep(lane, &payload);
                } else if self
                    .pair
                    .pull(space, number, arrival.total, arrival.datatype, false)
                    .is_ok()
                {
                    self.pulling.push((number, lane));
                }
            }
        }
    }

    fn tick(&mut self, now: u64) {
        let now = Time(now * 1_000_000);
        if self.pair.poll_timeout().is_some_and(|at| at <= now) {
            self.pair.on_timeout(now);
        }
    }

    fn keep(&mut self, lane: Lane, payload: &Payload) {
        self.got[lane as usize].push(payload.bytes().unwrap_or_default().to_vec());
    }
}
