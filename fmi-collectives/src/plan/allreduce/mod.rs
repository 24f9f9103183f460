//! Allreduce: every rank gets the combination of all ranks' values, the same bits everywhere.
//! One block.

pub mod recursive_doubling;
pub mod reduce_bcast;
