//! Rabenseifner's allreduce, for associative operations on long values. The value is cut into p pieces,
//! p the largest power of two that is not above n. 2·log₂ p rounds, 2S(p−1)/p bytes a rank; where n is
//! not a power of two, two more rounds, and ranks that act for another send S more.
//! Rabenseifner 2004; here neighbours begin, so that operands stay in order.

use crate::plan::{
    Algorithm, Collective, Demand, Growth, Medium, Shape, Side, Step,
    fold::{Fold, Role},
};
use std::ops::Range;

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Allreduce,
    name: "rabenseifner",
    demand: Demand::Associative,
    cut: Some(|shape| Fold::of(shape.size).actors),
    medium: Medium::Links,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| {
        let fold = Fold::of(shape.size);
        2 * fold.levels() + if fold.is_uneven() { 2 } else { 0 }
    },
    sent: |shape| {
        let fold = Fold::of(shape.size);
        2 * (fold.actors - 1) + if fold.is_uneven() { fold.actors } else { 0 }
    },
};

/// Reduce-scatter: at distances 1, 2, 4… two ranks share the pieces that they both have; each gives
/// away one half and combines the other. Before distance 2ᵏ each has combined its group of 2ᵏ
/// neighbours, lower ranks on the left. Allgather: the same steps backwards.
///
/// Where n is not a power of two, the first ranks join in pairs before, until a power of two is
/// left, and the lower one acts for both.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let fold = Fold::of(shape.size);
    let all = 0..fold.actors;
    let role = fold.role(rank);
    let (join, part) = match role {
        Role::Single { .. } => (None, None),
        Role::Lower { .. } => (
            Some(Step::combine(rank + 1, all.clone(), Side::Right)),
            Some(Step::send(rank + 1, all)),
        ),
        Role::Upper => (Some(Step::send(rank - 1, all.clone())), Some(Step::recv(rank - 1, all))),
    };
    let exchanges = role.actor().into_iter().flat_map(move |actor| {
        let share = move |actor, level| share(actor, level, fold.actors);
        let reduce = (0..fold.levels()).flat_map(move |level| {
            let other = actor ^ 1 << level;
            let peer = fold.rank_of(other);
            let side = if other < actor { Side::Left } else { Side::Right };
            [
                Step::send(peer, share(other, level + 1)),
                Step::combine(peer, share(actor, level + 1), side),
            ]
        });
        let gather = (0..fold.levels()).rev().flat_map(move |level| {
            let other = actor ^ 1 << level;
            let peer = fold.rank_of(other);
            [Step::send(peer, share(actor, level + 1)), Step::recv(peer, share(other, level + 1))]
        });
        reduce.chain(gather)
    });
    join.into_iter().chain(exchanges).chain(part)
}

/// The pieces that an actor is left with after so many halvings: the lower half where its bit is 0.
fn share(actor: usize, level: usize, actors: usize) -> Range<usize> {
    // The lowest bit decides about the largest half.
    let halves = actor & ((1 << level) - 1);
    let start = halves.reverse_bits().checked_shr(usize::BITS - actors.ilog2()).unwrap_or(0);
    start..start + (actors >> level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_half_of_the_one_before() {
        let shares: Vec<Range<usize>> = (0..4).map(|level| share(5, level, 8)).collect();
        assert_eq!(shares, [0..8, 4..8, 4..6, 5..6]);
        // Each actor is left with another piece.
        let mut last: Vec<usize> = (0..8).map(|actor| share(actor, 3, 8).start).collect();
        last.sort_unstable();
        assert_eq!(last, [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn four_ranks_halve_twice_and_double_twice() {
        let steps: Vec<Step> = plan(1, Shape::of(4)).collect();
        assert_eq!(
            steps,
            [
                Step::send(0, 0..2),
                Step::combine(0, 2..4, Side::Left),
                Step::send(3, 3),
                Step::combine(3, 2, Side::Right),
                Step::send(3, 2),
                Step::recv(3, 3),
                Step::send(0, 2..4),
                Step::recv(0, 0..2),
            ]
        );
    }
}
