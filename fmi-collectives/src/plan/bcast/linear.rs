//! Linear bcast, for short values among processes that share cores. n−1 rounds, n−1 messages of S
//! bytes, all from the root.

use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Step};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Bcast,
    name: "linear",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| shape.size - 1,
    sent: |shape| shape.size - 1,
};

/// The root sends in the order of ranks above it, wrapping around.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let Shape { size, root, .. } = shape;
    let recv = (rank != root).then(|| Step::recv(root, 0));
    let above = 1..if rank == root { size } else { 1 };
    recv.into_iter().chain(above.map(move |distance| Step::send((root + distance) % size, 0)))
}
