//! Binomial tree reduce over contiguous ranges of ranks, for associative operations.
//! ⌈log₂ n⌉ rounds, n−1 messages of S bytes, at most one from each rank, whatever the root.
//! Thakur, Rabenseifner & Gropp 2005; here over absolute ranks for every root.

use crate::plan::{Side, Step, log2_ceil};

/// At level k the ranks stand in groups of 2ᵏ neighbours, and the leader of a group holds its
/// combined value. Level by level, two neighbouring groups become one: the leader of one half sends
/// to the leader of the whole. The leader is the root where the group has it, else the lowest rank.
///
/// The groups do not depend on the root, so neither does the bracketing.
pub fn plan(rank: usize, size: usize, root: usize) -> impl Iterator<Item = Step> + Send + 'static {
    let leader = move |rank: usize, width: usize| {
        let first = lowest(rank, width);
        if first == lowest(root, width) { root } else { first }
    };
    // Widths are powers of two, so that the numbers of two halves differ in one bit.
    let other_half = move |width: usize| lowest(rank, width) ^ width;
    (0..rounds(size))
        .map(|level| 1 << level)
        .take_while(move |&width| leader(rank, width) == rank)
        .filter(move |&width| other_half(width) < size)
        .map(move |width| {
            let other = other_half(width);
            let to = leader(rank, 2 * width);
            if to == rank {
                let side = if other < rank { Side::Left } else { Side::Right };
                Step::Combine { from: leader(other, width), block: 0, side }
            } else {
                Step::Send { to, blocks: 0..1 }
            }
        })
}

/// ⌈log₂ n⌉
pub fn rounds(size: usize) -> usize {
    log2_ceil(size)
}

/// The lowest rank of the group of `width` ranks that `rank` is in.
fn lowest(rank: usize, width: usize) -> usize {
    rank - rank % width
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Algorithm;

    #[test]
    fn every_rank_but_the_root_sends_once() {
        for size in 2..=33 {
            for root in 0..size {
                let report = Algorithm::ReduceContiguousTree.check(size, root).unwrap();
                assert_eq!(report.messages, size - 1);
                assert_eq!(report.most_sent, 1);
            }
        }
    }

    #[test]
    fn the_root_combines_on_both_sides() {
        let steps: Vec<Step> = plan(2, 6, 2).collect();
        assert_eq!(
            steps,
            [
                Step::Combine { from: 3, block: 0, side: Side::Right },
                Step::Combine { from: 0, block: 0, side: Side::Left },
                Step::Combine { from: 4, block: 0, side: Side::Right },
            ]
        );
    }
}
