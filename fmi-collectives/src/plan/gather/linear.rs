//! Linear gather, for large values. n−1 rounds, S bytes a rank, straight to the root.

use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Step};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Gather,
    name: "linear",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| shape.size - 1,
    sent: |shape| 1.min(shape.size - 1),
};

/// The root takes them in the order of ranks above it, wrapping around.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let Shape { size, root, .. } = shape;
    let send = (rank != root).then(|| Step::send(root, rank));
    let above = 1..if rank == root { size } else { 1 };
    let recvs = above.map(move |distance| (root + distance) % size);
    send.into_iter().chain(recvs.map(|from| Step::recv(from, from)))
}
