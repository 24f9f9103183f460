//! Barrier through shared memory. n rounds, without contention: rank 0 looks for the signal of each
//! rank, then gives one that all others look for.

use crate::plan::{Algorithm, Blocks, Collective, Demand, Growth, Medium, Shape, Step, Tier};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Barrier,
    name: "shared",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Shared,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| if shape.size == 1 { 0 } else { shape.size },
    sent: |_| 0,
};

/// Each rank publishes one signal: that it has entered, or rank 0 that all have.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let size = shape.size;
    let signal = |readers| Step::publish(Blocks::NONE, readers);
    let look = |from| Step::fetch(from, Blocks::NONE);
    let (all, enter, leave) = match rank {
        _ if size == 1 => (0..0, None, None),
        0 => (1..size, None, Some(signal(size - 1))),
        _ => (0..0, Some(signal(1)), Some(look(0))),
    };
    enter.into_iter().chain(all.map(look)).chain(leave).map(|step| step.on(Tier::Pack))
}
