//! What a plan takes: its steps are played through, on channels as the model knows them.
//!
//! Each rank does its steps one after the other. It is busy with what it sends and receives, its core does
//! nothing else meanwhile, a receive waits for its message, requests to a store's server queue up:
//! LogGP, with what else shapes the time on real channels. Ranks are moved on in the order of their clocks,
//! so the same steps give the same times, everywhere.
//!
//! A plan's messages that grow faster than n log n need not be played through one by one:
//! [`Replay::mirrored`] plays one rank where all do the same, [`Outcome::beyond`] goes on in a straight line from
//! what came of smaller ones.
//!
//! ```
//! use fmi_model::{Bytes, Seconds, channel::{Channel, Leg}, replay::{Act, Op, Replay, Wires}, topology::Topology};
//!
//! let wire = Channel { latency: Seconds::new(1e-3), ..Channel::default() };
//! let wires = Wires::all(&wire);
//! let topology = Topology::apart(3);
//! // A chain: each rank hands on what it gets.
//! let plan = |rank: usize| {
//!     let recv = (rank > 0).then(|| Op::new(Act::Recv { from: rank - 1 }, Bytes::new(8)));
//!     let send = (rank < 2).then(|| Op::new(Act::Send { to: rank + 1 }, Bytes::new(8)));
//!     recv.into_iter().chain(send)
//! };
//! let outcome = Replay::new(&topology, wires).run(plan)?;
//! assert_eq!(outcome.end().to_string(), "2 ms");
//! # Ok::<(), fmi_model::replay::Stuck>(())
//! ```

mod crowd;
mod desk;
mod line;
mod mirrored;
mod outcome;
mod play;
mod wires;

pub use outcome::{Outcome, Traffic};
pub use wires::{Route, Wires};

use crate::{Bytes, Seconds, topology::Topology};

/// What a rank does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Sends a message, and goes on.
    Send {
        /// The receiving rank.
        to: usize,
    },
    /// Waits for the next message of a rank.
    Recv {
        /// The sending rank.
        from: usize,
    },
    /// Puts blocks where others can fetch them, and goes on.
    Publish {
        /// The first of them, as the others call it.
        first: usize,
        /// How many.
        blocks: usize,
    },
    /// As `Publish`, for ranks of its own process alone.
    Pin {
        /// The first of them.
        first: usize,
        /// How many.
        blocks: usize,
    },
    /// More blocks of what it published last, if they are no single range.
    Also {
        /// The first of them.
        first: usize,
        /// How many.
        blocks: usize,
    },
    /// Waits until a rank has published a block, and reads it.
    Fetch {
        /// The rank that publishes.
        from: usize,
        /// Any block of what it reads.
        block: usize,
    },
    /// Nothing that others see.
    Local,
}

/// One step of a rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Op {
    /// What it does.
    pub act: Act,
    /// What moves.
    pub bytes: Bytes,
    /// In so many pieces, each of which has to be handled besides.
    pub pieces: u32,
    /// What it combines or copies besides.
    pub work: Work,
}

/// What a rank does with bytes that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Work {
    /// Nothing.
    #[default]
    None,
    /// Combines what came with what it has.
    Combine,
    /// Copies.
    Copy,
    /// Begins a collective.
    Call,
}

impl Op {
    /// In one piece, without any work besides.
    #[must_use]
    pub const fn new(act: Act, bytes: Bytes) -> Self {
        Self { act, bytes, pieces: 1, work: Work::None }
    }
}

/// A plan that does not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("rank {rank} waits for what never comes")]
pub struct Stuck {
    /// The lowest rank that waits for ever.
    pub rank: usize,
}

/// A plan to be played through.
#[derive(Debug)]
pub struct Replay<'a> {
    topology: &'a Topology,
    wires: Wires<'a>,
    /// When each rank begins; all at 0, if empty.
    start: Vec<Seconds>,
}

impl<'a> Replay<'a> {
    /// All ranks begin at once.
    #[must_use]
    pub fn new(topology: &'a Topology, wires: Wires<'a>) -> Self {
        Self { topology, wires, start: Vec::new() }
    }

    /// Ranks begin when they ended something else.
    #[must_use]
    pub fn from(mut self, start: Vec<Seconds>) -> Self {
        self.start = start;
        self
    }
}
