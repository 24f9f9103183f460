//! Pairwise allgather, for processes that share cores. n−1 rounds, (n−1)S bytes a rank, each block straight to
//! all ranks: nobody waits for what another passes on.

use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Step, pairwise};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Allgather,
    name: "pairwise",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Mirrored,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| shape.size - 1,
    sent: |shape| shape.size - 1,
};

/// In round k each rank sends its block to the one k above it and receives that of the one k below.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let send = move |to| Step::send(to, rank);
    pairwise::plan(rank, shape.size, send, |from| Step::recv(from, from))
}
