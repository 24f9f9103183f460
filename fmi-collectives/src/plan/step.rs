//! What a rank does, one action at a time.

use super::Blocks;
use std::fmt;

/// One rank's part of a plan, whatever the algorithm.
pub type Steps = Box<dyn Iterator<Item = Step> + Send>;

/// One action of one rank on its blocks, and over which kind of wire it goes.
///
/// ```
/// use fmi_collectives::plan::{Side, Step, Tier};
///
/// let exchange = [Step::send(1, 0), Step::combine(1, 0, Side::Right)];
/// let inside = Step::fetch(0, 0..4).on(Tier::Pack);
/// # let _ = (exchange, inside);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// How far apart its ranks are, where the plan knows.
    pub tier: Option<Tier>,
}

/// What a step does.
///
/// Blocks are the numbered slots of a rank's workspace; each [collective](super::Collective) says
/// which it has and what is in them before and after.
///
/// Messages from one rank to another keep their order: the k-th receive (`Recv` or `Combine`) at
/// `r` from `s` takes the k-th message that `s` sends to `r`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Sends the blocks as one message. Their values are captured here, and the rank goes on at
    /// once: what it does to the blocks later does not change the message.
    Send {
        /// The receiving rank.
        to: usize,
        /// What it gets.
        blocks: Blocks,
    },
    /// Receives one message into the blocks, replacing what they hold.
    Recv {
        /// The sending rank.
        from: usize,
        /// Where the message goes: as many blocks as were sent.
        blocks: Blocks,
    },
    /// Receives one message and combines each of its blocks with the one here, which becomes the
    /// result.
    Combine {
        /// The sending rank.
        from: usize,
        /// The operands here, and the results.
        blocks: Blocks,
        /// On which side of the operation the *received* operand stands.
        side: Side,
    },
    /// Copies blocks within the workspace.
    Copy {
        /// Read.
        from: Blocks,
        /// Written: as many, and none of those that are read.
        to: Blocks,
    },
    /// Puts the blocks where other ranks can fetch them, and goes on at once. A rank publishes a
    /// block at most once; what it does to it later does not change what is fetched.
    ///
    /// No blocks are a signal: a publication of its own, which a rank makes at most once, and which
    /// is fetched as [no blocks](Blocks::NONE).
    Publish {
        /// What can be fetched.
        blocks: Blocks,
        /// How often each block will be fetched; then it is forgotten.
        readers: usize,
    },
    /// Waits until another rank has published these blocks, and reads them into the same blocks
    /// here.
    Fetch {
        /// The rank that publishes.
        from: usize,
        /// What is read.
        blocks: Blocks,
    },
    /// As `Fetch`, but combines each of the blocks with the one here, which becomes the result.
    CombineShared {
        /// The rank that publishes.
        from: usize,
        /// The operands here, and the results.
        blocks: Blocks,
        /// On which side of the operation the *fetched* operand stands.
        side: Side,
    },
}

/// A side of a binary operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// `received · here`: the received operand comes from lower ranks.
    Left,
    /// `here · received`: the received operand comes from higher ranks.
    Right,
}

/// How far apart the ranks of a step are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// In one process.
    Pack,
    /// On one machine.
    Machine,
    /// Anywhere.
    Remote,
}

impl Step {
    /// See [`Action::Send`].
    #[must_use]
    pub fn send(to: usize, blocks: impl Into<Blocks>) -> Self {
        Action::Send { to, blocks: blocks.into() }.into()
    }

    /// See [`Action::Recv`].
    #[must_use]
    pub fn recv(from: usize, blocks: impl Into<Blocks>) -> Self {
        Action::Recv { from, blocks: blocks.into() }.into()
    }

    /// See [`Action::Combine`].
    #[must_use]
    pub fn combine(from: usize, blocks: impl Into<Blocks>, side: Side) -> Self {
        Action::Combine { from, blocks: blocks.into(), side }.into()
    }

    /// See [`Action::Copy`].
    #[must_use]
    pub fn copy(from: impl Into<Blocks>, to: impl Into<Blocks>) -> Self {
        Action::Copy { from: from.into(), to: to.into() }.into()
    }

    /// See [`Action::Publish`].
    #[must_use]
    pub fn publish(blocks: impl Into<Blocks>, readers: usize) -> Self {
        Action::Publish { blocks: blocks.into(), readers }.into()
    }

    /// See [`Action::Fetch`].
    #[must_use]
    pub fn fetch(from: usize, blocks: impl Into<Blocks>) -> Self {
        Action::Fetch { from, blocks: blocks.into() }.into()
    }

    /// See [`Action::CombineShared`].
    #[must_use]
    pub fn combine_shared(from: usize, blocks: impl Into<Blocks>, side: Side) -> Self {
        Action::CombineShared { from, blocks: blocks.into(), side }.into()
    }

    /// The same between ranks that are so far apart.
    #[must_use]
    pub fn on(self, tier: Tier) -> Self {
        Self { tier: Some(tier), ..self }
    }

    /// What it is about; of a copy, what it reads.
    #[must_use]
    pub fn blocks(&self) -> &Blocks {
        match &self.action {
            Action::Send { blocks, .. }
            | Action::Recv { blocks, .. }
            | Action::Combine { blocks, .. }
            | Action::Publish { blocks, .. }
            | Action::Fetch { blocks, .. }
            | Action::CombineShared { blocks, .. }
            | Action::Copy { from: blocks, .. } => blocks,
        }
    }

    /// The other rank.
    #[must_use]
    pub fn peer(&self) -> Option<usize> {
        match self.action {
            Action::Send { to, .. } => Some(to),
            Action::Recv { from, .. }
            | Action::Combine { from, .. }
            | Action::Fetch { from, .. }
            | Action::CombineShared { from, .. } => Some(from),
            Action::Copy { .. } | Action::Publish { .. } => None,
        }
    }
}

impl From<Action> for Step {
    fn from(action: Action) -> Self {
        Self { action, tier: None }
    }
}

/// `send block 0 to rank 1`, `here · block 0 from rank 1`.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |blocks: &Blocks| match blocks.len() {
            0 => "nothing".to_owned(),
            1 => format!("block {blocks}"),
            _ => format!("blocks {blocks}"),
        };
        let combine = |f: &mut fmt::Formatter<'_>, blocks, side: &Side, from| match side {
            Side::Left => write!(f, "{} from {from} · here", name(blocks)),
            Side::Right => write!(f, "here · {} from {from}", name(blocks)),
        };
        match &self.action {
            Action::Send { to, blocks } => write!(f, "send {} to rank {to}", name(blocks)),
            Action::Recv { from, blocks } => {
                write!(f, "receive {} from rank {from}", name(blocks))
            }
            Action::Combine { from, blocks, side } => {
                combine(f, blocks, side, format_args!("rank {from}"))
            }
            Action::Copy { from, to } => write!(f, "copy {} to {}", name(from), name(to)),
            Action::Publish { blocks, readers } => {
                write!(f, "publish {} for {readers}", name(blocks))
            }
            Action::Fetch { from, blocks } => write!(f, "fetch {} of rank {from}", name(blocks)),
            Action::CombineShared { from, blocks, side } => {
                combine(f, blocks, side, format_args!("what rank {from} published"))
            }
        }
    }
}
