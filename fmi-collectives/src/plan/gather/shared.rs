//! Gather through shared memory. n−1 rounds: every rank publishes its value, the root reads them.

use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Step, Tier};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Gather,
    name: "shared",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Shared,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| shape.size - 1,
    sent: |shape| 1.min(shape.size - 1),
};

/// One reader each.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let Shape { size, root, .. } = shape;
    let publish = (rank != root).then(|| Step::publish(rank, 1));
    let above = 1..if rank == root { size } else { 1 };
    let fetches = above.map(move |distance| (root + distance) % size);
    let fetches = fetches.map(|from| Step::fetch(from, from));
    publish.into_iter().chain(fetches).map(|step| step.on(Tier::Pack))
}
