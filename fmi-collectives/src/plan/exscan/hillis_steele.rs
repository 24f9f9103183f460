//! Hillis–Steele exscan, for associative operations. One round to move the values, then
//! ⌈log₂ (n−1)⌉; rank 1 sends most, S bytes a round.
//! Hillis & Steele 1986.

use super::shifted;
use crate::plan::{Algorithm, Collective, Demand, Shape, Step, log2_ceil, scan};

/// As the file says.
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Exscan,
    name: "hillis_steele",
    demand: Demand::Associative,
    cut: None,
    shared: false,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds,
    sent,
};

/// A [scan](scan::hillis_steele) by all ranks but the first, of the values of those below.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    shifted(rank, shape, 1, scan::hillis_steele::plan)
}

fn rounds(shape: Shape) -> usize {
    if shape.size == 1 { 0 } else { 1 + log2_ceil(shape.size - 1) }
}

fn sent(shape: Shape) -> usize {
    // The last rank does not move its value, so of two ranks the first sends most.
    rounds(shape)
}
