//! Chain reduce-scatter, for ordered operations. 2(n−1) rounds; each rank in the middle sends nS
//! bytes for blocks of S.

use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Step, scan};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::ReduceScatter,
    name: "chain",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Linear,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| 2 * (shape.size - 1),
    sent: |shape| if shape.size == 1 { 0 } else { shape.size },
};

/// Block after block goes up a chain [scan](scan::chain), and the last rank sends it where it
/// belongs.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let (size, last) = (shape.size, shape.size - 1);
    let fold = (0..size).flat_map(move |block| {
        let deal = (rank == last && block != last).then(|| Step::send(block, block));
        scan::chain::chunk(rank, size, block).chain(deal)
    });
    let own = (rank != last).then(|| Step::recv(last, rank));
    fold.chain(own)
}
