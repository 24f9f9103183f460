//! Two pairs on a virtual clock, over links that lose, repeat, reorder and die.

mod ahead;
mod receipts;

use super::*;
use crate::clock::Time;
use proptest::prelude::*;
use std::collections::VecDeque;

const LOSSY: Path = Path { lossy: true, eager: 2000, chunk: 1000, ..Path::STREAM };
const OUTBOX: usize = 64 << 10;

/// What a link does to frames, in percent.
#[derive(Debug, Clone, Copy)]
struct Faults {
    lost: u64,
    repeated: u64,
    /// Frames are delayed by up to so many milliseconds, each by its own.
    jitter: u64,
}

/// A small deterministic generator, so that a seed tells the whole run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % sides.max(1)
    }
}

/// A rank: its pair, what it has to send, what waits to be matched, what it got.
struct Side {
    pair: Pair,
    to_send: VecDeque<(Lane, Vec<u8>)>,
    unmatched: VecDeque<Arrival>,
    pulling: Vec<(u32, Lane)>,
    /// Matched; the payload is in the store.
    shelved: Vec<Arrival>,
    got: [Vec<Vec<u8>>; 2],
    matched: usize,
}

impl Side {
    fn new(local: u32, remote: u32) -> Self {
        Self {
            pair: Pair::new(ends(local, remote), OUTBOX),
            to_send: VecDeque::new(),
            unmatched: VecDeque::new(),
            pulling: Vec::new(),
            shelved: Vec::new(),
            got: Default::default(),
            matched: 0,
        }
    }

    fn submit(&mut self) {
        while let Some((lane, bytes)) = self.to_send.pop_front() {
            match self.pair.submit(Outgoing { sync: is_sync(&bytes), ..message(lane, &bytes) }) {
                Ok(_) => {}
                Err(_) => {
                    self.to_send.push_front((lane, bytes));
                    break;
                }
            }
        }
    }

    fn take(&mut self, now: Time, frame: Frame, path: Path) {
        let buf = self.pair.take_assembly(&frame.header).map(|mut buf| {
            buf.extend(frame.payload.bytes().unwrap());
            buf
        });
        let mut next = self.pair.receive(now, path, frame, buf).unwrap();
        while let Some(event) = next {
            match event {
                Event::Message(arrival) => self.unmatched.push_back(arrival),
                Event::Pulled { message, payload } => {
                    let at = self.pulling.iter().position(|(m, _)| *m == message).unwrap();
                    let (_, lane) = self.pulling.remove(at);
                    self.finish(lane, &payload);
                }
                Event::Matched { .. } => self.matched += 1,
                Event::Discarded { .. } | Event::Notice { .. } => {}
            }
            next = self.pair.follow(now, path).unwrap();
        }
    }

    /// The application receives the oldest message.
    fn match_one(&mut self) {
        let Some(arrival) = self.unmatched.pop_front() else { return };
        let lane = arrival.lane();
        self.pair.consumed(lane, arrival.message, arrival.credit);
        match arrival.body {
            Body::Here(payload) => {
                if arrival.sync {
                    self.pair.matched(arrival.space, arrival.message);
                }
                self.finish(lane, &payload);
            }
            Body::Stored | Body::Missing(_) => self.shelved.push(arrival),
            Body::There => {
                let (space, number) = (arrival.space, arrival.message);
                if let Some(payload) = self.pair.pulled(number) {
                    return self.finish(lane, &payload);
                }
                self.pair.pull(space, number, arrival.total, arrival.datatype, false).unwrap();
                self.pulling.push((arrival.message, lane));
            }
        }
    }

    fn finish(&mut self, lane: Lane, payload: &Payload) {
        self.got[lane as usize].push(payload.bytes().unwrap().to_vec());
    }
}

fn ends(local: u32, remote: u32) -> Ends {
    Ends { epoch: 9, local, remote, local_incarnation: 1, remote_incarnation: 1 }
}

fn message(lane: Lane, bytes: &[u8]) -> Outgoing {
    Outgoing {
        space: Space { scope: 5, number: u32::from(lane == Lane::Collective) },
        tag: 3,
        datatype: Datatype::BYTES,
        payload: Payload::copy_from(bytes, 1).unwrap(),
        sync: true,
        signature: None,
    }
}

