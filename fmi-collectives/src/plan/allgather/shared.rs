//! Allgather through shared memory. n−1 rounds: every rank publishes its value once and reads those of
//! the others.

use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Step, Tier};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Allgather,
    name: "shared",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Shared,
    growth: Growth::Mirrored,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| shape.size - 1,
    sent: |shape| 1.min(shape.size - 1),
};

/// Each rank begins with the one above it, so that not all read the same.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let size = shape.size;
    let publish = (size > 1).then(|| Step::publish(rank, size - 1));
    let fetches = (1..size).map(move |distance| (rank + distance) % size);
    let fetches = fetches.map(|from| Step::fetch(from, from));
    publish.into_iter().chain(fetches).map(|step| step.on(Tier::Pack))
}
