//! Over a link whose channel learns what has been read, and from there to one where the receiver
//! has to say it.

use super::*;

const RECEIPTS: Path = Path { receipts: true, ..Path::STREAM };

/// Objects that one side puts somewhere and the other reads, in order.
#[derive(Default)]
struct Mailbox {
    frames: VecDeque<Frame>,
    /// All frames before this one have been read.
    read: u32,
    acks: usize,
}

impl Mailbox {
    /// Puts there what the pair has to say; whether it wants to know what has been read.
    fn put(&mut self, side: &mut Side) -> bool {
        while let Some(frame) = side.pair.poll_transmit(Time(0), RECEIPTS, true) {
            assert!(!frame.header.flags.has(Flags::ACK_NOW), "nobody is to answer");
            self.acks += usize::from(frame.header.kind == Kind::Ack);
            self.frames.push_back(frame);
        }
        side.pair.wants_receipts(false)
    }

    fn read(&mut self, side: &mut Side, most: usize) {
        for frame in self.frames.drain(..most.min(self.frames.len())) {
            if frame.header.kind != Kind::Ack {
                self.read = self.read.max(frame.header.sequence + 1);
            }
            side.take(Time(0), frame, RECEIPTS);
        }
    }
}

#[test]
fn what_has_been_read_is_acknowledged_by_nobody() {
    let (mut a, mut b) = (Side::new(0, 1), Side::new(1, 0));
    let mut there = Mailbox::default();
    for _ in 0..3 {
        a.pair.submit(message(Lane::User, &[7; 5000])).unwrap();
    }
    assert!(!there.put(&mut a), "nobody waits yet");
    there.read(&mut b, usize::MAX);
    assert!(!b.pair.owes_ack() && !b.pair.has_work() && b.pair.poll_timeout().is_none());
    assert!(!a.pair.is_flushed());
    a.pair.request_ack();
    assert!(there.put(&mut a) && there.acks == 0);
    a.pair.receipt(Time(0), 2).unwrap();
    assert!(!a.pair.is_flushed(), "one is missing");
    a.pair.receipt(Time(0), 3).unwrap();
    assert!(a.pair.is_flushed() && a.pair.has_room(Lane::User, OUTBOX));
    // Who has everything need not look.
    a.pair.request_ack();
    assert!(!there.put(&mut a));
}

#[test]
fn nobody_waits_until_a_question_has_been_read() {
    let (mut a, mut there) = (Side::new(0, 1), Mailbox::default());
    let space = Space { scope: 1, number: 2 };
    a.pair.question(space, Payload::empty());
    assert!(a.pair.is_flushed() && a.pair.has_work());
    there.put(&mut a);
    assert!(a.pair.is_flushed());
    a.pair.notice(space, Payload::empty());
    there.put(&mut a);
    a.pair.question(space, Payload::empty());
    there.put(&mut a);
    assert!(!a.pair.is_flushed(), "a failure has to be known");
    a.pair.receipt(Time(0), 2).unwrap();
    assert!(a.pair.is_flushed());
    a.pair.receipt(Time(0), 3).unwrap();
    assert!(a.pair.is_flushed());
}

#[test]
fn a_receipt_of_what_was_never_sent_changes_nothing() {
    let (mut a, mut there) = (Side::new(0, 1), Mailbox::default());
    a.pair.submit(message(Lane::User, b"x")).unwrap();
    there.put(&mut a);
    assert_eq!(a.pair.receipt(Time(0), 2), Err(Violation::Acknowledgement));
    assert!(!a.pair.is_flushed());
    // Nor does an old one.
    a.pair.receipt(Time(0), 1).unwrap();
    a.pair.receipt(Time(0), 0).unwrap();
    assert!(a.pair.is_flushed());
}

#[test]
fn a_long_stream_looks_for_receipts_and_only_credit_is_told() {
    let (mut a, mut b) = (Side::new(0, 1), Side::new(1, 0));
    a.pair = Pair::new(ends(0, 1), 64 << 20);
    let (mut there, mut back) = (Mailbox::default(), Mailbox::default());
    let (count, mut looks) = (3 * usize::from(CREDIT), 0);
    for _ in 0..count {
        let quiet = Outgoing { sync: false, ..message(Lane::User, b"tick") };
        a.pair.submit(quiet).unwrap();
        if there.put(&mut a) {
            looks += 1;
            // Nobody has read yet what was put there last.
            a.pair.receipt(Time(0), there.read).unwrap();
        }
        there.read(&mut b, usize::MAX);
        b.match_one();
        back.put(&mut b);
        back.read(&mut a, usize::MAX);
    }
    assert_eq!(b.got[0].len(), count);
    assert!((count / WINDOW..50).contains(&looks), "{looks} looks before the window is full");
    assert_eq!((there.acks, back.acks), (0, 12), "a quarter of a lane at a time");
}

/// The link through the store is bettered by a stream, at any place in a conversation.
#[test]
fn a_stream_takes_over_where_receipts_are_missing() {
    for (read, told) in [(0, 0), (5, 0), (20, 0), (20, 7), (20, 20)] {
        let (mut a, mut b) = (Side::new(0, 1), Side::new(1, 0));
        let mut there = Mailbox::default();
        for index in 0..20u8 {
            a.pair.submit(message(Lane::User, &[index; 100])).unwrap();
        }
        there.put(&mut a);
        there.read(&mut b, read);
        a.pair.receipt(Time(0), told).unwrap();
        a.pair.replay();
        b.pair.replay();
        // What still lies in the store may be read before, in between or never.
        if read == 5 {
            there.read(&mut b, 5);
        }
        settle(&mut a, &mut b, Path::STREAM);
        if read == 5 {
            there.read(&mut b, usize::MAX);
        }
        assert!(a.pair.is_flushed(), "acknowledged by the receiver now: {read} read, {told} told");
        (0..20).for_each(|_| b.match_one());
        let expected: Vec<_> = (0..20u8).map(|index| vec![index; 100]).collect();
        assert_eq!(b.got[0], expected);
        // And back: the receiver owes nothing more.
        a.pair.submit(message(Lane::User, b"again")).unwrap();
        settle(&mut a, &mut b, Path::STREAM);
        a.pair.submit(message(Lane::User, b"slow")).unwrap();
        a.pair.replay();
        there = Mailbox { read: 20, ..Mailbox::default() };
        there.put(&mut a);
        there.read(&mut b, usize::MAX);
        a.pair.receipt(Time(0), there.read).unwrap();
        assert!(a.pair.is_flushed() && b.unmatched.len() == 2);
    }
}
