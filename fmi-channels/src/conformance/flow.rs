//! Back-pressure, the reserved lane, the match, cancellation.

use super::{Bed, Rank, Wire, check, letter, opened, ready_now};
use fmi_actors::{
    Payload, Settings,
    frame::{Datatype, Signature, Space},
    mailbox::Filter,
    pair::{CREDIT, UNIT},
};
use futures::future::{join, join_all};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;

/// The outbox of the floods.
const OUTBOX: usize = 1 << 20;

fn small_outbox() -> Settings {
    Settings { outbox: OUTBOX, ..Settings::default() }
}

/// Rank 0 sends `count` messages of `len` bytes to rank 1, which receives none until the sender
/// can do no more; then all. Returns how many went before.
async fn flood(wire: &dyn Wire, count: usize, len: usize) -> usize {
    let bed = Bed::with(wire, &[1, 1], &small_outbox());
    let sent = Arc::new(AtomicUsize::new(0));
    let open = Arc::new(Notify::new());
    let lives = bed.each(|rank| {
        let (sent, open) = (Arc::clone(&sent), Arc::clone(&open));
        async move {
            if rank.rank() == 0 {
                for number in 0..count {
                    rank.put(1, 0, letter(number as u64, len)).await;
                    sent.fetch_add(1, Ordering::Relaxed);
                }
                return rank.flushed().await;
            }
            open.notified().await;
            for number in 0..count {
                check(&rank.get(0, 0).await.payload, number as u64, len);
            }
            assert_eq!(rank.waits(None, None), None);
        }
    });
    let watch = async {
        let mut before = 0;
        let stuck = loop {
            bed.runtime.sleep(Duration::from_millis(100)).await;
            let now = sent.load(Ordering::Relaxed);
            if now == before && now > 0 {
                break now;
            }
            before = now;
        };
        open.notify_one();
        stuck
    };
    join(lives, watch).await.1
}

/// A sender waits once outbox and credit are spent; all arrives in the end.
pub async fn a_flood_waits_and_loses_nothing(wire: &dyn Wire) {
    let went = flood(wire, 10_000, 1000).await;
    let most = (OUTBOX + usize::from(CREDIT) * UNIT as usize) / 1000;
    assert!((200..most).contains(&went), "{went} messages went unread, {most} are too many");
}

/// Messages without content need memory too.
pub async fn empty_messages_are_bounded_too(wire: &dyn Wire) {
    let went = flood(wire, 20_000, 0).await;
    let most = OUTBOX / UNIT as usize + usize::from(CREDIT) + 1;
    assert!((200..most).contains(&went), "{went} messages went unread, {most} are too many");
}

/// One message of any size fits an empty outbox; a second one waits. Inside a process a few more
/// may have been handed over.
pub async fn big_messages_are_bounded_too(wire: &dyn Wire) {
    let went = flood(wire, 8, 5 << 20).await;
    assert!((1..=3).contains(&went), "{went} messages went unread");
}

/// While one rank floods another that does not receive, both take part in collectives.
pub async fn a_flood_leaves_collectives_alone(wire: &dyn Wire) {
    const ROUNDS: u64 = 50;
    let bed = Bed::with(wire, &[1, 1, 1], &small_outbox());
    let signature = Signature([7; 32]);
    bed.each(|rank| async move {
        let own = rank.rank();
        // As many as do not fit, posted and left waiting.
        let flood: Vec<_> = (0..2_500u64)
            .filter(|_| own == 0)
            .map(|number| rank.post(1, 0, letter(number, 1000)))
            .collect();
        for round in 0..ROUNDS {
            let part = rank.enter(super::SCOPE, Some(signature));
            assert_eq!(part.failure(), None);
            let len = if round % 10 == 9 { 600_000 } else { 100 };
            let (to, from) = ((own + 1) % 3, (own + 2) % 3);
            let payload = Payload::from_vec(letter(round * 3 + u64::from(own), len));
            let sent = rank.send_signed(part.space(), to, Datatype::BYTES, payload, signature);
            let taken = rank.recv(part.space(), Filter { source: Some(from), tag: None });
            let (sent, taken) = join(sent, taken).await;
            sent.unwrap();
            check(&opened(taken.unwrap()).payload, round * 3 + u64::from(from), len);
            part.finish();
        }
        let receive = async {
            for number in (0..2_500).filter(|_| own == 1) {
                check(&rank.get(0, 0).await.payload, number, 1000);
            }
        };
        let (sent, ()) = join(join_all(flood), receive).await;
        assert!(sent.iter().all(Result::is_ok));
        rank.flushed().await;
    })
    .await;
}

