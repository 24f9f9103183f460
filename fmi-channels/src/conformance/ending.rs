//! Flush, closing in good order, lost ranks, failure notices.

use super::{Bed, Rank, Wire, check, letter, opened, ready_now};
use fmi_actors::{
    Reason,
    endpoint::SendFailure,
    frame::{Signature, Space},
    mailbox::{Failure, Filter},
};
use futures::future::join_all;
use std::{sync::Arc, time::Duration};
use tokio::sync::Barrier;

const ANY: Filter = Filter { source: None, tag: None };

/// After a flush everything is in the mailbox of the receiver; before, the flush waits.
pub async fn flush_waits_until_all_has_arrived(wire: &dyn Wire) {
    let bed = Bed::new(wire, &[1, 1]);
    let (one, other) = (bed.rank(0), bed.rank(1));
    bed.bounded("flush", async {
        for round in 0..20 {
            for number in 0..30 {
                one.put(1, number, letter(round, 1000)).await;
            }
            one.flushed().await;
            for number in 0..30 {
                let mut taken = other.take(Some(0), Some(number));
                let arrival = ready_now(&mut taken).await.expect("it has arrived").unwrap();
                check(&opened(arrival).payload, round, 1000);
            }
        }
        // A payload that waits to be asked for has not arrived.
        let len = 3 << 20;
        one.put(1, 0, letter(0, len)).await;
        let mut flush = one.flush();
        other.probe(Space::messages(super::SCOPE), ANY).await.unwrap();
        let direct = bed.node(0).route(1).and_then(|peer| peer.link()).unwrap().path().direct;
        if !direct {
            one.put(1, 1, Vec::new()).await;
            other.get(0, 1).await;
            assert!(ready_now(&mut flush).await.is_none(), "flushed before it was asked for");
        }
        check(&other.get(0, 0).await.payload, 0, len);
        flush.await.unwrap();
        // Nothing to wait for.
        other.flushed().await;
    })
    .await;
}

/// Whoever flushes and closes has said everything: what it sent can be received after it has
/// left, and then its end is known. The news of it may come long after the end of the link.
pub async fn closing_in_good_order(wire: &dyn Wire) {
    for round in 0..6 {
        let late = Duration::from_millis(20 * (round % 2));
        let bed = Bed::new(wire, &[1, 1]);
        let (one, other) = (bed.rank(0), bed.rank(1));
        bed.bounded("closing", async {
            let last = other.take(Some(0), Some(1000));
            let nobody = other.take(Some(0), Some(2000));
            for number in 0..500 {
                one.put(1, number, letter(u64::from(number), 2 * number as usize)).await;
            }
            one.put(1, 1000, letter(7, 3 << 20)).await;
            one.flushed().await;
            leave(&bed, 0, late).await;
            check(&opened(last.await.unwrap()).payload, 7, 3 << 20);
            let left = Failure::Lost { rank: 0, reason: Reason::Left };
            assert_eq!(nobody.await.unwrap_err(), left);
            for number in 0..500 {
                let got = other.get(0, None).await;
                assert_eq!(got.tag, number);
                check(&got.payload, u64::from(number), 2 * number as usize);
            }
            assert_eq!(other.refused(0).await, left);
            assert_eq!(other.refused(None).await, left);
            let sent = other.post(0, 0, Vec::new()).await;
            assert_eq!(sent, Err(SendFailure::Failure(left)));
            other.flushed().await;
        })
        .await;
    }
}

/// A rank ends in good order, and the others hear of it as the rendezvous would tell them, so much
/// later.
async fn leave(bed: &Bed, rank: usize, late: Duration) {
    let node = bed.node(rank);
    bed.rank(rank).shut(&Reason::Left);
    if node.local_ranks().all(|rank| bed.rank(rank as usize).is_shut()) {
        node.close();
        bed.runtime.sleep(late).await;
        for other in bed.ranks() {
            if let Some(peer) = bed.node(other.rank() as usize).peer(node.process())
                && !Arc::ptr_eq(node, bed.node(other.rank() as usize))
            {
                peer.leave();
            }
        }
    }
}

