//! Alltoall: every rank gets one value from every rank, and each gets another. Block `i` is the
//! value for rank `i`, block `n + i` the one from rank `i`.

pub mod bruck;
pub mod packed;
pub mod pairwise;
pub mod shared;
pub mod star;

use crate::plan::Algorithm;

/// All for an alltoall.
pub const ALGORITHMS: &[&Algorithm] = &[
    &bruck::ALGORITHM,
    &pairwise::ALGORITHM,
    &star::ALGORITHM,
    &shared::ALGORITHM,
    &packed::ALGORITHM,
];
