//! Star allgather, for short values among ranks that share cores or threads. 2(n−1) rounds and messages: rank 0
//! gets S bytes from each rank and sends nS to each.

use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Step, star};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Allgather,
    name: "star",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| 2 * (shape.size - 1),
    sent: |shape| shape.size * (shape.size - 1),
};

/// Rank 0 has all before it sends to the first.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let size = shape.size;
    let take = |from| Step::recv(from, from);
    let give = move |to| Step::send(to, 0..size);
    star::plan(rank, size, take, give, [Step::send(0, rank), Step::recv(0, 0..size)])
}