/// Whatever waits for a lost rank ends with its name; what waits for others goes on.
pub async fn a_lost_rank_ends_every_wait(wire: &dyn Wire) {
    let bed = Bed::new(wire, &[1, 1, 1]);
    let (own, third) = (bed.rank(0), bed.rank(2));
    bed.bounded("a wait", async {
        own.put(1, 0, letter(0, 10)).await;
        let from_dead = own.take(Some(1), None);
        let from_any = own.take(None, Some(1));
        let from_living = own.take(Some(2), None);
        let probe = own.probe(Space::messages(super::SCOPE), Filter { source: Some(1), tag: None });
        let matched = own.post_sync(1, 1, letter(1, 10));
        let matched_big = own.post_sync(1, 1, letter(1, 1 << 20));
        // One of them at least waits for room.
        let rooms: Vec<_> = (0..4).map(|_| own.post(1, 2, letter(2, 5 << 20))).collect();
        let part = own.enter(super::SCOPE, Some(Signature([1; 32])));
        let in_collective = own.recv(part.space(), Filter { source: Some(2), tag: None });
        let flush = own.flush();

        let reason = Reason::Panicked("told so".to_owned());
        let lost = Failure::Lost { rank: 1, reason: reason.clone() };
        bed.node(0).lose(&[1], &reason);
        for failed in [from_dead.await, from_any.await, in_collective.await] {
            assert_eq!(failed.unwrap_err(), lost);
        }
        assert_eq!(probe.await.unwrap_err(), lost);
        let not_sent = Err(SendFailure::Failure(lost.clone()));
        assert_eq!(matched.await, not_sent);
        assert_eq!(matched_big.await, not_sent);
        let rooms = join_all(rooms).await;
        assert!(rooms.contains(&not_sent), "{rooms:?}");
        assert_eq!(flush.await, Err((1, reason)));

        // Afterwards at once.
        part.fail(&lost);
        assert_eq!(own.refused(1).await, lost);
        assert_eq!(own.refused(None).await, lost);
        assert_eq!(own.post(1, 0, Vec::new()).await, not_sent);
        assert_eq!(own.enter(super::SCOPE, None).failure(), Some(&lost));
        // And everybody else is there.
        third.put(0, 5, letter(3, 10)).await;
        check(&opened(from_living.await.unwrap()).payload, 3, 10);
        own.put(2, 5, letter(4, 1 << 20)).await;
        check(&third.get(0, 5).await.payload, 4, 1 << 20);
    })
    .await;
}

/// A receive whose payload was on its way when the sender died ends, too.
pub async fn a_rank_lost_in_the_middle_of_a_message(wire: &dyn Wire) {
    for collective in [false, true] {
        let bed = Bed::new(wire, &[1, 1]);
        let (one, other) = (bed.rank(0), bed.rank(1));
        let parts: Vec<_> = bed.ranks().iter().map(|rank| rank.enter(super::SCOPE, None)).collect();
        let space = if collective { parts[0].space() } else { Space::messages(super::SCOPE) };
        bed.bounded("the rest of the message", async {
            let payload = fmi_actors::Payload::from_vec(letter(1, 64 << 20));
            let sent = one.send(space, 1, 0, fmi_actors::frame::Datatype::BYTES, payload, false);
            other.probe(space, ANY).await.unwrap();
            // Asks for the payload; it cannot be here in the next moment.
            let taken = other.recv(space, ANY);
            bed.node(1).lose(&[0], &Reason::Died);
            match taken.await {
                Ok(arrival) => check(&opened(arrival).payload, 1, 64 << 20),
                Err(failure) => {
                    assert_eq!(failure, Failure::Lost { rank: 0, reason: Reason::Died });
                }
            }
            drop(sent);
        })
        .await;
    }
}

/// A collective given up on one rank fails on all others with that cause, and the next one works.
pub async fn a_dropped_collective_is_told_to_all(wire: &dyn Wire) {
    let bed = Bed::new(wire, &[3, 1, 3]);
    for origin in 0..7u32 {
        bed.each(|rank| async move {
            let part = rank.enter(super::SCOPE, None);
            if rank.rank() == origin {
                return drop(part);
            }
            let dropped = Failure::Abandoned { rank: origin, reason: Reason::Dropped };
            // It may have come before.
            assert!(part.failure().is_none_or(|early| *early == dropped), "{:?}", part.failure());
            let from = Filter { source: Some((rank.rank() + 1) % 7), tag: None };
            let failure = rank.recv(part.space(), from).await.unwrap_err();
            assert_eq!(failure, dropped);
            part.fail(&failure);
        })
        .await;
        // One that comes late is told at once.
        let parts: Vec<_> = bed.ranks().iter().map(|rank| rank.enter(super::SCOPE, None)).collect();
        let mut parts = parts.into_iter();
        parts.nth(origin as usize).unwrap().abandon(Reason::Deadline);
        parts.for_each(fmi_actors::endpoint::Collective::finish);
    }
}