/// Flooding one rank of a process does not stop messages to another of it.
pub async fn a_flood_leaves_other_pairs_alone(wire: &dyn Wire) {
    let bed = Bed::with(wire, &[1, 2], &small_outbox());
    let read = Arc::new(Notify::new());
    bed.each(|rank| {
        let read = Arc::clone(&read);
        async move {
            match rank.rank() {
                0 => {
                    let flood: Vec<_> =
                        (0..2_500u64).map(|number| rank.post(1, 0, letter(number, 1000))).collect();
                    for number in 0..200 {
                        let len = if number % 50 == 0 { 1 << 20 } else { 100 };
                        rank.put(2, 0, letter(number, len)).await;
                        check(&rank.get(2, 0).await.payload, number + 1, len);
                    }
                    read.notify_one();
                    assert!(join_all(flood).await.iter().all(Result::is_ok));
                }
                1 => {
                    read.notified().await;
                    for number in 0..2_500 {
                        check(&rank.get(0, 0).await.payload, number, 1000);
                    }
                }
                _ => {
                    for number in 0..200 {
                        let len = if number % 50 == 0 { 1 << 20 } else { 100 };
                        check(&rank.get(0, 0).await.payload, number, len);
                        rank.put(0, 0, letter(number + 1, len)).await;
                    }
                }
            }
            rank.flushed().await;
        }
    })
    .await;
}

/// A synchronous send ends when its message is matched, not when it has arrived.
pub async fn ssend_waits_for_the_match(wire: &dyn Wire) {
    let bed = Bed::new(wire, &[1, 1]);
    let (one, other) = (bed.rank(0), bed.rank(1));
    bed.bounded("ssend", async {
        for len in [0, 40, 100_000, 1 << 20] {
            // The receive comes after the message.
            let mut sent = one.post_sync(1, 1, letter(3, len));
            let (space, any) = (Space::messages(super::SCOPE), Filter { source: None, tag: None });
            assert_eq!(other.probe(space, any).await.unwrap().total, len as u64);
            one.put(1, 2, Vec::new()).await;
            other.get(0, 2).await;
            assert!(ready_now(&mut sent).await.is_none(), "ended before the match");
            check(&other.get(0, 1).await.payload, 3, len);
            sent.await.unwrap();
            // And before it.
            let posted = other.take(Some(0), Some(1));
            let (sent, got) = join(one.post_sync(1, 1, letter(4, len)), posted).await;
            sent.unwrap();
            check(&opened(got.unwrap()).payload, 4, len);
        }
    })
    .await;
}

/// A message that a dropped receive had goes to the next one that takes it, before later ones.
pub async fn cancelled_receives_lose_nothing(wire: &dyn Wire) {
    let bed = Bed::with(wire, &[1, 1], &Settings { outbox: 316 << 20, ..Settings::default() });
    let (one, other) = (bed.rank(0), bed.rank(1));
    bed.bounded("cancelling", async {
        for len in [0, 40, 100_000, 5 << 20] {
            // Dropped before anything came.
            drop(other.take(Some(0), Some(1)));
            // Dropped when it had its message, unless that is still on its way.
            for again in 0..3 {
                let first = other.take(Some(0), Some(1));
                let second = (again == 1).then(|| other.take(None, Some(1)));
                let sent = one.post_sync(1, 1, letter(5, len));
                let later = one.post(1, 1, letter(6, len));
                one.put(1, 2, Vec::new()).await;
                other.get(0, 2).await;
                drop(first);
                if again == 2 {
                    // Dropped once more.
                    drop(other.take(Some(0), Some(1)));
                }
                match second {
                    // It was there in time, and has the later message.
                    Some(second) => {
                        let got = join(second, other.get(0, 1)).await;
                        check(&opened(got.0.unwrap()).payload, 6, len);
                        check(&got.1.payload, 5, len);
                    }
                    None => {
                        check(&other.get(0, 1).await.payload, 5, len);
                        check(&other.get(0, 1).await.payload, 6, len);
                    }
                }
                let (sent, later) = join(sent, later).await;
                sent.unwrap();
                later.unwrap();
                one.flushed().await;
                assert_eq!(other.waits(None, None), None);
            }
        }
    })
    .await;
}

