//! What a rank does, one action at a time.

use std::ops::Range;

/// One rank's part of a plan, whatever the algorithm.
pub type Steps = Box<dyn Iterator<Item = Step> + Send>;

/// One action of one rank on its blocks.
///
/// Blocks are the numbered slots of a rank's workspace: one for bcast, reduce, allreduce and scan,
/// one a rank for gather and scatter (see [`block_of`](super::gather::block_of)), none for a
/// barrier, whose messages have the empty range `0..0`.
///
/// Messages from one rank to another keep their order: the k-th receive (`Recv` or `Combine`) at
/// `r` from `s` takes the k-th message that `s` sends to `r`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Sends the blocks as one message. Their values are captured here, and the rank goes on at
    /// once: what it does to the blocks later does not change the message.
    Send {
        /// The receiving rank.
        to: usize,
        /// What it gets.
        blocks: Range<usize>,
    },
    /// Receives one message into the blocks, replacing what they hold.
    Recv {
        /// The sending rank.
        from: usize,
        /// Where the message goes: as many blocks as were sent.
        blocks: Range<usize>,
    },
    /// Receives one block and combines it with the one here, which becomes the result.
    Combine {
        /// The sending rank.
        from: usize,
        /// The operand here, and the result.
        block: usize,
        /// On which side of the operation the *received* operand stands.
        side: Side,
    },
}

/// A side of a binary operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// `received · here`: the received operand comes from lower ranks.
    Left,
    /// `here · received`: the received operand comes from higher ranks.
    Right,
}
