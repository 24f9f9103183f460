//! Allreduce through a store for very many ranks, or in one process for long values, in groups, for
//! associative operations: rank 0 publishes what the leaders of groups have combined. n publications of S bytes, 2(n−1) fetches, of
//! which no rank but the first has more than 15 a level of ⌈log₁₆ n⌉, side by side.

use crate::plan::{
    Algorithm, Collective, Demand, Growth, Medium, Shape, Step, Tier, bcast, groups, reduce,
};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Allreduce,
    name: "shared_tree",
    demand: Demand::Associative,
    cut: None,
    medium: Medium::Shared,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| if shape.size == 1 { 0 } else { groups::members(0, shape.size).count() + 1 },
    sent: |shape| 1.min(shape.size - 1),
};

/// A [reduce](reduce::shared_tree) and a [bcast](bcast::shared) of rank 0.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let shape = shape.rooted(0);
    let steps =
        reduce::shared_tree::plan(rank, shape.clone()).chain(bcast::shared::plan(rank, shape));
    steps.map(|step| step.on(Tier::Remote))
}
