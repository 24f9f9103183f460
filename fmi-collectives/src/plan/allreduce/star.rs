//! Star allreduce, for short values among processes that share cores. 2(n−1) rounds and messages of S
//! bytes: rank 0 folds all values in the order of ranks, and tells all what it has.

use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Side, Step, star};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Allreduce,
    name: "star",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| 2 * (shape.size - 1),
    sent: |shape| shape.size - 1,
};

/// What rank 0 folds is the left fold of any operation.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let take = |from| Step::combine(from, 0, Side::Right);
    let give = |to| Step::send(to, 0);
    star::plan(rank, shape.size, take, give, [give(0), Step::recv(0, 0)])
}
