//! Alltoall through shared memory. n−1 rounds: every rank publishes all values but its own at once and
//! reads one from each of the others.

use crate::plan::{Algorithm, Blocks, Collective, Demand, Growth, Medium, Shape, Step, Tier};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Alltoall,
    name: "shared",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Shared,
    growth: Growth::Mirrored,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| shape.size - 1,
    sent: |shape| shape.size - 1,
};

/// A fetch reads into the same block, that of the rank itself; from there each value is moved to
/// its place.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let size = shape.size;
    let publish = (size > 1).then(|| Step::publish(Blocks::all_but(rank, size), 1));
    let keep = move |from| Step::copy(rank, size + from);
    let fetches = (1..size).map(move |distance| (rank + distance) % size);
    let fetches =
        fetches.flat_map(move |from| [Step::fetch(from, rank).on(Tier::Pack), keep(from)]);
    publish.into_iter().map(|step| step.on(Tier::Pack)).chain([keep(rank)]).chain(fetches)
}
