//! Allreduce of short values through shared memory, for ordered operations. n rounds: rank 0 combines
//! the values of all ranks in rank order and publishes the result.

use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Step, bcast, reduce};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Allreduce,
    name: "shared_small",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Shared,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| if shape.size == 1 { 0 } else { shape.size },
    sent: |shape| 1.min(shape.size - 1),
};

/// A [reduce](reduce::shared) and a [bcast](bcast::shared) of rank 0.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let shape = shape.rooted(0);
    reduce::shared::plan(rank, shape.clone()).chain(bcast::shared::plan(rank, shape))
}
