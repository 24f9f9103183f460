//! A plan as it runs: who sends what to whom, in which round.
//!
//! The checker's simulation, written down. Programs that show plans or put a price on them take it
//! from here, so that all count alike.
//!
//! ```
//! use fmi_collectives::plan::{Shape, bcast::binomial};
//!
//! let trace = binomial::ALGORITHM.trace(Shape::of(4))?;
//! let moves = trace.events.iter().map(|event| (event.round, event.from, event.to));
//! assert!(moves.eq([(1, 0, Some(2)), (2, 0, Some(1)), (2, 2, Some(3))]));
//! # Ok::<(), fmi_collectives::plan::check::CheckError>(())
//! ```

use super::{
    Algorithm, Blocks, Shape, Side, Step, Tier,
    check::{Check, CheckError, Report},
};

/// All that happens in a plan that is right.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trace {
    /// What it costs.
    pub report: Report,
    /// By round; in a round by the rank that it comes from, copies last.
    pub events: Vec<Event>,
}

/// Something that happens in a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// What happens.
    pub kind: Kind,
    /// The rank that sends, has published, or does it.
    pub from: usize,
    /// The rank that receives or fetches.
    pub to: Option<usize>,
    /// The blocks as the rank that they come from counts them.
    pub blocks: Blocks,
    /// As many, as the rank counts them where they go.
    pub into: Blocks,
    /// The round in which it left its rank.
    pub sent: usize,
    /// The round in which it is done; see [`Report::rounds`]. What a rank does alone, a copy, is
    /// done in the round of its last message; before its first that is 0.
    pub round: usize,
    /// How far apart its ranks are, where the plan knows.
    pub tier: Option<Tier>,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Blocks are put where others can fetch them, each so often.
    Publish {
        /// How often.
        readers: usize,
    },
    /// A message is sent and received.
    Send,
    /// A message is sent, and combined with what its receiver has.
    Combine(Side),
    /// What a rank has published is fetched.
    Fetch,
    /// What a rank has published is fetched, and combined with what its reader has.
    CombineShared(Side),
    /// Blocks are copied within a workspace.
    Copy,
}

impl Kind {
    /// On which side of the operation what comes from the other rank stands, if it is combined.
    #[must_use]
    pub fn side(self) -> Option<Side> {
        match self {
            Self::Combine(side) | Self::CombineShared(side) => Some(side),
            Self::Publish { .. } | Self::Send | Self::Fetch | Self::Copy => None,
        }
    }

    /// Whether a message is sent.
    #[must_use]
    pub fn is_message(self) -> bool {
        matches!(self, Self::Send | Self::Combine(_))
    }
}

impl Algorithm {
    /// Checks it as [`check`](Self::check) does, and tells what happens.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn trace(&self, shape: Shape) -> Result<Trace, CheckError> {
        Check::of(self, &shape).trace(|rank| (self.steps)(rank, shape.clone()))
    }
}

impl Check {
    /// Checks `plan` as [`run`](Self::run) does, and tells what happens in it.
    ///
    /// # Errors
    /// The first mistake found.
    pub fn trace<P, S>(&self, plan: P) -> Result<Trace, CheckError>
    where
        P: FnMut(usize) -> S,
        S: IntoIterator<Item = Step>,
    {
        let mut events = Vec::new();
        let report = self.observe(plan, Some(&mut events))?;
        let place = |event: &Event| (event.round, event.kind == Kind::Copy, event.from, event.to);
        // Stable: what a pair does in a round stays in order.
        events.sort_by_key(place);
        Ok(Trace { report, events })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Collective, Packs, allreduce, alltoall, bcast, reduce};

    #[test]
    fn each_algorithm_is_told_as_it_is_counted() {
        let packs = Packs::of([0, 0, 0, 1, 1, 2, 3, 3]);
        let alone = [1, 2, 5, 8].map(Shape::of);
        for algorithm in Algorithm::all() {
            for shape in alone.iter().cloned().chain([Shape::of(8).packed(&packs)]) {
                let shape = shape.chunked(3);
                let size = shape.size;
                let Trace { report, events } = algorithm.trace(shape.clone()).unwrap();
                assert_eq!(report, algorithm.check(shape).unwrap());
                let messages = events.iter().filter(|event| event.kind.is_message());
                assert_eq!(messages.count(), report.messages, "{algorithm}");
                let arrived = events.iter().filter(|event| event.to.is_some());
                let last = arrived.map(|event| event.round).max();
                assert_eq!(last.unwrap_or(0), report.rounds, "{algorithm}");
                let mut sent = vec![0; size];
                for event in &events {
                    assert_eq!(event.blocks.len(), event.into.len());
                    assert!(event.sent <= event.round, "{algorithm}: {event:?}");
                    if event.kind.is_message() || matches!(event.kind, Kind::Publish { .. }) {
                        sent[event.from] += event.blocks.len();
                    }
                }
                assert_eq!(sent.iter().max(), Some(&report.most_sent), "{algorithm}");
            }
        }
    }

    #[test]
    fn a_chain_hands_on_what_it_combined() {
        let trace = reduce::chain::ALGORITHM.trace(Shape::of(3).rooted(2)).unwrap();
        let kinds: Vec<_> = trace.events.iter().map(|e| (e.round, e.from, e.to, e.kind)).collect();
        let combine = Kind::Combine(Side::Left);
        assert_eq!(kinds, [(1, 0, Some(1), combine), (2, 1, Some(2), combine)]);
    }

    #[test]
    fn blocks_are_told_at_both_ends() {
        let trace = alltoall::pairwise::ALGORITHM.trace(Shape::of(2)).unwrap();
        let sent = trace.events.iter().find(|event| event.kind == Kind::Send).unwrap();
        assert_eq!((sent.from, &sent.blocks, &sent.into), (0, &1.into(), &2.into()));
        let copy = trace.events.iter().find(|event| event.kind == Kind::Copy).unwrap();
        assert_eq!((copy.from, copy.to, copy.into.len()), (0, None, 1));
    }

    #[test]
    fn what_is_published_is_told_once_and_fetched_by_all() {
        let trace = bcast::shared::ALGORITHM.trace(Shape::of(4)).unwrap();
        assert_eq!(trace.events[0].kind, Kind::Publish { readers: 3 });
        assert_eq!(trace.events.len(), 4);
        assert!(trace.events[1..].iter().all(|event| event.kind == Kind::Fetch));
    }

    #[test]
    fn a_wrong_plan_has_no_trace() {
        let check = Check::new(Collective::Allreduce, 2);
        assert!(check.trace(|_| [Step::recv(0, 0)]).is_err());
        assert!(allreduce::ring::ALGORITHM.trace(Shape::of(2).rooted(2)).is_err());
    }
}
