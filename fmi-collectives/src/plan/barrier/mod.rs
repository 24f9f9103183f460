//! Barrier: no rank leaves before all have entered. No blocks.

pub mod dissemination;

use crate::plan::Algorithm;

/// All for a barrier.
pub const ALGORITHMS: &[&Algorithm] = &[&dissemination::ALGORITHM];