/// The notice reaches a rank also through ranks that have their result, whoever they are.
pub async fn finished_ranks_pass_the_notice_on(wire: &dyn Wire) {
    const SIZE: u32 = 6;
    let bed = Bed::new(wire, &[2, 1, 1, 2]);
    let barrier = Arc::new(Barrier::new(SIZE as usize));
    for (origin, waits) in (0..SIZE).flat_map(|o| (0..SIZE).map(move |w| (o, w))) {
        if origin == waits {
            continue;
        }
        bed.each(|rank| {
            let barrier = Arc::clone(&barrier);
            async move {
                let part = rank.enter(super::SCOPE, None);
                if rank.rank() != origin && rank.rank() != waits {
                    part.finish();
                    barrier.wait().await;
                    return;
                }
                barrier.wait().await;
                if rank.rank() == origin {
                    return drop(part);
                }
                let from = Filter { source: Some(origin), tag: None };
                let failure = rank.recv(part.space(), from).await.unwrap_err();
                let dropped = Failure::Abandoned { rank: origin, reason: Reason::Dropped };
                assert_eq!(failure, dropped);
                part.fail(&failure);
            }
        })
        .await;
    }
}

/// Nor do ranks hold it up that have closed the communicator, or left the job.
pub async fn ranks_that_left_do_not_hold_the_notice_up(wire: &dyn Wire) {
    const SIZE: u32 = 8;
    for left in [false, true] {
        let bed = Bed::new(wire, &[1; SIZE as usize]);
        let barrier = Arc::new(Barrier::new(SIZE as usize));
        let bed = &bed;
        // They are between 0 and 7 in most trees that one might think of.
        let goes = |rank: &Rank| [1, 2, 3, 4, 6].contains(&rank.rank());
        bed.each(|rank| {
            let barrier = Arc::clone(&barrier);
            let lost = bed.nodes.clone();
            async move {
                let part = rank.enter(super::SCOPE, None);
                if goes(&rank) {
                    part.finish();
                    rank.flushed().await;
                    if left {
                        rank.shut(&Reason::Left);
                        lost.iter().for_each(|node| node.lose(&[rank.rank()], &Reason::Left));
                    } else {
                        rank.close(super::SCOPE);
                    }
                    barrier.wait().await;
                    return;
                }
                barrier.wait().await;
                if rank.rank() == 0 {
                    return drop(part);
                }
                let from = Filter { source: Some(0), tag: None };
                let failure = rank.recv(part.space(), from).await.unwrap_err();
                assert_eq!(failure, Failure::Abandoned { rank: 0, reason: Reason::Dropped });
                part.fail(&failure);
            }
        })
        .await;
    }
}

/// A rank that has ended sends and receives nothing any more, and says so.
pub async fn after_the_end(wire: &dyn Wire) {
    let bed = Bed::new(wire, &[1, 1]);
    let (own, other) = (bed.rank(0), bed.rank(1));
    bed.bounded("a rank that has ended", async {
        own.put(1, 0, letter(0, 100)).await;
        other.put(0, 0, letter(0, 100)).await;
        other.flushed().await;
        let waits = own.take(Some(1), Some(9));
        own.flushed().await;
        leave(&bed, 0, Duration::ZERO).await;
        assert_eq!(waits.await.unwrap_err(), Failure::Closed);
        assert_eq!(own.refused(1).await, Failure::Closed);
        assert_eq!(own.refused(None).await, Failure::Closed);
        assert_eq!(own.enter(super::SCOPE, None).failure(), Some(&Failure::Closed));
        let sent = own.post(1, 0, Vec::new()).await;
        assert_eq!(sent, Err(SendFailure::Failure(Failure::Closed)));
        let sent = own.post_sync(1, 0, Vec::new()).await;
        assert_eq!(sent, Err(SendFailure::Failure(Failure::Closed)));
        own.flushed().await;
        check(&other.get(0, 0).await.payload, 0, 100);
    })
    .await;
}
