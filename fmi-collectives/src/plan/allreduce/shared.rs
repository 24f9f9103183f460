//! Allreduce of long values through shared memory, for associative operations. The value is cut into n
//! pieces, and each rank combines one. 2(n−1) rounds; each rank publishes S bytes, combines S and reads
//! S(n−1)/n.

use crate::plan::{
    Algorithm, Collective, Demand, Growth, Medium, Shape, Step, allgather, reduce_scatter,
};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Allreduce,
    name: "shared",
    demand: Demand::Associative,
    cut: Some(|shape| shape.size),
    medium: Medium::Shared,
    growth: Growth::Mirrored,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| 2 * (shape.size - 1),
    sent: |shape| if shape.size == 1 { 0 } else { shape.size },
};

/// A [reduce-scatter](reduce_scatter::shared) and an [allgather](allgather::shared) of the pieces.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    reduce_scatter::shared::plan(rank, shape.clone()).chain(allgather::shared::plan(rank, shape))
}
