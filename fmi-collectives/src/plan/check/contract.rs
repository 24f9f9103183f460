//! What a collective promises.

use super::terms::Input;
use crate::plan::{Collective, Demand};
use std::ops::Range;

/// What the ranks of a collective hold before it and must hold after it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contract {
    pub(super) collective: Collective,
    pub(super) demand: Demand,
    pub(super) size: usize,
    pub(super) root: usize,
    /// Into how many pieces each value is cut.
    pub(super) pieces: usize,
    /// Blocks for others.
    pub(super) scratch: usize,
}

/// What a block must end as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) block: usize,
    /// Whose inputs are combined there.
    pub(super) ranks: Range<usize>,
    /// Which input of each of these ranks.
    pub(super) part: usize,
}

impl Contract {
    /// How many blocks a workspace has.
    pub(super) fn blocks(&self) -> usize {
        self.collective.blocks(self.size, self.pieces) + self.scratch
    }

    /// How many inputs the rank that has most has.
    pub(super) fn parts(&self) -> usize {
        match self.collective {
            Collective::Scatter | Collective::Alltoall | Collective::ReduceScatter => {
                self.size.saturating_mul(self.pieces)
            }
            _ => self.pieces,
        }
    }

    /// Whether the rank has to wait for the first message before it can make its plan.
    pub(super) fn binds_late(&self, rank: usize) -> bool {
        self.collective.is_late_bound() && rank != self.root
    }

    /// Which inputs a rank has before, and in which blocks.
    pub(super) fn given(&self, rank: usize) -> impl Iterator<Item = (usize, Input)> + use<> {
        let (parts, first) = match self.collective {
            Collective::Barrier => (0, 0),
            Collective::Bcast | Collective::Scatter if rank != self.root => (0, 0),
            Collective::Gather | Collective::Allgather => (self.pieces, rank * self.pieces),
            _ => (self.parts(), 0),
        };
        (0..parts).map(move |part| (first + part, Input { rank, part }))
    }

    /// What a rank must have after, and in which blocks.
    pub(super) fn wanted(&self, rank: usize) -> impl Iterator<Item = Wanted> + use<> {
        let Self { collective, size, root, pieces, .. } = *self;
        let one = |rank: usize| rank..rank + 1;
        // Values, pieces of each, block of the first.
        let (values, first) = match collective {
            Collective::Barrier => (0, 0),
            Collective::Gather | Collective::Reduce if rank != root => (0, 0),
            Collective::Exscan if rank == 0 => (0, 0),
            Collective::Gather | Collective::Allgather => (size, 0),
            Collective::Alltoall => (size, size * pieces),
            Collective::Scatter | Collective::ReduceScatter => (1, rank * pieces),
            _ => (1, 0),
        };
        let inputs = move |value: usize, piece: usize| match collective {
            Collective::Bcast => (one(root), piece),
            Collective::Scatter => (one(root), rank * pieces + piece),
            Collective::Alltoall => (one(value), rank * pieces + piece),
            Collective::Reduce | Collective::Allreduce => (0..size, piece),
            Collective::ReduceScatter => (0..size, rank * pieces + piece),
            Collective::Scan => (0..rank + 1, piece),
            Collective::Exscan => (0..rank, piece),
            Collective::Barrier | Collective::Gather | Collective::Allgather => (one(value), piece),
        };
        (0..values * pieces).map(move |index| {
            let (ranks, part) = inputs(index / pieces, index % pieces);
            Wanted { block: first + index, ranks, part }
        })
    }

    /// How inputs must be combined. For one input alone it makes no difference.
    pub(super) fn demand(&self) -> Demand {
        if self.collective.combines() { self.demand } else { Demand::Ordered }
    }
}
