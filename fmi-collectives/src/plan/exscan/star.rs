//! Star exscan, for short values among ranks that share cores or threads. n−1 rounds, 2n−3 messages of S bytes: rank 0 folds
//! all values in the order of ranks, and tells each rank what it has before that rank's.

use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Side, Step};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Exscan,
    name: "star",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| shape.size - 1,
    sent: |shape| shape.size - 1,
};

/// Rank 0 has no result: its block is the fold.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let size = shape.size;
    let others = 1..if rank == 0 { size } else { 1 };
    let centre = others.flat_map(move |other| {
        let fold = (other + 1 < size).then(|| Step::combine(other, 0, Side::Right));
        [Some(Step::send(other, 0)), fold].into_iter().flatten()
    });
    // The last rank's value is nobody's.
    let send = (rank != 0 && rank + 1 < size).then(|| Step::send(0, 0));
    let recv = (rank != 0).then(|| Step::recv(0, 0));
    centre.chain(send).chain(recv)
}
