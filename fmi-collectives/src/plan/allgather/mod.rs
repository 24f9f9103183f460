//! Allgather: every rank gets one value from every rank. Block `i` is that of rank `i`.

pub mod ring;

use crate::plan::Algorithm;

/// All for an allgather.
pub const ALGORITHMS: &[&Algorithm] = &[&ring::ALGORITHM];
