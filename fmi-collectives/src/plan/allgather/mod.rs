//! Allgather: every rank gets one value from every rank. Block `i` is that of rank `i`.

pub mod bruck;
pub mod packed;
pub mod pairwise;
pub mod recursive_doubling;
pub mod ring;
pub mod shared;
pub mod star;

use crate::plan::Algorithm;

/// All for an allgather.
pub const ALGORITHMS: &[&Algorithm] = &[
    &bruck::ALGORITHM,
    &recursive_doubling::ALGORITHM,
    &ring::ALGORITHM,
    &pairwise::ALGORITHM,
    &star::ALGORITHM,
    &shared::ALGORITHM,
    &packed::ALGORITHM,
];
