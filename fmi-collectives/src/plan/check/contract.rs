//! What a collective promises.

use super::CheckError;
use crate::plan::{Demand, gather::block_of};
use std::ops::Range;

/// What the ranks of a collective hold before it and must hold after it.
///
/// Rank `i` brings input `i`; in a scatter the root brings all, input `i` for rank `i`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Contract {
    /// No rank leaves before all have entered.
    Barrier,
    /// Every rank ends with the root's input.
    Bcast {
        /// Who has the value.
        root: usize,
    },
    /// The root ends with every rank's input, each in its [block](crate::plan::gather).
    Gather {
        /// Who collects.
        root: usize,
    },
    /// Every rank ends with its input in its [block](crate::plan::scatter).
    Scatter {
        /// Who has the values.
        root: usize,
    },
    /// The root ends with the combination of all inputs.
    Reduce {
        /// Who gets the result.
        root: usize,
        /// What the operation demands.
        demand: Demand,
    },
    /// Every rank ends with the combination of all inputs, bracketed alike.
    Allreduce {
        /// What the operation demands.
        demand: Demand,
    },
    /// Rank r ends with the combination of the inputs 0 to r.
    Scan {
        /// What the operation demands.
        demand: Demand,
    },
}

impl Contract {
    /// Fails if the root is none of `size` ranks.
    pub(super) fn check_root(self, size: usize) -> Result<(), CheckError> {
        match self {
            Self::Bcast { root }
            | Self::Gather { root }
            | Self::Scatter { root }
            | Self::Reduce { root, .. }
                if root >= size =>
            {
                Err(CheckError::NoSuchRoot { root, size })
            }
            _ => Ok(()),
        }
    }

    /// How many blocks a workspace has.
    pub(super) fn blocks(self, size: usize) -> usize {
        match self {
            Self::Barrier => 0,
            Self::Gather { .. } | Self::Scatter { .. } => size,
            _ => 1,
        }
    }

    /// Which inputs a rank has before, and in which blocks: `(block, input)`.
    pub(super) fn given(self, rank: usize, size: usize) -> Vec<(usize, usize)> {
        match self {
            Self::Barrier => vec![],
            Self::Bcast { root } if rank != root => vec![],
            Self::Scatter { root } if rank != root => vec![],
            Self::Gather { root } => vec![(block_of(rank, root, size), rank)],
            Self::Scatter { root } => {
                (0..size).map(|input| (block_of(input, root, size), input)).collect()
            }
            _ => vec![(0, rank)],
        }
    }

    /// Which combinations of inputs a rank must have after, and in which blocks:
    /// `(block, inputs)`.
    pub(super) fn wanted(self, rank: usize, size: usize) -> Vec<(usize, Range<usize>)> {
        let one = |input| input..input + 1;
        match self {
            Self::Barrier => vec![],
            Self::Gather { root } | Self::Reduce { root, .. } if rank != root => vec![],
            Self::Bcast { root } => vec![(0, one(root))],
            Self::Gather { root } => {
                (0..size).map(|input| (block_of(input, root, size), one(input))).collect()
            }
            Self::Scatter { root } => vec![(block_of(rank, root, size), one(rank))],
            Self::Reduce { .. } | Self::Allreduce { .. } => vec![(0, 0..size)],
            Self::Scan { .. } => vec![(0, 0..rank + 1)],
        }
    }

    /// How inputs must be combined. For one input alone it makes no difference.
    pub(super) fn demand(self) -> Demand {
        match self {
            Self::Reduce { demand, .. } | Self::Allreduce { demand } | Self::Scan { demand } => {
                demand
            }
            _ => Demand::Ordered,
        }
    }
}
