//! Recursive doubling allreduce, for associative operations. log₂ n rounds, S·log₂ n bytes a rank
//! where n is a power of two; else ⌊log₂ n⌋ + 2 rounds, and the busiest rank sends one S more.
//! Thakur, Rabenseifner & Gropp 2005.

use crate::plan::{Side, Step};

/// Neighbours in groups of 1, 2, 4… exchange what they have and combine it, lower ranks on the
/// left. Both sides compute the same, so that all ranks end with the same bracketing.
///
/// Where n is not a power of two, the first ranks join in pairs before, until a power of two is
/// left, and the lower one acts for both. It has to be neighbours that join: then every group is a
/// contiguous range of ranks and the order is kept.
pub fn plan(rank: usize, size: usize) -> impl Iterator<Item = Step> + Send + 'static {
    let actors = 1_usize << size.ilog2();
    let pairs = size - actors;
    let paired = rank < 2 * pairs;
    let acts = !paired || rank.is_multiple_of(2);

    let (join, part) = match (paired, acts) {
        (false, _) => (None, None),
        (true, true) => (
            Some(Step::Combine { from: rank + 1, block: 0, side: Side::Right }),
            Some(Step::Send { to: rank + 1, blocks: 0..1 }),
        ),
        (true, false) => (
            Some(Step::Send { to: rank - 1, blocks: 0..1 }),
            Some(Step::Recv { from: rank - 1, blocks: 0..1 }),
        ),
    };

    let actor = if paired { rank / 2 } else { rank - pairs };
    let rank_of = move |actor: usize| if actor < pairs { 2 * actor } else { actor + pairs };
    let exchanges = (0..if acts { actors.ilog2() } else { 0 }).flat_map(move |level| {
        let peer = rank_of(actor ^ (1 << level));
        let side = if peer < rank { Side::Left } else { Side::Right };
        [Step::Send { to: peer, blocks: 0..1 }, Step::Combine { from: peer, block: 0, side }]
    });

    join.into_iter().chain(exchanges).chain(part)
}

/// log₂ n, or ⌊log₂ n⌋ + 2 where n is not a power of two
pub fn rounds(size: usize) -> usize {
    size.ilog2() as usize + if size.is_power_of_two() { 0 } else { 2 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Algorithm;

    #[test]
    fn messages_and_bytes_are_as_claimed() {
        for size in 1..=65_usize {
            let report = Algorithm::AllreduceRecursiveDoubling.check(size, 0).unwrap();
            let (levels, actors) = (size.ilog2() as usize, 1 << size.ilog2());
            assert_eq!(report.messages, actors * levels + 2 * (size - actors));
            assert_eq!(report.most_sent, levels + usize::from(size != actors));
        }
    }

    #[test]
    fn of_three_ranks_the_first_two_join() {
        let steps: Vec<Step> = plan(0, 3).collect();
        assert_eq!(
            steps,
            [
                Step::Combine { from: 1, block: 0, side: Side::Right },
                Step::Send { to: 2, blocks: 0..1 },
                Step::Combine { from: 2, block: 0, side: Side::Right },
                Step::Send { to: 1, blocks: 0..1 },
            ]
        );
    }
}
