//! Linear scatter, for large values. n−1 rounds; the root sends (n−1)S bytes, each value straight to
//! its rank.

use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Step};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Scatter,
    name: "linear",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| shape.size - 1,
    sent: |shape| shape.size - 1,
};

/// The root sends them in the order of ranks above it, wrapping around.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let Shape { size, root, .. } = shape;
    let recv = (rank != root).then(|| Step::recv(root, rank));
    let above = 1..if rank == root { size } else { 1 };
    let sends = above.map(move |distance| (root + distance) % size);
    recv.into_iter().chain(sends.map(|to| Step::send(to, to)))
}
