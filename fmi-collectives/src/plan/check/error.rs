//! What can be wrong with a plan.

use crate::plan::Demand;
use std::ops::Range;

/// A mistake in a plan.
///
/// Combinations of inputs are written `((0·1)·2)`: input 0 combined with input 1, then with
/// input 2. Of long ones only the number of inputs is given.
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

    /// A step names its own rank as the peer, or one that does not exist.
    #[error("rank {rank} cannot send to or receive from rank {peer}")]
    BadPeer {
        /// Whose step.
        rank: usize,
        /// The peer in it.
        peer: usize,
    },

    /// A step names blocks that the workspace does not have.
    #[error("rank {rank} uses blocks {blocks:?} of {available}")]
    BadBlocks {
        /// Whose step.
        rank: usize,
        /// The blocks in it.
        blocks: Range<usize>,
        /// How many blocks there are.
        available: usize,
    },

    /// A rank sends or combines a block that has no value yet.
    #[error("rank {rank} reads block {block}, which is empty")]
    EmptyBlock {
        /// Whose block.
        rank: usize,
        /// Its number.
        block: usize,
    },

    /// A message has another number of blocks than its receive.
    #[error("rank {from} sends {sent} blocks, rank {to} receives {expected}")]
    Length {
        /// The sender.
        from: usize,
        /// The receiver.
        to: usize,
        /// Blocks in the message.
        sent: usize,
        /// Blocks in the receive.
        expected: usize,
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
    #[error("rank {to} does not receive {messages} message(s) from rank {from}")]
    UnmatchedSend {
        /// The sender.
        from: usize,
        /// The rank that ends without receiving.
        to: usize,
        /// How many are left over.
        messages: usize,
    },

    /// A receive for which nobody sends.
    #[error("rank {rank} waits for rank {from}, which has finished")]
    UnmatchedRecv {
        /// The waiting rank.
        rank: usize,
        /// The rank that ends without sending.
        from: usize,
    },

    /// Ranks that wait for each other.
    #[error("deadlock: in {cycle:?} each rank waits for the next, and the last for the first")]
    Deadlock {
        /// Each waits for the next, the last for the first. The lowest rank is the first.
        cycle: Vec<usize>,
    },

    /// A block ends with something else than it must.
    #[error("rank {rank}, block {block}: {found} instead of inputs {inputs:?}, {demand}")]
    WrongResult {
        /// Whose block.
        rank: usize,
        /// Its number.
        block: usize,
        /// The inputs that must be combined there.
        inputs: Range<usize>,
        /// How they must be combined.
        demand: Demand,
        /// What is there.
        found: String,
    },

    /// Two ranks end an allreduce with different bracketings.
    #[error("rank {rank} ends with {found}, but rank 0 with {rank_0}")]
    DifferentBits {
        /// The lowest rank that differs from rank 0.
        rank: usize,
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
}