/// Of those in a conversation, whether the sender wants to know that it is matched.
fn is_sync(bytes: &[u8]) -> bool {
    !bytes.len().is_multiple_of(3)
}

/// A frame on its way.
struct Flying {
    /// Millisecond of its arrival.
    at: u64,
    link: usize,
    to: usize,
    head: [u8; crate::frame::HEADER_LEN],
    body: Vec<u8>,
    signature: Option<Signature>,
}

/// Runs until both sides have everything; returns the virtual milliseconds it took.
fn converse(sides: &mut [Side; 2], faults: [Faults; 2], seed: u64, dies_at: Option<u64>) -> u64 {
    let mut dice = Dice(seed);
    let mut wire: Vec<Flying> = Vec::new();
    let expected: Vec<usize> = sides.iter().map(|side| side.to_send.len()).collect();
    let sync = |side: &Side| side.to_send.iter().filter(|(_, bytes)| is_sync(bytes)).count();
    let sync: Vec<usize> = sides.iter().map(sync).collect();
    for ms in 0..600_000u64 {
        let now = Time(ms * 1_000_000);
        let dead = dies_at.is_some_and(|at| ms >= at);
        if dies_at == Some(ms) {
            wire.retain(|frame| frame.link != 0);
            sides.iter_mut().for_each(|side| side.pair.replay());
        }
        let mut index = 0;
        while index < wire.len() {
            if wire[index].at > ms {
                index += 1;
                continue;
            }
            let Flying { to, head, body, signature, .. } = wire.swap_remove(index);
            let header = Header::decode(&head).unwrap();
            let payload = Payload::copy_from(&body, 1).unwrap();
            sides[to].take(now, Frame { header, signature, payload }, LOSSY);
        }
        for (from, side) in sides.iter_mut().enumerate() {
            side.submit();
            (0..dice.roll(4)).for_each(|_| side.match_one());
            if side.pair.poll_timeout().is_some_and(|at| at <= now) {
                side.pair.on_timeout(now);
            }
            while let Some(frame) = side.pair.poll_transmit(now, LOSSY, dice.roll(8) != 0) {
                let link = if dead { 1 } else { dice.roll(2) as usize };
                let fault = faults[link];
                let copies = 1 + u64::from(dice.roll(100) < fault.repeated);
                for _ in 0..copies {
                    if dice.roll(100) >= fault.lost {
                        let body = frame.payload.bytes().unwrap().to_vec();
                        let at = ms + 1 + dice.roll(fault.jitter + 1);
                        let (to, head) = (1 - from, frame.header.encode());
                        let signature = frame.signature;
                        wire.push(Flying { at, link, to, head, body, signature });
                    }
                }
            }
        }
        let complete = (0..2).all(|at| {
            sides[at].got.iter().map(Vec::len).sum::<usize>() == expected[1 - at]
                && sides[at].matched == sync[at]
                && sides[at].pair.is_flushed()
        });
        if complete {
            return ms;
        }
    }
    panic!("the conversation did not end");
}

fn check(sizes: &[(bool, usize)], faults: [Faults; 2], seed: u64, dies_at: Option<u64>) -> u64 {
    let mut sides = [Side::new(0, 1), Side::new(1, 0)];
    let mut sent: [[Vec<Vec<u8>>; 2]; 2] = Default::default();
    for (index, (collective, size)) in sizes.iter().enumerate() {
        let lane = if *collective { Lane::Collective } else { Lane::User };
        let bytes: Vec<u8> = (0..*size).map(|at| (at * 7 + index) as u8).collect();
        sides[index % 2].to_send.push_back((lane, bytes.clone()));
        sent[1 - index % 2][lane as usize].push(bytes);
    }
    let took = converse(&mut sides, faults, seed, dies_at);
    for (side, mut sent) in sides.into_iter().zip(sent) {
        // Messages are matched in the order sent; the payloads of envelopes complete later.
        for (mut got, sent) in side.got.into_iter().zip(&mut sent) {
            got.sort();
            sent.sort();
            assert_eq!(&got, sent);
        }
    }
    took
}

