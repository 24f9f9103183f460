//! What can be wrong with a plan.

use crate::plan::{Blocks, Demand, Step};
use std::{fmt, ops::Range};

/// A mistake in a plan.
///
/// The steps of a rank are counted from 0. Combinations of inputs are written `((0·1)·2)`: input of
/// rank 0 combined with that of rank 1, then with that of rank 2. Where ranks have several inputs,
/// `0#3` is input 3 of rank 0. Of long ones only the number of inputs is given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The root is not a rank.
    #[error("root {root} does not exist, the size is {size}")]
    NoSuchRoot {
        /// The root.
        root: usize,
        /// How many ranks there are.
        size: usize,
    },

    /// There are more inputs than the checker can number.
    #[error("{size} ranks with {parts} inputs each are too many to check")]
    TooLarge {
        /// How many ranks there are.
        size: usize,
        /// How many inputs the rank that has most has.
        parts: usize,
    },

    /// A step names its own rank as the peer, or one that does not exist.
    #[error("{at}: rank {peer} cannot be its peer")]
    BadPeer {
        /// The step.
        at: Box<At>,
        /// The peer in it.
        peer: usize,
    },

    /// A step names blocks that the workspace does not have.
    #[error("{at}: there is no block {block}, only {available} blocks")]
    BadBlock {
        /// The step.
        at: Box<At>,
        /// The first that does not exist.
        block: usize,
        /// How many blocks there are.
        available: usize,
    },

    /// A rank reads a block that has no value yet.
    #[error("{at}: block {block} is empty")]
    EmptyBlock {
        /// The step.
        at: Box<At>,
        /// The block.
        block: usize,
    },

    /// A message has another number of blocks than its receive, or a copy reads another number
    /// than it writes.
    #[error("{at}: gets {found} blocks for {expected}")]
    Length {
        /// The step that receives or copies.
        at: Box<At>,
        /// Blocks in the step.
        expected: usize,
        /// Blocks in the message.
        found: usize,
    },

    /// A copy writes a block that it reads.
    #[error("{at}: block {block} is read and written")]
    Overlap {
        /// The step.
        at: Box<At>,
        /// The block.
        block: usize,
    },

    /// A rank combines pieces of different values, or different pieces of a value.
    #[error("{at}: block {block} would be {left}·{right}, which do not belong together")]
    Mixed {
        /// The step.
        at: Box<At>,
        /// The block.
        block: usize,
        /// The left operand.
        left: String,
        /// The right operand.
        right: String,
    },

    /// A step that is to stay in a pack names a rank of another, or something is published that ranks of
    /// other packs could look for.
    #[error("{at}: leaves its pack")]
    Strays {
        /// The step.
        at: Box<At>,
    },

    /// A rank publishes a block a second time.
    #[error("{at}: block {block} is already published")]
    PublishedTwice {
        /// The step.
        at: Box<At>,
        /// The block, or [`Blocks::NONE`].
        block: Blocks,
    },

    /// A rank fetches what all readers have fetched.
    #[error("{at}: block {block} has been fetched {readers} times, as often as was published")]
    FetchedTooOften {
        /// The step.
        at: Box<At>,
        /// The block.
        block: Blocks,
        /// How many readers it has.
        readers: usize,
    },

    /// A publication that is fetched by fewer than its readers.
    #[error("block {block} of rank {rank} is published for {missing} more reader(s)")]
    Unfetched {
        /// Who publishes.
        rank: usize,
        /// The block.
        block: Blocks,
        /// How many readers are missing.
        missing: usize,
    },

    /// Only the root knows the size of the value, and a rank's plan does not begin with what tells
    /// it.
    #[error("{at}: is first, but the rank learns only from a message what it takes part in")]
    NotBound {
        /// The first step.
        at: Box<At>,
    },

    /// A rank has more steps than any sensible plan.
    #[error("the plan of rank {rank} does not end after {steps} steps")]
    Endless {
        /// Whose plan.
        rank: usize,
        /// How many steps were done.
        steps: usize,
    },

    /// Messages that nobody receives.
    #[error(
        "rank {to} does not receive {messages} message(s) from rank {from}, from its step {step} on"
    )]
    UnmatchedSend {
        /// The sender.
        from: usize,
        /// Its step that sends the first.
        step: usize,
        /// The rank that ends without receiving.
        to: usize,
        /// How many are left over.
        messages: usize,
    },

    /// A receive for which nobody sends, or a fetch of what is never published.
    #[error("{at}: waits for rank {from}, which has finished")]
    UnmatchedRecv {
        /// The step.
        at: Box<At>,
        /// The rank that ends without sending.
        from: usize,
    },

    /// Ranks that wait for each other.
    #[error("deadlock, each waits for the next and the last for the first: {}", list(.cycle))]
    Deadlock {
        /// Each waits for the next, the last for the first. The lowest rank is the first.
        cycle: Vec<At>,
    },

    /// The plan ends only if a pair of ranks has more messages in its outbox.
    #[error("{found} messages must fit the outbox of a pair, not {expected}")]
    Outbox {
        /// The claim.
        expected: usize,
        /// The truth.
        found: usize,
    },

    /// A block ends with something else than it must.
    #[error(
        "rank {rank}, block {block}: {found} instead of input {part} of ranks {ranks:?}, {demand}"
    )]
    WrongResult {
        /// Whose block.
        rank: usize,
        /// Its number.
        block: usize,
        /// The ranks whose inputs must be combined there.
        ranks: Range<usize>,
        /// Which input of each of them.
        part: usize,
        /// How they must be combined.
        demand: Demand,
        /// What is there.
        found: String,
    },

    /// Two ranks end an allreduce with different bracketings.
    #[error("rank {rank}, block {block}: {found}, but rank 0 has {rank_0}")]
    DifferentBits {
        /// The lowest rank that differs from rank 0.
        rank: usize,
        /// The block.
        block: usize,
        /// What it ends with.
        found: String,
        /// What rank 0 ends with.
        rank_0: String,
    },

    /// A rank can leave the barrier when another has not entered.
    #[error("rank {rank} may leave before rank {other} has entered")]
    LeavesEarly {
        /// The rank that may leave.
        rank: usize,
        /// A rank it has not heard of.
        other: usize,
    },

    /// The plan takes another number of rounds than claimed.
    #[error("{found} rounds instead of {expected}")]
    Rounds {
        /// The claim.
        expected: usize,
        /// The truth.
        found: usize,
    },

    /// Another number of messages than claimed goes from one pack to another.
    #[error("{found} messages between packs instead of {expected}")]
    Remote {
        /// The claim.
        expected: usize,
        /// The truth.
        found: usize,
    },

    /// The rank that sends most sends another number of blocks than claimed.
    #[error("{found} blocks from one rank instead of {expected}")]
    Sent {
        /// The claim.
        expected: usize,
        /// The truth.
        found: usize,
    },
}

/// Where in a plan a mistake is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// Whose step.
    pub rank: usize,
    /// Which of its steps, from 0.
    pub index: usize,
    /// The step.
    pub step: Step,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {}, step {} ({})", self.rank, self.index, self.step)
    }
}

fn list(cycle: &[At]) -> String {
    cycle.iter().map(At::to_string).collect::<Vec<_>>().join("; ")
}
