//! Bcast through shared memory. One round: the root publishes its value once, the others read it.

use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Step, Tier};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Bcast,
    name: "shared",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Shared,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| 1.min(shape.size - 1),
    sent: |shape| 1.min(shape.size - 1),
};

/// One publication with n−1 readers.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let Shape { size, root, .. } = shape;
    let step = match rank {
        _ if size == 1 => None,
        _ if rank == root => Some(Step::publish(0, size - 1)),
        _ => Some(Step::fetch(root, 0)),
    };
    step.into_iter().map(|step| step.on(Tier::Pack))
}