const PERFECT: Faults = Faults { lost: 0, repeated: 0, jitter: 0 };
const AWFUL: Faults = Faults { lost: 25, repeated: 25, jitter: 40 };

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn everything_arrives_once_whatever_the_links_do(
        sizes in prop::collection::vec((any::<bool>(), 0usize..6000), 1..60),
        faults in prop::array::uniform2((0u64..40, 0u64..40, 0u64..60)),
        seed in any::<u64>(),
        dies_at in prop::option::of(0u64..200),
    ) {
        let faults = faults.map(|(lost, repeated, jitter)| Faults { lost, repeated, jitter });
        check(&sizes, faults, seed, dies_at);
    }
}

#[test]
fn failover_between_two_links_needs_no_timer() {
    // The first link dies with everything in flight; the second is perfect.
    let sizes: Vec<_> = (0..50).map(|index| (index % 3 == 0, index * 100)).collect();
    let lost = Faults { lost: 100, ..PERFECT };
    assert!(check(&sizes, [lost, PERFECT], 1, Some(20)) < 2_000);
    check(&sizes, [AWFUL, AWFUL], 7, Some(20));
}

/// Moves frames over a perfect stream until neither side has any.
fn settle(a: &mut Side, b: &mut Side, path: Path) -> Vec<Kind> {
    let mut kinds = Vec::new();
    loop {
        let before = kinds.len();
        for flip in [false, true] {
            let (from, to) = if flip { (&mut *b, &mut *a) } else { (&mut *a, &mut *b) };
            while let Some(frame) = from.pair.poll_transmit(Time(0), path, true) {
                kinds.push(frame.header.kind);
                to.take(Time(0), frame, path);
            }
        }
        if kinds.len() == before {
            return kinds;
        }
    }
}

#[test]
fn a_flood_is_bounded_at_both_ends() {
    let (mut a, mut b) = (Side::new(0, 1), Side::new(1, 0));
    a.pair = Pair::new(ends(0, 1), 64 << 20);
    let payload = vec![1; 10_000];
    let mut submitted = 0;
    while a.pair.submit(message(Lane::User, &payload)).is_ok() {
        submitted += 1;
    }
    assert!(submitted > 6000, "the outbox bounds the sender");
    // The window reserves slots; acknowledgements reopen it until credit runs out.
    settle(&mut a, &mut b, Path::STREAM);
    let here: u64 = b.unmatched.iter().map(|m| u64::from(m.credit) * UNIT).sum();
    assert!(here <= u64::from(CREDIT) * UNIT, "{here} bytes wait at the receiver");
    assert!(b.unmatched.iter().any(|m| matches!(m.body, Body::There)), "then only envelopes");
    // A collective message still gets through.
    a.pair.submit(message(Lane::Collective, b"sum")).unwrap();
    settle(&mut a, &mut b, Path::STREAM);
    assert_eq!(b.unmatched.back().unwrap().lane(), Lane::Collective);
    // And when the receiver reads, everything comes.
    while b.got[0].len() + b.got[1].len() < submitted + 1 {
        b.match_one();
        settle(&mut a, &mut b, Path::STREAM);
    }
    assert!(a.matched == submitted + 1);
}

#[test]
fn one_message_of_any_size_fits_an_empty_outbox() {
    let mut a = Side::new(0, 1);
    let big = vec![0; 10 * OUTBOX];
    assert!(a.pair.submit(message(Lane::User, &big)).is_ok());
    assert!(a.pair.submit(message(Lane::User, b"")).is_err());
    assert!(a.pair.submit(message(Lane::Collective, &big)).is_ok(), "lanes have their own");
}

#[test]
fn inside_a_process_nothing_is_retained_or_cut() {
    let (mut a, mut b) = (Side::new(0, 1), Side::new(1, 0));
    a.pair.submit(message(Lane::User, &vec![5; 3 << 20])).unwrap();
    let kinds = settle(&mut a, &mut b, Path::DIRECT);
    assert_eq!(kinds, [Kind::Message]);
    b.match_one();
    assert_eq!(settle(&mut a, &mut b, Path::DIRECT), [Kind::Matched]);
    assert!(a.pair.is_flushed());
}

