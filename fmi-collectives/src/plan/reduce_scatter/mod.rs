//! Reduce-scatter: every rank has n values and gets the combination of all ranks' values for it.
//! Block `i` is for rank `i`; the others end as intermediate results.

pub mod chain;
pub mod ring;

use crate::plan::Algorithm;

/// All for a reduce_scatter.
pub const ALGORITHMS: &[&Algorithm] = &[&ring::ALGORITHM, &chain::ALGORITHM];
