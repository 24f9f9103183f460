//! Scatter: every rank gets one of the root's values. One block a rank.
//!
//! Blocks are numbered from the root, as in [`gather`](super::gather): the root begins with all and
//! puts the value for rank `r` into block [`block_of`]`(r)`; a rank ends with its own block.
//! Inner ranks of the tree also hold the blocks that they passed on.

pub mod binomial;

pub use super::gather::{block_of, rank_of};
