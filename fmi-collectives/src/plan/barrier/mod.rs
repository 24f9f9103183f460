//! Barrier: no rank leaves before all have entered. No blocks.

pub mod dissemination;
pub mod packed;
pub mod shared;
pub mod shared_tree;
pub mod star;

use crate::plan::Algorithm;

/// All for a barrier.
pub const ALGORITHMS: &[&Algorithm] = &[
    &dissemination::ALGORITHM,
    &star::ALGORITHM,
    &shared::ALGORITHM,
    &shared_tree::ALGORITHM,
    &packed::ALGORITHM,
];
