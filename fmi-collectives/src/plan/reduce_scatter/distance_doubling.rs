//! Distance doubling reduce-scatter, for associative operations. log₂ n rounds, (n−1)S bytes a rank
//! for blocks of S where n is a power of two; else up to three more rounds, and ranks that others
//! act for send nS.
//! Recursive halving as in Rabenseifner 2004, with neighbours first and blocks at regular distances.

use crate::plan::{
    Algorithm, Blocks, Collective, Demand, Growth, Medium, Shape, Side, Step,
    fold::{Fold, Role},
};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::ReduceScatter,
    name: "distance_doubling",
    demand: Demand::Associative,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| {
        let fold = Fold::of(shape.size);
        fold.levels()
            + match shape.size - fold.actors {
                0 => 0,
                1 => 2,
                _ => 3,
            }
    },
    sent: |shape| shape.size - usize::from(shape.size.is_power_of_two()),
};

/// At distance 2ᵏ each rank keeps the blocks whose lowest k+1 bits are those of its own number, and
/// gives away the others that it still has. By then it has combined its group of 2ᵏ neighbours.
///
/// Where n is not a power of two, the first ranks join in pairs before, until a power of two is
/// left, and the lower one acts for both; in the end each block is sent where it belongs.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let size = shape.size;
    let fold = Fold::of(size);
    let role = fold.role(rank);
    let join = match role {
        Role::Single { .. } => None,
        Role::Lower { .. } => Some(Step::combine(rank + 1, 0..size, Side::Right)),
        Role::Upper => Some(Step::send(rank - 1, 0..size)),
    };
    let exchanges = role.actor().into_iter().flat_map(move |actor| {
        (0..fold.levels()).map(|level| 1 << level).flat_map(move |distance| {
            let stride = 2 * distance;
            let kept_by = |actor| Blocks::strided(actor % stride, 1, stride, size);
            let other = actor ^ distance;
            let peer = fold.rank_of(other);
            let side = if other < actor { Side::Left } else { Side::Right };
            [Step::send(peer, kept_by(other)), Step::combine(peer, kept_by(actor), side)]
        })
    });
    let deal = role.actor().into_iter().flat_map(move |actor| {
        let kept = (actor..size).step_by(fold.actors).filter(move |block| *block != rank);
        kept.map(|block| Step::send(block, block))
    });
    let keeper = fold.rank_of(rank % fold.actors);
    let own = (keeper != rank).then(|| Step::recv(keeper, rank));
    join.into_iter().chain(exchanges).chain(deal).chain(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rank_2_of_4_keeps_every_second_block_then_its_own() {
        let steps: Vec<Step> = plan(2, Shape::of(4)).collect();
        assert_eq!(
            steps,
            [
                Step::send(3, Blocks::strided(1, 1, 2, 4)),
                Step::combine(3, Blocks::strided(0, 1, 2, 4), Side::Right),
                Step::send(0, Blocks::strided(0, 1, 4, 4)),
                Step::combine(0, Blocks::strided(2, 1, 4, 4), Side::Left),
            ]
        );
    }
}
