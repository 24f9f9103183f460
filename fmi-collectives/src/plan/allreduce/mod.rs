//! Allreduce: every rank gets the combination of all ranks' values, the same bits everywhere.
//! One block, or one a piece.

pub mod recursive_doubling;
pub mod reduce_bcast;

use crate::plan::Algorithm;

/// All for an allreduce.
pub const ALGORITHMS: &[&Algorithm] = &[&recursive_doubling::ALGORITHM, &reduce_bcast::ALGORITHM];
