//! Barrier through a store for very many ranks, in groups: leaders look for the signals of their
//! groups, rank 0 gives one that all others look for. n publications and 2(n−1) fetches, of which no
//! rank but the first has more than 15 a level of ⌈log₁₆ n⌉, side by side.

use crate::plan::{
    Algorithm, Blocks, Collective, Demand, Growth, Medium, Shape, Step, Tier, groups,
};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Barrier,
    name: "shared_tree",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Shared,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| if shape.size == 1 { 0 } else { groups::members(0, shape.size).count() + 1 },
    sent: |_| 0,
};

/// Each rank publishes one signal: that its groups have entered, or rank 0 that all have.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let size = shape.size;
    let look = |from| Step::fetch(from, Blocks::NONE);
    let readers = if rank == 0 { size - 1 } else { 1 };
    let signal = (size > 1).then(|| Step::publish(Blocks::NONE, readers));
    let leave = groups::leader(rank).map(|_| look(0));
    groups::members(rank, size)
        .map(look)
        .chain(signal)
        .chain(leave)
        .map(|step| step.on(Tier::Remote))
}
