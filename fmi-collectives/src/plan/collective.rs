//! Collectives, and what an operation demands of them.

use std::fmt;

/// A collective operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Collective {
    /// No rank leaves before all have entered.
    Barrier,
    /// Every rank gets the root's value.
    Bcast,
    /// The root gets one value from every rank.
    Gather,
    /// Every rank gets one of the root's values.
    Scatter,
    /// The root gets the combination of all ranks' values.
    Reduce,
    /// Every rank gets the combination of all ranks' values.
    Allreduce,
    /// Every rank gets the combination of its own value and those of all lower ranks.
    Scan,
}

impl Collective {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Barrier,
        Self::Bcast,
        Self::Gather,
        Self::Scatter,
        Self::Reduce,
        Self::Allreduce,
        Self::Scan,
    ];

    /// MPI's name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Barrier => "barrier",
            Self::Bcast => "bcast",
            Self::Gather => "gather",
            Self::Scatter => "scatter",
            Self::Reduce => "reduce",
            Self::Allreduce => "allreduce",
            Self::Scan => "scan",
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
