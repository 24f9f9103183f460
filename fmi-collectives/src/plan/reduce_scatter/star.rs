//! Star reduce-scatter, for short values among ranks that share cores or threads. 2(n−1) rounds and messages: rank 0
//! gets nS bytes from each rank, folds them in the order of ranks, and sends S to each.

use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Side, Step, star};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::ReduceScatter,
    name: "star",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| 2 * (shape.size - 1),
    sent: |shape| if shape.size == 1 { 0 } else { shape.size },
};

/// What rank 0 folds is the left fold of any operation.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let size = shape.size;
    let take = move |from| Step::combine(from, 0..size, Side::Right);
    let give = |to| Step::send(to, to);
    star::plan(rank, size, take, give, [Step::send(0, 0..size), Step::recv(0, rank)])
}
