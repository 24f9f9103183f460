//! Allreduce: every rank gets the combination of all ranks' values, the same bits everywhere.
//! One block, or one a piece.

pub mod chain;
pub mod packed;
pub mod packed_lanes;
pub mod rabenseifner;
pub mod recursive_doubling;
pub mod reduce_bcast;
pub mod ring;
pub mod shared;
pub mod shared_small;
pub mod shared_tree;
pub mod star;

use crate::plan::Algorithm;

/// All for an allreduce.
pub const ALGORITHMS: &[&Algorithm] = &[
    &recursive_doubling::ALGORITHM,
    &rabenseifner::ALGORITHM,
    &ring::ALGORITHM,
    &reduce_bcast::ALGORITHM,
    &chain::ALGORITHM,
    &star::ALGORITHM,
    &shared_small::ALGORITHM,
    &shared::ALGORITHM,
    &shared_tree::ALGORITHM,
    &packed::ALGORITHM,
    &packed_lanes::ALGORITHM,
];
