//! The checker: runs a plan on symbols and proves what it does.
//!
//! ```
//! use fmi_collectives::plan::check::{Check, CheckError};
//! use fmi_collectives::plan::{Collective, Demand, Side, Step};
//!
//! // A reduce to rank 0 in which everybody sends straight to the root.
//! let plan = |rank| match rank {
//!     0 => vec![Step::combine(1, 0, Side::Right), Step::combine(2, 0, Side::Right)],
//!     _ => vec![Step::send(0, 0)],
//! };
//! let check = Check::new(Collective::Reduce, 3).demand(Demand::Ordered);
//! let report = check.run(plan)?;
//! assert_eq!((report.rounds, report.messages), (2, 2));
//!
//! // The same with the operands turned around.
//! let error = check.run(|rank| match rank {
//!     0 => vec![Step::combine(2, 0, Side::Right), Step::combine(1, 0, Side::Right)],
//!     _ => plan(rank),
//! });
//! assert_eq!(
//!     error.unwrap_err().to_string(),
//!     "rank 0, block 0: ((0·2)·1) instead of input 0 of ranks 0..3, ordered",
//! );
//! # Ok::<(), CheckError>(())
//! ```
//!
//! # What is proved
//!
//! For the one size and root that is checked:
//!
//! - *It ends.* Every receive gets a message, every message is received, every publication is
//!   fetched as often as it says, no ranks wait for each other in a cycle.
//! - *It is right.* Each block that the [`Collective`] names ends as the right symbol: the inputs
//!   that belong into it, each once, in the order and bracketing that the operation demands. After
//!   an allreduce all ranks have the same bracketing, hence the same bits. A barrier lets no rank
//!   go before it has heard, directly or through others, that every rank has entered.
//! - *It can begin.* Where only the root knows the size of the value, the others receive first.
//! - *It costs what it claims:* rounds, messages and blocks, counted in the [`Report`].
//!
//! One run stands for all. A receive names its sender, messages of a pair keep their order and a
//! send captures its value; a fetch names its publisher, who publishes a block once. So the ranks
//! are a Kahn process network (Kahn 1974): no timing changes what a rank gets, nor whether the plan
//! ends.
//!
//! A send never waits, hence it makes no difference where a message is until its receive is
//! reached: the proof holds without any buffer at the receiver, if the sender can keep what it
//! sends. How much that must be at least is [`Report::outbox`]: if every pair's outbox holds that
//! many messages, sends may even wait while it is full, and the plan still ends (Parks 1995).
//! Nothing is proved about outboxes smaller than that, shared between peers, or shared by
//! collectives that run at once.

mod contract;
mod error;
mod heard;
mod log;
mod shelf;
mod simulation;
mod terms;

pub use error::{At, CheckError};

use super::{Algorithm, Collective, Demand, Medium, Packs, Shape, Step, trace::Event};
use contract::Contract;
use log::Log;
use simulation::Simulation;

/// A check to run: what a plan must do, on how many ranks, at which cost.
#[derive(Debug, Clone)]
#[must_use]
pub struct Check {
    contract: Contract,
    rounds: Option<usize>,
    sent: Option<usize>,
    /// Rounds and blocks may be fewer than claimed.
    at_most: bool,
    outbox: Option<usize>,
    packs: Option<Packs>,
    remote: Option<usize>,
}

/// What a right plan costs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Rounds, if a rank sends at most one message and receives at most one in each.
    ///
    /// A message is sent in the round after the last in which its sender sent or received
    /// anything, and received in the same round, or in the one after its receiver's last receipt
    /// if that is later. To publish counts as to send one message, to fetch as to receive one. The
    /// last round in which a message is received is counted.
    pub rounds: usize,
    /// Messages of all ranks together, publications not among them.
    pub messages: usize,
    /// Those of them that go from one [pack](Check::packs) to another: all, if each rank is alone.
    pub remote: usize,
    /// Blocks in messages and publications.
    pub blocks: usize,
    /// Blocks that the rank which sends and publishes most does.
    pub most_sent: usize,
    /// Blocks that the rank which receives and fetches most does.
    pub most_received: usize,
    /// What is put into a store, if ranks share no memory: one item a step that publishes.
    pub puts: usize,
    /// What is read from it then: one read a block, or of no blocks one. If not all ranks know the
    /// lengths, a block of an item of several takes one more.
    pub gets: usize,
    /// How many messages the outbox of every pair of ranks must hold if sends wait while it is
    /// full. At least 1.
    pub outbox: usize,
}

/// Half of what terms are numbered with; the rest is for combinations.
const INPUTS_MAX: usize = 1 << 31;

