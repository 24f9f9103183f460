//! What is asked when a collective is called: what all ranks know of it, and where they are.

use super::{Collective, Demand, Packs, chunks};
use std::fmt;

/// What all ranks know of a call before it: the answer depends on nothing else, so that all
/// choose alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Question {
    /// What is called.
    pub collective: Collective,
    /// How the operation wants its operands combined; does not matter where nothing is.
    pub demand: Demand,
    /// How many ranks there are.
    pub size: usize,
    /// Bytes of a value, where it is one that all ranks know.
    pub bytes: Option<u64>,
    /// Whether values are vectors of numbers, which can be cut.
    pub cuttable: bool,
    /// Whether all ranks live in one process.
    pub together: bool,
    /// Whether a machine has more threads of theirs than cores, or they are in one process and take turns
    /// on one or two, so that who waits gives way to others.
    pub crowded: bool,
    /// Whether several processes that links join have several ranks, and how these stand.
    pub packing: Packing,
    /// Whether all processes have a store in common.
    pub store: Shelf,
}

/// How ranks stand in several processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Packing {
    /// Each in a process of its own, or all in one.
    #[default]
    None,
    /// Several in some, and those of each follow each other.
    Contiguous,
    /// Several in some, in any order.
    Scattered,
}

impl Packing {
    /// What it can be.
    pub const ALL: [Self; 3] = [Self::None, Self::Contiguous, Self::Scattered];

    /// How these packs stand.
    #[must_use]
    pub fn of(packs: &Packs) -> Self {
        match packs.are_alone() {
            true => Self::None,
            false if packs.is_contiguous() => Self::Contiguous,
            false => Self::Scattered,
        }
    }
}

/// What a store is to a group of ranks in several processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Shelf {
    /// There is none.
    #[default]
    None,
    /// There is one, and links lead from one process to another.
    Beside,
    /// As `Beside`, and it serves many readers as fast as one.
    Wide,
    /// There is one, and no other way from one process to another.
    Alone,
    /// As `Alone`, and messages through it arrive without being looked for.
    Pushed,
}

impl Shelf {
    /// What it can be.
    pub const ALL: [Self; 5] = [Self::None, Self::Beside, Self::Wide, Self::Alone, Self::Pushed];
}

/// Where a rule applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// Among ranks of one process.
    Process,
    /// Among ranks of one process that take turns on one or two threads.
    Turns,
    /// Between processes that links join.
    Links,
    /// Between processes that links join, some of which have several ranks.
    Packs,
    /// Between processes that links join, of which a machine has more than cores.
    Crowd,
    /// Between processes that links join, with a store beside them that serves many readers as
    /// fast as one.
    Wide,
    /// Between processes that nothing but a store joins.
    Store,
    /// As `Store`, and messages through it arrive without being looked for.
    Pushed,
}

impl Question {
    /// Into how many chunks a pipeline cuts the value.
    #[must_use]
    pub fn chunks(&self) -> usize {
        chunks(self.bytes.filter(|_| self.cuttable).unwrap_or(0))
    }

    fn store_alone(&self) -> bool {
        matches!(self.store, Shelf::Alone | Shelf::Pushed)
    }

    /// Whether the ranks are there.
    #[must_use]
    pub fn is_in(&self, place: Place) -> bool {
        match place {
            Place::Process => self.together,
            Place::Turns => self.together && self.crowded,
            Place::Links => !self.together && !self.store_alone(),
            Place::Packs => !self.together && !self.store_alone() && self.packing != Packing::None,
            Place::Crowd => self.is_in(Place::Links) && self.crowded,
            Place::Wide => !self.together && self.store == Shelf::Wide,
            Place::Store => !self.together && self.store_alone(),
            Place::Pushed => !self.together && self.store == Shelf::Pushed,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Process => "in one process",
            Self::Turns => "in one process, taking turns on one or two threads",
            Self::Links => "between processes",
            Self::Packs => "between processes of several ranks",
            Self::Crowd => "between processes that share cores",
            Self::Wide => "between processes, beside a store that many can read",
            Self::Store => "over a store alone",
            Self::Pushed => "over a store alone that pushes messages",
        })
    }
}
