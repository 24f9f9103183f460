//! First sends that cross, links that die and are replaced. Channels whose links cannot die pass
//! without a word.

use super::{Bed, Rank, Wire, check, letter};
use futures::future::join;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Both sides send first: both dial, one link stays, nothing is lost. Many times, each with
/// processes that have never talked.
pub async fn first_sends_that_cross(wire: &dyn Wire) {
    for round in 0..30u64 {
        let len = [10, 2_000, 300_000, 3 << 20][round as usize % 4];
        let count = 1 + round * 3;
        let bed = Bed::new(wire, &[1, 1]);
        bed.each(|rank| async move {
            let peer = 1 - rank.rank();
            let send = async {
                for number in 0..count {
                    rank.put(peer, 0, letter(number, len)).await;
                }
            };
            // Neither receives before it has sent its first.
            rank.put(peer, 1, letter(round, len)).await;
            let receive = async {
                check(&rank.get(peer, 1).await.payload, round, len);
                for number in 0..count {
                    check(&rank.get(peer, 0).await.payload, number, len);
                }
            };
            join(send, receive).await;
            rank.flushed().await;
        })
        .await;
    }
}

/// A link closed in mid-stream, by either side, is replaced without a gap.
pub async fn links_closed_in_mid_stream(wire: &dyn Wire) {
    stream(wire, |bed, side| {
        let link = bed.node(side).route(1 - side as u32).and_then(|peer| peer.link());
        link.is_some_and(|link| {
            link.close();
            true
        })
    })
    .await;
}

/// A link destroyed in mid-stream, with what is in it, is replaced without a gap.
pub async fn links_cut_in_mid_stream(wire: &dyn Wire) {
    stream(wire, |bed, side| wire.cut(bed.node(side), bed.node(1 - side))).await;
}

/// Messages of all lengths both ways, while `harm` is done to the link again and again.
async fn stream(wire: &dyn Wire, harm: impl Fn(&Bed, usize) -> bool) {
    const COUNT: u64 = 600;
    const EVERY: u64 = 40;
    let bed = Bed::new(wire, &[1, 1]);
    if Arc::ptr_eq(bed.node(0), bed.node(1)) {
        return;
    }
    let got = Arc::new(AtomicU64::new(0));
    let lives = bed.each(|rank: Rank| {
        let got = Arc::clone(&got);
        async move {
            let peer = 1 - rank.rank();
            let len = |number: u64| [100, 20_000, 250_000, 0, 800_000, 39][number as usize % 6];
            let send = async {
                for number in 0..COUNT {
                    rank.put(peer, 0, letter(number, len(number))).await;
                }
            };
            let receive = async {
                for number in 0..COUNT {
                    check(&rank.get(peer, 0).await.payload, number, len(number));
                    got.fetch_add(1, Ordering::Relaxed);
                }
            };
            join(send, receive).await;
            rank.flushed().await;
        }
    });
    let saboteur = async {
        let mut harmed = 0;
        for at in (EVERY..2 * COUNT).step_by(EVERY as usize) {
            bed.until("the stream", || got.load(Ordering::Relaxed) >= at).await;
            // Also what comes up while it is done.
            for side in [0, 1].into_iter().cycle().skip(at as usize / EVERY as usize).take(2) {
                harmed += u64::from(harm(&bed, side));
            }
        }
        harmed
    };
    let (_, harmed) = join(lives, saboteur).await;
    assert!(harmed > 5, "the link was harmed {harmed} times only");
}

/// Nobody sends when the link dies; who does so later has another.
pub async fn both_sides_idle_when_it_dies(wire: &dyn Wire) {
    let bed = Bed::new(wire, &[1, 1]);
    let (one, other) = (bed.rank(0), bed.rank(1));
    bed.bounded("the next message", async {
        for round in 0..20u64 {
            one.put(1, 0, letter(round, 1000)).await;
            check(&other.get(0, 0).await.payload, round, 1000);
            one.flushed().await;
            wire.cut(bed.node(0), bed.node(1));
            if round % 2 == 0 {
                other.put(0, 0, letter(round, 400_000)).await;
                check(&one.get(1, 0).await.payload, round, 400_000);
            }
        }
    })
    .await;
}
