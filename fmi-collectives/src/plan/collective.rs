//! Collectives, and what an operation demands of them.

use super::{
    Algorithm, allgather, allreduce, alltoall, barrier, bcast, exscan, gather, reduce,
    reduce_scatter, scan, scatter,
};
use std::fmt;

/// A collective operation.
///
/// A value is one block, or as many as the algorithm [cuts](Algorithm::cut) it into; n is the
/// number of ranks. Block `i` of several values is that of rank `i`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Collective {
    /// No rank leaves before all have entered. No blocks.
    Barrier,
    /// Every rank gets the root's value.
    Bcast,
    /// The root gets one value from every rank: n blocks, each rank begins with its own.
    Gather,
    /// Every rank gets one of the root's values: n blocks, each rank ends with its own.
    Scatter,
    /// Every rank gets one value from every rank: n blocks, each rank begins with its own.
    Allgather,
    /// Every rank gets one value from every rank, and each gets another: 2n blocks, `i` the value
    /// for rank `i`, `n + i` the one from rank `i`.
    Alltoall,
    /// The root gets the combination of all ranks' values.
    Reduce,
    /// Every rank gets the combination of all ranks' values, the same bits everywhere.
    Allreduce,
    /// Every rank has n values and gets the combination of all ranks' values for it: n blocks,
    /// rank `i` ends with block `i`.
    ReduceScatter,
    /// Every rank gets the combination of its own value and those of all lower ranks.
    Scan,
    /// Every rank but the first gets the combination of the values of all lower ranks.
    Exscan,
}

impl Collective {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Barrier,
        Self::Bcast,
        Self::Gather,
        Self::Scatter,
        Self::Allgather,
        Self::Alltoall,
        Self::Reduce,
        Self::Allreduce,
        Self::ReduceScatter,
        Self::Scan,
        Self::Exscan,
    ];

    /// MPI's name, in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Barrier => "barrier",
            Self::Bcast => "bcast",
            Self::Gather => "gather",
            Self::Scatter => "scatter",
            Self::Allgather => "allgather",
            Self::Alltoall => "alltoall",
            Self::Reduce => "reduce",
            Self::Allreduce => "allreduce",
            Self::ReduceScatter => "reduce_scatter",
            Self::Scan => "scan",
            Self::Exscan => "exscan",
        }
    }

    /// The library's algorithms for it.
    #[must_use]
    pub fn algorithms(self) -> &'static [&'static Algorithm] {
        match self {
            Self::Barrier => barrier::ALGORITHMS,
            Self::Bcast => bcast::ALGORITHMS,
            Self::Gather => gather::ALGORITHMS,
            Self::Scatter => scatter::ALGORITHMS,
            Self::Allgather => allgather::ALGORITHMS,
            Self::Alltoall => alltoall::ALGORITHMS,
            Self::Reduce => reduce::ALGORITHMS,
            Self::Allreduce => allreduce::ALGORITHMS,
            Self::ReduceScatter => reduce_scatter::ALGORITHMS,
            Self::Scan => scan::ALGORITHMS,
            Self::Exscan => exscan::ALGORITHMS,
        }
    }

    /// Whether one rank is special.
    #[must_use]
    pub fn is_rooted(self) -> bool {
        matches!(self, Self::Bcast | Self::Gather | Self::Scatter | Self::Reduce)
    }

    /// Whether it combines values.
    #[must_use]
    pub fn combines(self) -> bool {
        matches!(
            self,
            Self::Reduce | Self::Allreduce | Self::ReduceScatter | Self::Scan | Self::Exscan
        )
    }

    /// Whether only the root knows how large the value is: the others build their plan when the
    /// first frame tells them.
    #[must_use]
    pub fn is_late_bound(self) -> bool {
        self == Self::Bcast
    }

    /// How many blocks a workspace has when each value is cut into `pieces`.
    #[must_use]
    pub fn blocks(self, size: usize, pieces: usize) -> usize {
        match self {
            Self::Barrier => 0,
            Self::Bcast | Self::Reduce | Self::Allreduce | Self::Scan | Self::Exscan => pieces,
            Self::Gather | Self::Scatter | Self::Allgather | Self::ReduceScatter => size * pieces,
            Self::Alltoall => 2 * size * pieces,
        }
    }
}

impl fmt::Display for Collective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a reduce operation wants its operands combined. Each demand includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Demand {
    /// Each operand once, in any order and bracketing.
    Commutative,
    /// Each operand once, in rank order, in any bracketing.
    Associative,
    /// The left fold in rank order: `((0 · 1) · 2) · 3`.
    Ordered,
}

impl Demand {
    /// The demand in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Commutative => "commutative",
            Self::Associative => "associative",
            Self::Ordered => "ordered",
        }
    }
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
