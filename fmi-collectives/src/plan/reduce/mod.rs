//! Reduce: the root gets the combination of all ranks' values. One block, or one a piece, which
//! begins as the rank's value; on ranks other than the root it ends as an intermediate result.

pub mod binomial;
pub mod chain;
pub mod contiguous_tree;
pub mod linear;
pub mod packed;
pub mod packed_lanes;
pub mod shared;
pub mod shared_tree;

use crate::plan::Algorithm;

/// All for a reduce.
pub const ALGORITHMS: &[&Algorithm] = &[
    &binomial::ALGORITHM,
    &contiguous_tree::ALGORITHM,
    &chain::ALGORITHM,
    &linear::ALGORITHM,
    &shared::ALGORITHM,
    &shared_tree::ALGORITHM,
    &packed::ALGORITHM,
    &packed_lanes::ALGORITHM,
];
