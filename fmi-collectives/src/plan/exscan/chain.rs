//! Chain exscan in chunks, for ordered operations. One round to move the values, then n+c−3 for c
//! chunks; each rank in the middle sends 2S bytes.

use super::shifted;
use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Step, scan};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Exscan,
    name: "chain",
    demand: Demand::Ordered,
    cut: Some(|shape| shape.chunks),
    medium: Medium::Links,
    growth: Growth::Linear,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| match shape.size {
        1 => 0,
        2 => 1,
        size => size + shape.chunks - 2,
    },
    sent: |shape| match shape.size {
        1 => 0,
        2 => shape.chunks,
        _ => 2 * shape.chunks,
    },
};

/// A [scan](scan::chain) by all ranks but the first, of the values of those below.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let chunks = shape.chunks;
    shifted(rank, shape, chunks, scan::chain::plan)
}