#[test]
fn collectives_and_control_pass_waiting_user_frames() {
    let mut a = Side::new(0, 1);
    for _ in 0..3 {
        a.pair.submit(message(Lane::User, b"user")).unwrap();
    }
    a.pair.submit(message(Lane::Collective, b"collective")).unwrap();
    a.pair.notice(Space { scope: 1, number: 2 }, Payload::empty());
    let order: Vec<_> = std::iter::from_fn(|| a.pair.poll_transmit(Time(0), Path::STREAM, true))
        .map(|frame| (frame.header.kind, frame.header.space.is_collective()))
        .collect();
    assert_eq!(order[..2], [(Kind::Notice, true), (Kind::Message, true)]);
    assert_eq!(order.len(), 5);
}

#[test]
fn frames_of_another_epoch_or_incarnation_are_dropped() {
    for stale in 0..3 {
        let (mut a, mut b) = (Side::new(0, 1), Side::new(1, 0));
        match stale {
            0 => a.pair.ends.epoch += 1,
            1 => a.pair.ends.local_incarnation += 1,
            _ => a.pair.ends.remote_incarnation += 1,
        }
        a.pair.submit(message(Lane::User, b"echo")).unwrap();
        settle(&mut a, &mut b, Path::STREAM);
        assert!(b.unmatched.is_empty());
    }
}

#[test]
fn what_no_correct_peer_sends_is_a_violation() {
    let frame = |change: fn(&mut Header)| {
        let mut a = Side::new(0, 1);
        a.pair.submit(message(Lane::User, b"x")).unwrap();
        let mut frame = a.pair.poll_transmit(Time(0), Path::STREAM, true).unwrap();
        change(&mut frame.header);
        Side::new(1, 0).pair.receive(Time(0), Path::STREAM, frame, None).map(drop)
    };
    assert_eq!(frame(|_| ()), Ok(()));
    assert_eq!(frame(|header| header.acknowledgement = 1), Err(Violation::Acknowledgement));
    assert_eq!(frame(|header| header.sequence = 5000), Err(Violation::Window));
    assert_eq!(frame(|header| header.kind = Kind::Data), Err(Violation::Data));
}

#[test]
fn a_dead_link_gives_its_half_read_payload_back() {
    let path = Path { chunk: 1000, eager: 0, ..Path::STREAM };
    let (mut a, mut b) = (Side::new(0, 1), Side::new(1, 0));
    let bytes: Vec<u8> = (0..3000u32).map(|at| at as u8).collect();
    a.pair.submit(message(Lane::User, &bytes)).unwrap();
    let envelope = a.pair.poll_transmit(Time(0), path, true).unwrap();
    b.take(Time(0), envelope, path);
    b.match_one();
    let pull = b.pair.poll_transmit(Time(0), path, true).unwrap();
    a.take(Time(0), pull, path);
    let first = a.pair.poll_transmit(Time(0), path, true).unwrap();
    // The link begins to read into the buffer; meanwhile another link brings the same frame.
    let header = first.header;
    let buf = b.pair.take_assembly(&header).unwrap();
    b.take(Time(0), first, path);
    assert_eq!(b.pair.take_assembly(&header).map(|buf| buf.len()), None);
    // The first link dies: its buffer comes back, and the copy takes its turn.
    b.pair.return_assembly(&header, buf);
    assert!(b.pair.follow(Time(0), path).unwrap().is_none());
    settle(&mut a, &mut b, path);
    assert_eq!(b.got[0], [bytes]);
}

#[test]
fn a_long_one_way_stream_is_acknowledged_without_timers() {
    let (mut a, mut b) = (Side::new(0, 1), Side::new(1, 0));
    for _ in 0..5000 {
        a.pair.submit(message(Lane::User, &[0; 64])).unwrap();
        settle(&mut a, &mut b, Path::STREAM);
        b.match_one();
    }
    assert!(a.pair.out_is_small());
}

impl Pair {
    fn out_is_small(&self) -> bool {
        self.is_flushed() || self.has_room(Lane::User, OUTBOX / 2)
    }
}
