//! Recursive doubling allgather. log₂ n rounds, (n−1)S bytes a rank where n is a power of two. Else
//! ⌊log₂ n⌋ + 2 rounds, and ranks that act for another send up to twice as much.
//! Thakur, Rabenseifner & Gropp 2005.

use crate::plan::{
    Algorithm, Blocks, Collective, Demand, Growth, Medium, Shape, Step,
    fold::{Fold, Role, group},
};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Allgather,
    name: "recursive_doubling",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| {
        let fold = Fold::of(shape.size);
        fold.levels() + if fold.is_uneven() { 2 } else { 0 }
    },
    sent: |shape| {
        // Rank 0 sends the blocks of its group at each level, and all to the rank behind it.
        let fold = Fold::of(shape.size);
        let groups: usize = (0..fold.levels()).map(|level| fold.ranks(0..1 << level).len()).sum();
        groups + if fold.is_uneven() { shape.size - 1 } else { 0 }
    },
};

/// Neighbours in groups of 1, 2, 4… exchange all that they have, always a range of blocks.
///
/// Where n is not a power of two, the first ranks join in pairs before, until a power of two is
/// left, and the lower one acts for both.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let size = shape.size;
    let fold = Fold::of(size);
    let role = fold.role(rank);
    let (join, part) = match role {
        Role::Single { .. } => (None, None),
        Role::Lower { .. } => {
            let upper = rank + 1;
            (Some(Step::recv(upper, upper)), Some(Step::send(upper, Blocks::all_but(upper, size))))
        }
        Role::Upper => (
            Some(Step::send(rank - 1, rank)),
            Some(Step::recv(rank - 1, Blocks::all_but(rank, size))),
        ),
    };
    let exchanges = role.actor().into_iter().flat_map(move |actor| {
        (0..fold.levels()).map(|level| 1 << level).flat_map(move |width| {
            let other = actor ^ width;
            let peer = fold.rank_of(other);
            [
                Step::send(peer, fold.ranks(group(actor, width))),
                Step::recv(peer, fold.ranks(group(other, width))),
            ]
        })
    });
    join.into_iter().chain(exchanges).chain(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upper_of_a_pair_gets_all_but_its_own() {
        let steps: Vec<Step> = plan(1, Shape::of(5)).collect();
        assert_eq!(steps, [Step::send(0, 1), Step::recv(0, Blocks::wrapping(2, 4, 0..5))]);
    }
}
