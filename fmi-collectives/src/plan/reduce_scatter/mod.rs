//! Reduce-scatter: every rank has n values and gets the combination of all ranks' values for it.
//! Block `i` is for rank `i`; the others end as intermediate results.

pub mod chain;
pub mod distance_doubling;
pub mod packed;
pub mod pairwise;
pub mod recursive_halving;
pub mod ring;
pub mod shared;
pub mod star;

use crate::plan::Algorithm;

/// All for a reduce_scatter.
pub const ALGORITHMS: &[&Algorithm] = &[
    &recursive_halving::ALGORITHM,
    &ring::ALGORITHM,
    &distance_doubling::ALGORITHM,
    &pairwise::ALGORITHM,
    &chain::ALGORITHM,
    &star::ALGORITHM,
    &shared::ALGORITHM,
    &packed::ALGORITHM,
];
