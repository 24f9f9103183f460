//! Recursive doubling allreduce, for associative operations. log₂ n rounds, S·log₂ n bytes a rank
//! where n is a power of two; else ⌊log₂ n⌋ + 2 rounds, and the busiest rank sends one S more.
//! Thakur, Rabenseifner & Gropp 2005.

use crate::plan::{
    Algorithm, Collective, Demand, Growth, Medium, Shape, Side, Step,
    fold::{Fold, Role},
};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Allreduce,
    name: "recursive_doubling",
    demand: Demand::Associative,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| {
        let fold = Fold::of(shape.size);
        fold.levels() + if fold.is_uneven() { 2 } else { 0 }
    },
    sent: |shape| {
        let fold = Fold::of(shape.size);
        fold.levels() + usize::from(fold.is_uneven())
    },
};

/// Neighbours in groups of 1, 2, 4… exchange what they have and combine it, lower ranks on the
/// left. Both sides compute the same, so that all ranks end with the same bracketing.
///
/// Where n is not a power of two, the first ranks join in pairs before, until a power of two is
/// left, and the lower one acts for both.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let fold = Fold::of(shape.size);
    let role = fold.role(rank);
    let (join, part) = match role {
        Role::Single { .. } => (None, None),
        Role::Lower { .. } => {
            (Some(Step::combine(rank + 1, 0, Side::Right)), Some(Step::send(rank + 1, 0)))
        }
        Role::Upper => (Some(Step::send(rank - 1, 0)), Some(Step::recv(rank - 1, 0))),
    };
    let exchanges = role.actor().into_iter().flat_map(move |actor| {
        (0..fold.levels()).flat_map(move |level| {
            let peer = fold.rank_of(actor ^ 1 << level);
            let side = if peer < rank { Side::Left } else { Side::Right };
            [Step::send(peer, 0), Step::combine(peer, 0, side)]
        })
    });
    join.into_iter().chain(exchanges).chain(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_as_claimed() {
        for size in 1..=65_usize {
            let report = ALGORITHM.check(Shape::of(size)).unwrap();
            let (levels, actors) = (size.ilog2() as usize, 1 << size.ilog2());
            assert_eq!(report.messages, actors * levels + 2 * (size - actors));
        }
    }

    #[test]
    fn of_three_ranks_the_first_two_join() {
        let steps: Vec<Step> = plan(0, Shape::of(3)).collect();
        assert_eq!(
            steps,
            [
                Step::combine(1, 0, Side::Right),
                Step::send(2, 0),
                Step::combine(2, 0, Side::Right),
                Step::send(1, 0),
            ]
        );
    }
}
