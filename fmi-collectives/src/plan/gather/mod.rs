//! Gather: the root gets one value from every rank. Block `i` is that of rank `i`; inner ranks of
//! a tree also hold the blocks that they passed on.

pub mod binomial;
pub mod linear;
pub mod packed;
pub mod shared;

use crate::plan::Algorithm;

/// All for a gather.
pub const ALGORITHMS: &[&Algorithm] =
    &[&binomial::ALGORITHM, &linear::ALGORITHM, &shared::ALGORITHM, &packed::ALGORITHM];
