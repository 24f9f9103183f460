//! Ring reduce-scatter, for commutative operations. n−1 rounds, (n−1)S bytes a rank for blocks of
//! S, always to the same neighbour.
//! Patarasuk & Yuan 2009.

use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Side, Step};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::ReduceScatter,
    name: "ring",
    demand: Demand::Commutative,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Mirrored,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| shape.size - 1,
    sent: |shape| shape.size - 1,
};

/// Block `i` begins at rank i+1, collects a value from each rank on its way around, and ends at
/// rank i.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let size = shape.size;
    let below = move |distance| (rank + 2 * size - distance) % size;
    (1..size).flat_map(move |round| {
        [
            Step::send((rank + 1) % size, below(round)),
            Step::combine(below(1), below(round + 1), Side::Left),
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_block_comes_last() {
        let steps: Vec<Step> = plan(0, Shape::of(3)).collect();
        let left = |block| Step::combine(2, block, Side::Left);
        assert_eq!(steps, [Step::send(1, 2), left(1), Step::send(1, 1), left(0)]);
    }
}