/// Sends that wait for room and are dropped are as if they had never been.
pub async fn dropped_sends_leave_no_hole(wire: &dyn Wire) {
    let bed = Bed::with(wire, &[1, 1], &small_outbox());
    let (one, other) = (bed.rank(0), bed.rank(1));
    // More than fits, in order; every third is dropped while it waits.
    let mut sends: Vec<_> =
        (0..3_000u64).map(|number| Some(one.post(1, 0, letter(number, 1000)))).collect();
    let mut dropped = Vec::new();
    for (number, send) in sends.iter_mut().enumerate().filter(|(number, _)| number % 3 == 0) {
        // Ready or not, it is over; only those that waited may be missing then.
        if ready_now(send.as_mut().unwrap()).await.is_none() {
            dropped.push(number as u64);
        }
        *send = None;
    }
    assert!(dropped.len() > 100, "{} sends waited", dropped.len());
    bed.bounded("what is left", async {
        let sends = join_all(sends.into_iter().flatten());
        let receive = async {
            let mut next = 0;
            while let got = other.get(0, None).await
                && got.tag != 1
            {
                if got.tag == 2 {
                    continue;
                }
                // A send that is dropped in the moment in which there is room may have gone.
                while next < 3_000 && got.payload.bytes() != Some(&letter(next, 1000)) {
                    assert!(dropped.contains(&next), "message {next} is missing");
                    next += 1;
                }
                assert_ne!(next, 3_000, "a message came twice, or that was not sent");
                next += 1;
            }
            assert!((next..3_000).all(|number| dropped.contains(&number)));
        };
        let end = async {
            assert!(sends.await.iter().all(Result::is_ok));
            // Behind dropped ones only.
            let sends = [4 << 20, 4 << 20, 4 << 20].map(|len| one.post(1, 2, letter(1, len)));
            drop(sends);
            one.put(1, 1, Vec::new()).await;
            one.flushed().await;
        };
        join(end, receive).await;
    })
    .await;
}

/// When a receiver that holds as much as there is credit takes one message, the next can come:
/// news of room do not wait for more of it.
pub async fn room_made_is_room_told(wire: &dyn Wire) {
    let bed = Bed::new(wire, &[1, 1]);
    let (one, other) = (bed.rank(0), bed.rank(1));
    bed.bounded("the message behind", async {
        let before = u64::from(CREDIT);
        let sends: Vec<_> = (0..before).map(|_| one.post(1, 1, Vec::new())).collect();
        let behind = one.post(1, 2, letter(8, 10));
        assert!(join_all(sends).await.iter().all(Result::is_ok));
        behind.await.unwrap();
        other.get(0, 1).await;
        check(&other.get(0, 2).await.payload, 8, 10);
        for _ in 1..before {
            other.get(0, 1).await;
        }
        one.flushed().await;
    })
    .await;
}

/// A large payload that was asked for comes, however many small messages are sent meanwhile.
pub async fn a_big_message_gets_through_a_stream_of_small_ones(wire: &dyn Wire) {
    let bed = Bed::with(wire, &[1, 1], &Settings { outbox: 316 << 20, ..Settings::default() });
    let done = Arc::new(AtomicBool::new(false));
    bed.each(|rank: Rank| {
        let (done, runtime) = (Arc::clone(&done), Arc::clone(&bed.runtime));
        async move {
            if rank.rank() == 0 {
                let big = rank.post(1, 1, letter(1, 16 << 20));
                let mut count = 0u64;
                while !done.load(Ordering::Relaxed) {
                    rank.put(1, 2, letter(2, 100)).await;
                    count += 1;
                    // Others have their turn.
                    runtime.pause().await;
                }
                big.await.unwrap();
                rank.put(1, 2, count.to_le_bytes().to_vec()).await;
                return rank.flushed().await;
            }
            let big = async {
                check(&rank.get(0, 1).await.payload, 1, 16 << 20);
                done.store(true, Ordering::Relaxed);
            };
            let small = async {
                let mut count = 0u64;
                loop {
                    let payload = rank.get(0, 2).await.payload;
                    if payload.size_hint() == 8 {
                        assert_eq!(payload.bytes(), Some(&count.to_le_bytes()[..]));
                        break;
                    }
                    check(&payload, 2, 100);
                    count += 1;
                }
            };
            join(big, small).await;
        }
    })
    .await;
}
