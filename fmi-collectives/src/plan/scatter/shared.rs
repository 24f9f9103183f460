//! Scatter through shared memory. One round: the root publishes all values but its own at once, every
//! rank reads its own.

use crate::plan::{Algorithm, Blocks, Collective, Demand, Growth, Medium, Shape, Step, Tier};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Scatter,
    name: "shared",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Shared,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| 1.min(shape.size - 1),
    sent: |shape| shape.size - 1,
};

/// One reader each.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let Shape { size, root, .. } = shape;
    let step = match rank {
        _ if size == 1 => None,
        _ if rank == root => Some(Step::publish(Blocks::all_but(root, size), 1)),
        _ => Some(Step::fetch(root, rank)),
    };
    step.into_iter().map(|step| step.on(Tier::Pack))
}
