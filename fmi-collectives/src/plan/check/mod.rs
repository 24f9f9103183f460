//! The checker: runs a plan on symbols and proves what it does.
//!
//! ```
//! use fmi_collectives::plan::{Demand, allreduce::recursive_doubling};
//! use fmi_collectives::plan::check::{Check, Contract};
//!
//! let report = Check::new(Contract::Allreduce { demand: Demand::Associative }, 6)
//!     .rounds(4)
//!     .run(|rank| recursive_doubling::plan(rank, 6))?;
//! assert_eq!(report.messages, 12);
//! # Ok::<(), fmi_collectives::plan::check::CheckError>(())
//! ```
//!
//! # What is proved
//!
//! For the one size that is checked:
//!
//! - *It ends.* Every receive gets a message, every message is received, no ranks wait for each
//!   other in a cycle.
//! - *It is right.* Each block that the [`Contract`] names ends as the right symbol: the inputs that
//!   belong into it, each once, in the order and bracketing that the operation demands. After an
//!   allreduce all ranks have the same bracketing, hence the same bits. A barrier lets no rank go
//!   before it has heard, directly or through others, that every rank has entered.
//! - *It costs what it claims:* rounds, messages and blocks, counted in the [`Report`].
//!
//! One run stands for all. A receive names its sender, messages of a pair keep their order and a
//! send captures its value, so the ranks are a Kahn process network (Kahn 1974): no timing changes
//! which message a receive gets, nor whether the plan ends.
//!
//! A send never waits, hence it makes no difference where a message is until its receive is
//! reached: the proof holds without any buffer at the receiver, if the sender can keep what it
//! sends. How much that must be at least is [`Report::outbox`]: if every pair's outbox holds that
//! many messages, sends may even wait while it is full, and the plan still ends (Parks 1995).
//! Nothing is proved about outboxes smaller than that or shared between peers.

mod contract;
mod error;
mod heard;
mod simulation;
mod terms;

pub use contract::Contract;
pub use error::CheckError;

use super::Step;
use simulation::Simulation;

/// A check to run: what a plan must do, on how many ranks.
#[derive(Debug, Clone)]
pub struct Check {
    contract: Contract,
    size: usize,
    rounds: Option<usize>,
}

/// What a right plan costs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Rounds, if a rank sends at most one message and receives at most one in each.
    ///
    /// A message is sent in the round after the last in which its sender sent or received
    /// anything, and received in the same round, or in the one after its receiver's last receipt
    /// if that is later. The last round in which a message is received is counted.
    pub rounds: usize,
    /// Messages of all ranks together.
    pub messages: usize,
    /// Blocks in these messages.
    pub blocks: usize,
    /// Blocks that the rank which sends most sends.
    pub most_sent: usize,
    /// Blocks that the rank which receives most receives.
    pub most_received: usize,
    /// How many messages the outbox of every pair of ranks must hold if sends wait while it is
    /// full. At least 1.
    pub outbox: usize,
}

impl Check {
    /// Of the plan of `size` ranks that must fulfil `contract`.
    pub fn new(contract: Contract, size: usize) -> Self {
        Self { contract, size, rounds: None }
    }

