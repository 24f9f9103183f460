//! Rabenseifner's allreduce, for associative operations on long values. The value is cut into p pieces,
//! p the largest power of two that is not above n. 2·log₂ p rounds, 2S(p−1)/p bytes a rank; where n is
//! not a power of two, two more rounds, and ranks that act for another send S more.
//! Rabenseifner 2004; here neighbours begin, so that operands stay in order.

use crate::plan::{
    Algorithm, Collective, Demand, Shape, Side, Step,
    fold::{Fold, Role},
};
use std::ops::Range;

/// As the file says.
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Allreduce,
    name: "rabenseifner",
    demand: Demand::Associative,
    cut: Some(|shape| Fold::of(shape.size).actors),
    shared: false,
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
    let halves = (0..level).filter(|bit| actor >> bit & 1 == 1);
    let start = halves.map(|bit| actors >> (bit + 1)).sum();
    start..start + (actors >> level)
}
