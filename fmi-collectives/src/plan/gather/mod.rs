//! Gather: the root gets one value from every rank. One block a rank.
//!
//! Blocks are numbered from the root: block 0 is the root's own, block `i` is that of rank
//! `(root + i) mod size`. So the blocks under a node of the binomial tree are one range, whatever
//! the root. A rank begins with its own block, [`block_of`] itself; the root ends with all and puts
//! block `i` at place [`rank_of`]`(i)` of its result.

pub mod binomial;

use super::binomial::Tree;

/// The block that holds the value of `rank`, in gather and in scatter.
pub fn block_of(rank: usize, root: usize, size: usize) -> usize {
    Tree { size, root }.node(rank)
}

/// The rank whose value is in `block`, in gather and in scatter.
pub fn rank_of(block: usize, root: usize, size: usize) -> usize {
    Tree { size, root }.rank(block)
}