impl Check {
    /// Of a plan for `collective` on `size` ranks. Unless said otherwise, the root is 0, operations
    /// are [ordered](Demand::Ordered), values are not cut, and no cost is claimed.
    pub fn new(collective: Collective, size: usize) -> Self {
        let contract =
            Contract { collective, demand: Demand::Ordered, size, root: 0, pieces: 1, scratch: 0 };
        Self {
            contract,
            rounds: None,
            sent: None,
            at_most: false,
            outbox: None,
            packs: None,
            remote: None,
        }
    }

    /// Of all that an algorithm claims, with one message in each outbox.
    pub fn of(algorithm: &Algorithm, shape: &Shape) -> Self {
        let check = Self::without_claims(algorithm, shape)
            .rounds((algorithm.rounds)(shape.clone()))
            .sent((algorithm.sent)(shape.clone()))
            .outbox(1);
        match algorithm.medium {
            Medium::Packs { remote, .. } => {
                Self { at_most: true, remote: Some(remote(shape)), ..check }
            }
            Medium::Links | Medium::Relay { .. } | Medium::Shared => check,
        }
    }

    /// Of what an algorithm does, at whatever cost.
    pub fn without_claims(algorithm: &Algorithm, shape: &Shape) -> Self {
        let check = Self::new(algorithm.collective, shape.size)
            .demand(algorithm.demand_among(&shape.packs))
            .root(shape.root)
            .pieces(algorithm.pieces(shape))
            .scratch(algorithm.scratch(shape));
        // Where all publish, all share memory, or none do.
        if algorithm.is_shared() { check } else { check.packs(&shape.packs) }
    }

    /// What operations demand; see [`Demand`].
    pub fn demand(mut self, demand: Demand) -> Self {
        self.contract.demand = demand;
        self
    }

    /// The root, where there is one.
    pub fn root(mut self, root: usize) -> Self {
        self.contract.root = root;
        self
    }

    /// Into how many pieces each value is cut; piece `p` of value `v` is block `v * pieces + p`.
    pub fn pieces(mut self, pieces: usize) -> Self {
        self.contract.pieces = pieces;
        self
    }

    /// How many blocks a workspace has behind those of the collective, for others' values.
    pub fn scratch(mut self, blocks: usize) -> Self {
        self.contract.scratch = blocks;
        self
    }

    /// Which ranks share a process: nothing is published for others, and what is
    /// [said](super::Tier::Pack) to stay in a pack does.
    pub fn packs(mut self, packs: &Packs) -> Self {
        self.packs = Some(packs.clone());
        self
    }

    /// The plan must take exactly as many rounds; see [`Report::rounds`].
    pub fn rounds(mut self, rounds: usize) -> Self {
        self.rounds = Some(rounds);
        self
    }

    /// The rank that sends most must send exactly as many blocks; see [`Report::most_sent`].
    pub fn sent(mut self, blocks: usize) -> Self {
        self.sent = Some(blocks);
        self
    }

    /// The plan must end if no pair's outbox holds more messages; see [`Report::outbox`].
    pub fn outbox(mut self, messages: usize) -> Self {
        self.outbox = Some(messages);
        self
    }

    /// Checks `plan`, which gives the steps of each rank.
    ///
    /// # Errors
    /// The first mistake found. The same plan gives the same error.
    pub fn run<P, S>(&self, plan: P) -> Result<Report, CheckError>
    where
        P: FnMut(usize) -> S,
        S: IntoIterator<Item = Step>,
    {
        self.observe(plan, None)
    }

    /// As [`run`](Self::run). What happens goes to `events`, if they are wanted.
    pub(super) fn observe<P, S>(
        &self,
        plan: P,
        events: Option<&mut Vec<Event>>,
    ) -> Result<Report, CheckError>
    where
        P: FnMut(usize) -> S,
        S: IntoIterator<Item = Step>,
    {
        let Contract { size, root, .. } = self.contract;
        if root >= size {
            return Err(CheckError::NoSuchRoot { root, size });
        }
        let parts = self.contract.parts();
        if parts.saturating_mul(size) > INPUTS_MAX {
            return Err(CheckError::TooLarge { size, parts });
        }
        let plans = (0..size).map(plan).map(IntoIterator::into_iter);
        let log = Log::new(events);
        let report = Simulation::new(self.contract, self.packs.as_ref(), plans, log).run()?;
        let differs = |claim: Option<usize>, found| {
            claim.filter(|expected| *expected != found && !(self.at_most && *expected > found))
        };
        let remote = self.remote.filter(|expected| *expected != report.remote);
        if let Some(expected) = remote {
            return Err(CheckError::Remote { expected, found: report.remote });
        }
        if let Some(expected) = self.outbox.filter(|messages| *messages < report.outbox) {
            return Err(CheckError::Outbox { expected, found: report.outbox });
        }
        if let Some(expected) = differs(self.rounds, report.rounds) {
            return Err(CheckError::Rounds { expected, found: report.rounds });
        }
        if let Some(expected) = differs(self.sent, report.most_sent) {
            return Err(CheckError::Sent { expected, found: report.most_sent });
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests;
