//! Ring allreduce, for commutative operations on long values. The value is cut into n pieces. 2(n−1)
//! rounds, 2S(n−1)/n bytes a rank, always to the same neighbour.
//! Patarasuk & Yuan 2009.

use crate::plan::{
    Algorithm, Collective, Demand, Growth, Medium, Shape, Step, allgather, reduce_scatter,
};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Allreduce,
    name: "ring",
    demand: Demand::Commutative,
    cut: Some(|shape| shape.size),
    medium: Medium::Links,
    growth: Growth::Mirrored,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| 2 * (shape.size - 1),
    sent: |shape| 2 * (shape.size - 1),
};

/// A [reduce-scatter](reduce_scatter::ring) and an [allgather](allgather::ring) of the pieces.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    reduce_scatter::ring::plan(rank, shape.clone()).chain(allgather::ring::plan(rank, shape))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rank_sends_two_pieces_to_each_other_rank() {
        let report = ALGORITHM.check(Shape::of(5)).unwrap();
        assert_eq!((report.messages, report.blocks), (40, 40));
    }
}
