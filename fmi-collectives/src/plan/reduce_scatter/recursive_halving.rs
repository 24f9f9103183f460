//! Recursive halving reduce-scatter, for commutative operations. log₂ n rounds, (n−1)S bytes a rank for
//! blocks of S where n is a power of two; else two more rounds, and ranks that others act for send nS.
//! Thakur, Rabenseifner & Gropp 2005.

use crate::plan::{
    Algorithm, Collective, Demand, Growth, Medium, Shape, Side, Step,
    fold::{Fold, Role, group},
};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::ReduceScatter,
    name: "recursive_halving",
    demand: Demand::Commutative,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| {
        let fold = Fold::of(shape.size);
        fold.levels() + if fold.is_uneven() { 2 } else { 0 }
    },
    sent: |shape| shape.size - usize::from(shape.size.is_power_of_two()),
};

/// Ranks half the size apart begin: each gives the other the blocks of its half. So the groups that
/// share blocks become smaller and smaller, and stay ranges.
///
/// Where n is not a power of two, the first ranks join in pairs before, until a power of two is
/// left, and the lower one acts for both.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let size = shape.size;
    let fold = Fold::of(size);
    let role = fold.role(rank);
    let (join, part) = match role {
        Role::Single { .. } => (None, None),
        Role::Lower { .. } => (
            Some(Step::combine(rank + 1, 0..size, Side::Right)),
            Some(Step::send(rank + 1, rank + 1)),
        ),
        Role::Upper => (Some(Step::send(rank - 1, 0..size)), Some(Step::recv(rank - 1, rank))),
    };
    let exchanges = role.actor().into_iter().flat_map(move |actor| {
        (0..fold.levels()).rev().map(|level| 1 << level).flat_map(move |width| {
            let other = actor ^ width;
            let peer = fold.rank_of(other);
            let side = if other < actor { Side::Left } else { Side::Right };
            [
                Step::send(peer, fold.ranks(group(other, width))),
                Step::combine(peer, fold.ranks(group(actor, width)), side),
            ]
        })
    });
    join.into_iter().chain(exchanges).chain(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_halves_what_is_left() {
        let steps: Vec<Step> = plan(0, Shape::of(4)).collect();
        assert_eq!(
            steps,
            [
                Step::send(2, 2..4),
                Step::combine(2, 0..2, Side::Right),
                Step::send(1, 1),
                Step::combine(1, 0, Side::Right),
            ]
        );
    }
}
