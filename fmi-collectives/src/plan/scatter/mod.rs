//! Scatter: every rank gets one of the root's values. Block `i` is for rank `i`; inner ranks of
//! a tree also hold the blocks that they passed on.

pub mod binomial;
pub mod linear;
pub mod packed;
pub mod shared;

use crate::plan::Algorithm;

/// All for a scatter.
pub const ALGORITHMS: &[&Algorithm] =
    &[&binomial::ALGORITHM, &linear::ALGORITHM, &shared::ALGORITHM, &packed::ALGORITHM];
