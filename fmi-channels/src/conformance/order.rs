//! Order, tags, wildcards, many messages, many ranks.

use super::{Bed, Rank, Wire, check, letter};
use fmi_actors::{frame::Space, mailbox::Filter};
use futures::future::{join, join_all};

/// Lengths that take every way through the channel, in an order that mixes them.
const LENGTHS: [usize; 7] = [3, 700_000, 0, 5_000, 300_000, 40, 70_000];

/// Messages of all lengths from one rank arrive in the order sent.
pub async fn one_source(wire: &dyn Wire) {
    let bed = Bed::new(wire, &[1, 1]);
    bed.each(|rank| async move {
        for number in 0..140u64 {
            let len = LENGTHS[number as usize % LENGTHS.len()];
            if rank.rank() == 0 {
                rank.put(1, 7, letter(number, len)).await;
            } else {
                check(&rank.get(0, 7).await.payload, number, len);
            }
        }
        rank.flushed().await;
    })
    .await;
}

/// Whatever the tags: envelopes of one source match in order. Two sources do not disturb each
/// other.
pub async fn two_sources_and_many_tags(wire: &dyn Wire) {
    let bed = Bed::new(wire, &[1, 1, 1]);
    bed.each(|rank| async move {
        match rank.rank() {
            0 => {
                for number in 0..300u64 {
                    for source in [1, 2] {
                        let got = rank.get(source, None).await;
                        assert_eq!(u64::from(got.tag), number % 5, "from {source}");
                        let len = LENGTHS[number as usize % LENGTHS.len()] / 10;
                        check(&got.payload, number * 3 + u64::from(source), len);
                    }
                }
            }
            own => {
                for number in 0..300u64 {
                    let len = LENGTHS[number as usize % LENGTHS.len()] / 10;
                    let tag = (number % 5) as u32;
                    rank.put(0, tag, letter(number * 3 + u64::from(own), len)).await;
                }
            }
        }
        rank.flushed().await;
    })
    .await;
}

/// A receive from anybody takes all, and those of each source in order.
pub async fn any_source_and_any_tag(wire: &dyn Wire) {
    const EACH: u64 = 100;
    let bed = Bed::new(wire, &[1, 2, 1]);
    bed.each(|rank| async move {
        if rank.rank() > 0 {
            for number in 0..EACH {
                rank.put(0, number as u32, letter(number, 100)).await;
            }
            return rank.flushed().await;
        }
        let mut next = [0; 4];
        for _ in 0..3 * EACH {
            let got = rank.get(None, None).await;
            let expected = &mut next[got.source as usize];
            assert_eq!(u64::from(got.tag), *expected, "from {}", got.source);
            check(&got.payload, *expected, 100);
            *expected += 1;
        }
        assert_eq!(next, [0, EACH, EACH, EACH]);
        assert_eq!(rank.waits(None, None), None);
    })
    .await;
}

/// A receive for a tag takes the first message with it, past others that wait, also large ones.
pub async fn tags_are_found_behind_others(wire: &dyn Wire) {
    let bed = Bed::new(wire, &[1, 1]);
    bed.each(|rank| async move {
        if rank.rank() == 0 {
            let sends = (0..10u32)
                .map(|tag| rank.post(1, tag, letter(u64::from(tag), LENGTHS[tag as usize % 7])));
            for sent in join_all(sends).await {
                sent.unwrap();
            }
            return rank.flushed().await;
        }
        for tag in (0..10u32).rev() {
            let got = rank.get(0, tag).await;
            assert_eq!(got.tag, tag);
            check(&got.payload, u64::from(tag), LENGTHS[tag as usize % 7]);
        }
    })
    .await;
}

/// Everybody to everybody, with several ranks in a process: pairs do not mix.
pub async fn all_to_all_in_packs(wire: &dyn Wire) {
    const SIZE: u32 = 7;
    let bed = Bed::new(wire, &[3, 1, 3]);
    let seed = |from: u32, to: u32, round: u64| u64::from(from * SIZE + to) + 100 * round;
    bed.each(|rank| async move {
        let own = rank.rank();
        let send = async {
            for round in 0..20 {
                for to in 0..SIZE {
                    let len = LENGTHS[(round as usize + to as usize) % 7];
                    rank.put(to, 1, letter(seed(own, to, round), len)).await;
                }
            }
        };
        let receive = async {
            for round in 0..20 {
                for from in 0..SIZE {
                    let len = LENGTHS[(round as usize + own as usize) % 7];
                    check(&rank.get(from, 1).await.payload, seed(from, own, round), len);
                }
            }
        };
        join(send, receive).await;
        rank.flushed().await;
    })
    .await;
}

/// As many small messages as the channel can carry, both ways at once.
pub async fn many_messages_both_ways(wire: &dyn Wire) {
    const COUNT: u64 = 20_000;
    let bed = Bed::new(wire, &[1, 1]);
    bed.each(|rank: Rank| async move {
        let peer = 1 - rank.rank();
        let send = async {
            for number in 0..COUNT {
                rank.put(peer, 0, number.to_le_bytes().to_vec()).await;
            }
        };
        let receive = async {
            for number in 0..COUNT {
                let got = rank.get(peer, 0).await;
                assert_eq!(got.payload.bytes(), Some(&number.to_le_bytes()[..]));
            }
        };
        join(send, receive).await;
        rank.flushed().await;
    })
    .await;
}

/// A probe shows the message that a receive takes then, and leaves it.
pub async fn probes_show_what_is_next(wire: &dyn Wire) {
    let bed = Bed::new(wire, &[1, 1]);
    let (space, any) = (Space::messages(super::SCOPE), Filter { source: None, tag: None });
    bed.each(|rank| async move {
        if rank.rank() == 0 {
            for len in LENGTHS {
                rank.put(1, len as u32, letter(1, len)).await;
            }
            return rank.flushed().await;
        }
        for len in LENGTHS {
            for _ in 0..2 {
                let shown = rank.probe(space, any).await.unwrap();
                assert_eq!((shown.source, shown.tag, shown.total), (0, len as u32, len as u64));
            }
            let last = Filter { source: Some(0), tag: Some(*LENGTHS.last().unwrap() as u32) };
            let last = rank.probe(space, last).await.unwrap();
            assert_eq!(last.total, *LENGTHS.last().unwrap() as u64);
            assert_eq!(rank.get(None, None).await.tag, len as u32);
        }
        assert_eq!(rank.waits(None, None), None);
    })
    .await;
}

/// A rank's messages to itself, before and after the receive.
pub async fn to_oneself(wire: &dyn Wire) {
    let bed = Bed::new(wire, &[1, 1]);
    bed.each(|rank| async move {
        let own = rank.rank();
        for (number, len) in LENGTHS.into_iter().enumerate() {
            let early = rank.take(Some(own), Some(1));
            rank.put(own, 0, letter(number as u64, len)).await;
            rank.put(own, 1, letter(50, len)).await;
            check(&super::opened(early.await.unwrap()).payload, 50, len);
            check(&rank.get(own, 0).await.payload, number as u64, len);
        }
        rank.flushed().await;
    })
    .await;
}
