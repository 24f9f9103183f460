//! Payloads that are asked for before their message is matched.

use super::*;

/// Bytes of each message; so many units it costs.
const BYTES: usize = 10_000;
const UNITS: usize = 1 + BYTES / UNIT as usize;
/// So many come whole, then so many envelopes.
const WHOLE: usize = (CREDIT - ENVELOPES) as usize / UNITS;

/// One that sends so many messages, and one that has got as many as it has credit for.
fn flood(count: usize, sync: bool) -> (Side, Side) {
    let (mut a, mut b) = (Side::new(0, 1), Side::new(1, 0));
    a.pair = Pair::new(ends(0, 1), 64 << 20);
    for index in 0..count {
        let message = message(Lane::User, &[index as u8; BYTES]);
        a.pair.submit(Outgoing { sync, ..message }).unwrap();
    }
    settle(&mut a, &mut b, Path::STREAM);
    (a, b)
}

fn pulls(kinds: &[Kind]) -> usize {
    kinds.iter().filter(|kind| **kind == Kind::Pull).count()
}

#[test]
fn what_there_was_no_credit_for_is_asked_for_as_soon_as_there_is() {
    const COUNT: usize = 3000;
    let (mut a, mut b) = flood(COUNT, false);
    let depth = b.unmatched.len();
    let mut here = WHOLE;
    assert!(depth > here + usize::from(ENVELOPES) - UNITS);
    for index in 0..COUNT {
        b.match_one();
        assert_eq!(b.got[0].len(), index + 1, "its payload came before it was matched");
        let kinds = settle(&mut a, &mut b, Path::STREAM);
        let whole = kinds.iter().filter(|kind| **kind == Kind::Message).count();
        here = here + pulls(&kinds) + whole - 1;
        assert!(here * UNITS <= usize::from(CREDIT), "{here} payloads are here");
        let left = COUNT - index - 1;
        assert!(b.unmatched.len() >= depth.min(left), "for each that is taken another one comes");
    }
    assert!(a.pair.is_flushed());
}

#[test]
fn credit_that_was_lent_comes_back_whoever_takes_the_message() {
    let (mut a, mut b) = flood(300, false);
    // Every third is dropped: some of them have been asked for, some are here.
    for round in 0..300 {
        if round % 3 == 0 {
            let arrival = b.unmatched.pop_front().unwrap();
            b.pair.consumed(Lane::User, arrival.message, arrival.credit);
            b.pair.discard(arrival.space, arrival.message);
        } else {
            b.match_one();
        }
        if round % 7 == 0 {
            settle(&mut a, &mut b, Path::STREAM);
        }
    }
    settle(&mut a, &mut b, Path::STREAM);
    assert_eq!((b.got[0].len(), b.pulling.len()), (200, 0));
    assert!(a.pair.is_flushed());
    // As much room as in the beginning, once that is told.
    b.pair.inn.ack_now = true;
    settle(&mut a, &mut b, Path::STREAM);
    for _ in 0..WHOLE {
        a.pair.submit(message(Lane::User, &[1; BYTES])).unwrap();
    }
    settle(&mut a, &mut b, Path::STREAM);
    assert!(b.unmatched.iter().all(|arrival| matches!(arrival.body, Body::Here(_))));
}

#[test]
fn whose_sender_waits_for_the_match_is_asked_for_when_matched() {
    let (mut a, mut b) = flood(300, true);
    for _ in 0..WHOLE {
        b.match_one();
    }
    let kinds = settle(&mut a, &mut b, Path::STREAM);
    assert_eq!((pulls(&kinds), a.matched), (0, WHOLE));
}

#[test]
fn what_is_too_large_to_come_along_is_asked_for_when_matched() {
    let (mut a, mut b) = (Side::new(0, 1), Side::new(1, 0));
    a.pair = Pair::new(ends(0, 1), 64 << 20);
    for bytes in [10, Path::STREAM.eager + 1] {
        let message = message(Lane::User, &vec![1; bytes]);
        a.pair.submit(Outgoing { sync: false, ..message }).unwrap();
    }
    settle(&mut a, &mut b, Path::STREAM);
    b.match_one();
    assert_eq!(pulls(&settle(&mut a, &mut b, Path::STREAM)), 0);
    b.match_one();
    assert_eq!(pulls(&settle(&mut a, &mut b, Path::STREAM)), 1);
    assert_eq!(b.got[0].len(), 2);
}