    /// The plan must take exactly as many rounds, too; see [`Report::rounds`].
    pub fn rounds(mut self, rounds: usize) -> Self {
        self.rounds = Some(rounds);
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
        self.contract.check_root(self.size)?;
        let plans = (0..self.size).map(plan).map(IntoIterator::into_iter);
        let report = Simulation::new(self.contract, plans).run()?;
        match self.rounds {
            Some(expected) if expected != report.rounds => {
                Err(CheckError::Rounds { expected, found: report.rounds })
            }
            _ => Ok(report),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Demand, Side};
    use super::*;

    const REDUCE: Contract = Contract::Reduce { root: 0, demand: Demand::Associative };
    const ALLREDUCE: Contract = Contract::Allreduce { demand: Demand::Associative };

    fn send(to: usize) -> Step {
        Step::Send { to, blocks: 0..1 }
    }

    fn recv(from: usize) -> Step {
        Step::Recv { from, blocks: 0..1 }
    }

    fn left(from: usize) -> Step {
        Step::Combine { from, block: 0, side: Side::Left }
    }

    fn right(from: usize) -> Step {
        Step::Combine { from, block: 0, side: Side::Right }
    }

    fn check<const N: usize>(
        contract: Contract,
        plans: [Vec<Step>; N],
    ) -> Result<Report, CheckError> {
        Check::new(contract, N).run(|rank| plans[rank].clone())
    }

    fn wrong(contract: Contract, plans: [Vec<Step>; 3], demand: Demand, found: &str) {
        let found = found.to_owned();
        assert_eq!(
            check(contract, plans),
            Err(CheckError::WrongResult { rank: 0, block: 0, inputs: 0..3, demand, found })
        );
    }

    #[test]
    fn missing_receive() {
        let result = check(REDUCE, [vec![right(1)], vec![send(0)], vec![send(0)]]);
        assert_eq!(result, Err(CheckError::UnmatchedSend { from: 2, to: 0, messages: 1 }));
    }

    #[test]
    fn missing_send() {
        let result = check(REDUCE, [vec![right(1), right(2)], vec![send(0)], vec![]]);
        assert_eq!(result, Err(CheckError::UnmatchedRecv { rank: 0, from: 2 }));
    }

    #[test]
    fn crossing_receives_deadlock() {
        let result = check(
            ALLREDUCE,
            [vec![right(1), send(1)], vec![left(0), send(0), recv(2)], vec![recv(1), send(1)]],
        );
        assert_eq!(result, Err(CheckError::Deadlock { cycle: vec![0, 1] }));
    }

    #[test]
    fn crossing_sends_do_not() {
        let report = check(ALLREDUCE, [vec![send(1), right(1)], vec![send(0), left(0)]]).unwrap();
        assert_eq!((report.rounds, report.outbox), (1, 1));
    }

    #[test]
    fn a_deadlock_of_full_outboxes_asks_for_larger_ones() {
        let twice = |peer| [send(peer), send(peer), recv(peer), recv(peer)];
        let plans = [0, 1].map(|rank| {
            let peer = 1 - rank;
            let combine = if rank == 0 { right(peer) } else { left(peer) };
            [send(peer), combine].into_iter().chain(twice(peer)).collect()
        });
        assert_eq!(check(ALLREDUCE, plans).unwrap().outbox, 2);
    }

    #[test]
    fn wrong_order() {
        let plans = [vec![right(2), right(1)], vec![send(0)], vec![send(0)]];
        wrong(REDUCE, plans.clone(), Demand::Associative, "((0·2)·1)");
        let contract = Contract::Reduce { root: 0, demand: Demand::Commutative };
        assert_eq!(check(contract, plans).unwrap().messages, 2);
    }

    #[test]
    fn wrong_bracketing_of_an_ordered_operation() {
        let plans = [vec![right(1)], vec![right(2), send(0)], vec![send(1)]];
        let contract = Contract::Reduce { root: 0, demand: Demand::Ordered };
        wrong(contract, plans.clone(), Demand::Ordered, "(0·(1·2))");
        assert_eq!(check(REDUCE, plans).unwrap().rounds, 2);
    }

    #[test]
    fn input_counted_twice() {
        let plans = [vec![right(1), right(1), right(2)], vec![send(0), send(0)], vec![send(0)]];
        let contract = Contract::Reduce { root: 0, demand: Demand::Commutative };
        wrong(contract, plans, Demand::Commutative, "(((0·1)·1)·2)");
    }

    #[test]
    fn input_left_out() {
        wrong(REDUCE, [vec![right(1)], vec![send(0)], vec![]], Demand::Associative, "(0·1)");
    }

    #[test]
    fn different_bits_on_different_ranks() {
        // Each rank has all operands in order, but rank 2 brackets from the right.
        let plans = [
            vec![send(2), right(1), right(2), send(1)],
            vec![send(0), send(2), recv(0)],
            vec![send(0), left(1), left(0)],
        ];
        assert_eq!(
            check(ALLREDUCE, plans),
            Err(CheckError::DifferentBits {
                rank: 2,
                found: "(0·(1·2))".to_owned(),
                rank_0: "((0·1)·2)".to_owned(),
            })
        );
    }

    #[test]
    fn wrong_round_count() {
        let result = Check::new(Contract::Bcast { root: 0 }, 3).rounds(1).run(|rank| match rank {
            0 => vec![send(1), send(2)],
            _ => vec![recv(0)],
        });
        assert_eq!(result, Err(CheckError::Rounds { expected: 1, found: 2 }));
    }

    #[test]
    fn a_barrier_that_does_not_hold() {
        let signal = |to| Step::Send { to, blocks: 0..0 };
        let wait = |from| Step::Recv { from, blocks: 0..0 };
        let result =
            check(Contract::Barrier, [vec![wait(2), signal(1)], vec![wait(0)], vec![signal(0)]]);
        assert_eq!(result, Err(CheckError::LeavesEarly { rank: 0, other: 1 }));
    }

    #[test]
    fn blocks_in_the_wrong_place() {
        let result = check(
            Contract::Scatter { root: 1 },
            [vec![Step::Recv { from: 1, blocks: 1..2 }], vec![Step::Send { to: 0, blocks: 0..1 }]],
        );
        assert_eq!(
            result,
            Err(CheckError::WrongResult {
                rank: 0,
                block: 1,
                inputs: 0..1,
                demand: Demand::Ordered,
                found: "1".to_owned(),
            })
        );
    }

    #[test]
    fn steps_that_cannot_be_done() {
        let contract = Contract::Bcast { root: 0 };
        let first = |step: Step| check(contract, [vec![step], vec![]]);
        let blocks = |blocks| Step::Send { to: 1, blocks };
        assert_eq!(first(send(0)), Err(CheckError::BadPeer { rank: 0, peer: 0 }));
        assert_eq!(first(recv(2)), Err(CheckError::BadPeer { rank: 0, peer: 2 }));
        assert_eq!(
            first(blocks(0..2)),
            Err(CheckError::BadBlocks { rank: 0, blocks: 0..2, available: 1 })
        );
        assert_eq!(
            check(contract, [vec![], vec![send(0)]]),
            Err(CheckError::EmptyBlock { rank: 1, block: 0 })
        );
        assert_eq!(
            check(contract, [vec![blocks(0..0)], vec![recv(0)]]),
            Err(CheckError::Length { from: 0, to: 1, sent: 0, expected: 1 })
        );
        assert_eq!(
            check(Contract::Bcast { root: 2 }, [vec![], vec![]]),
            Err(CheckError::NoSuchRoot { root: 2, size: 2 })
        );
    }

    #[test]
    fn a_plan_without_an_end() {
        let result = Check::new(Contract::Bcast { root: 0 }, 2)
            .run(|rank| std::iter::repeat_with(move || if rank == 0 { send(1) } else { recv(0) }));
        assert!(matches!(result, Err(CheckError::Endless { .. })), "{result:?}");
    }
}
