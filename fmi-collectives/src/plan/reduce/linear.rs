//! Linear reduce, for short values among processes that share cores. n−1 rounds, S bytes a rank,
//! straight to the root.

use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Side, Step};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Reduce,
    name: "linear",
    demand: Demand::Associative,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| shape.size - 1,
    sent: |shape| 1.min(shape.size - 1),
};

/// The root combines its own value with those of the ranks below it, the nearest first, then with
/// those of the ranks above it.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let Shape { size, root, .. } = shape;
    let send = (rank != root).then(|| Step::send(root, 0));
    let (below, above) = if rank == root { (0..root, root + 1..size) } else { (0..0, 0..0) };
    let below = below.rev().map(|from| Step::combine(from, 0, Side::Left));
    let above = above.map(|from| Step::combine(from, 0, Side::Right));
    send.into_iter().chain(below).chain(above)
}
