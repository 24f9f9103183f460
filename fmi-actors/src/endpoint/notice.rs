//! Collectives at the level of bytes, and how their failure travels (rule 6).

use super::pairs::{Ranked, wake};
use crate::{
    Payload, Reason, codec,
    frame::{Signature, Space},
    mailbox::{Failure, Group, Wakers},
};
use std::sync::Arc;

/// A collective in progress on one rank. Dropped before [`finish`](Self::finish), it tells the
/// group that this rank gave up.
#[derive(Debug)]
pub struct Collective {
    rank: Arc<Ranked>,
    space: Space,
    signature: Option<Signature>,
    /// In a box, as few have one.
    failure: Option<Box<Failure>>,
    over: bool,
}

/// What ranks of a group tell each other about a collective.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
enum Notice {
    Failed(Failure),
    /// A rank that has waited for some time called this.
    Called(u32, Signature),
}

impl Collective {
    pub(super) fn enter(rank: &Arc<Ranked>, scope: u64, signature: Option<Signature>) -> Self {
        let (space, failure) = rank.mailbox.enter(scope, signature);
        Self {
            rank: Arc::clone(rank),
            space,
            signature,
            failure: failure.map(Box::new),
            over: false,
        }
    }

    /// Where its messages are matched.
    #[must_use]
    pub fn space(&self) -> Space {
        self.space
    }

    /// A failure that was known before it began.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_deref()
    }

    /// It cannot succeed, whatever the others do.
    pub fn doom(&mut self, failure: Failure) {
        self.failure.get_or_insert_with(|| Box::new(failure));
    }

    /// Compares signatures with the other members, who must all live in this process.
    pub fn compare(&mut self, signature: Signature) {
        // The others know already, and nobody waits to be compared.
        if self.failure.is_some() {
            return;
        }
        let Some(node) = self.rank.node() else { return };
        let own = (self.rank.number(), signature);
        if let Some(other) = node.board().compare(self.space, own) {
            self.failure = Some(Box::new(Failure::Mismatch { left: own, right: other }));
        }
    }

    /// It takes long: tells the group what this rank called, in case others called something
    /// else and their frames do not meet.
    pub fn inquire(&self) {
        if let Some(signature) = self.signature {
            self.rank.spread_call(self.space, (self.rank.number(), signature));
        }
    }

    /// This rank has its result.
    pub fn finish(mut self) {
        self.end();
    }

    /// It ends unheard: what it was a part of has failed, and the group learns that.
    pub fn forsake(mut self) {
        if let Some(node) = self.rank.node() {
            node.clear(self.space);
        }
        self.end();
    }

    /// It failed here; the group learns why, unless it was the group that said so.
    pub fn fail(mut self, failure: &Failure) {
        self.tell(failure);
        self.end();
    }

    /// This rank gives up.
    pub fn abandon(self, reason: Reason) {
        let rank = self.rank.number();
        self.fail(&Failure::Abandoned { rank, reason });
    }

    fn tell(&self, failure: &Failure) {
        let mut wakers = Wakers::new();
        let news = self.rank.mailbox.fail(self.space, failure, &mut wakers);
        wake(wakers);
        // A mismatch found by the mailbox is in the queue already, but nobody was told.
        let found_here =
            matches!(failure, Failure::Mismatch { left, .. } if left.0 == self.rank.number());
        if news || found_here {
            self.rank.flood(self.space, failure);
        }
        if let Some(node) = self.rank.node() {
            node.clear(self.space);
        }
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.over, true) {
            let freed = self.rank.mailbox.leave(self.space);
            self.rank.free(freed);
        }
    }
}

impl Drop for Collective {
    fn drop(&mut self) {
        if !self.over {
            let rank = self.rank.number();
            self.tell(&Failure::Abandoned { rank, reason: Reason::Dropped });
            self.end();
        }
    }
}

impl Ranked {
    /// A notice has arrived.
    pub(super) fn noticed(&self, space: Space, cause: &Payload) {
        let failure = match codec::decode(cause.bytes().unwrap_or_default()) {
            Ok(Notice::Failed(failure)) => failure,
            Ok(Notice::Called(rank, signature)) => {
                match self.mailbox.called(space, (rank, signature)) {
                    Some(mismatch) => mismatch,
                    None => return self.spread_call(space, (rank, signature)),
                }
            }
            Err(_) => {
                tracing::warn!(rank = self.number(), "dropped a notice that cannot be read");
                return;
            }
        };
        let mut wakers = Wakers::new();
        self.mailbox.fail(space, &failure, &mut wakers);
        wake(wakers);
        self.flood(space, &failure);
    }

    /// A scope was opened that a failure had reached before.
    pub(super) fn pass_on(&self, space: Space, failure: &Failure) {
        if !matches!(failure, Failure::Closed | Failure::TooLarge { .. }) {
            self.flood(space, failure);
        }
    }

    pub(super) fn flood(&self, space: Space, failure: &Failure) {
        if let Some(group) = self.mailbox.tell(space) {
            self.spread(space, &group, &Notice::Failed(failure.clone()));
        }
    }

    fn spread_call(&self, space: Space, (rank, signature): (u32, Signature)) {
        if let Some(group) = self.mailbox.ask(space) {
            self.spread(space, &group, &Notice::Called(rank, signature));
        }
    }

    /// Tells this rank's neighbours, who tell theirs, each once a collective. Nothing here waits.
    ///
    /// Neighbours are 1, 2, 4, … places apart among the ranks that are not gone, both ways. So
    /// a notice takes at most log₂ n hops, no rank tells more than 2 log₂ n others however many
    /// ranks fail at once, and one that is busy or about to go cuts nobody off.
    fn spread(&self, space: Space, group: &Group, notice: &Notice) {
        let Ok(bytes) = codec::encode(notice) else { return };
        let gone = self.mailbox.gone();
        let there: Vec<u32> = group.iter().copied().filter(|rank| !gone.contains(rank)).collect();
        let Some(own) = there.iter().position(|rank| *rank == self.number()) else { return };
        for neighbour in neighbours(own, there.len()) {
            let to = there[neighbour];
            {
                let mut pairs = self.pairs.lock();
                let Some(entry) = self.entry(&mut pairs, to) else { continue };
                let payload = Payload::from_vec(bytes.clone());
                match notice {
                    Notice::Failed(_) => entry.pair.notice(space, payload),
                    Notice::Called(..) => entry.pair.question(space, payload),
                }
            }
            self.pump(to);
        }
    }
}

/// Members of a group of `size` that are a power of two away from one, both ways round.
fn neighbours(own: usize, size: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(1usize), |step| Some(step << 1))
        .take_while(move |step| *step <= size / 2)
        .flat_map(move |step| {
            let (after, before) = ((own + step) % size, (own + size - step) % size);
            std::iter::once(after).chain((before != after).then_some(before))
        })
}

#[cfg(test)]
mod tests {
    use super::neighbours;
    use std::collections::BTreeSet;

    #[test]
    fn a_notice_reaches_everybody_in_few_hops_and_frames() {
        for size in 1..200usize {
            let (mut reached, mut hops) = (BTreeSet::from([0]), 0);
            while reached.len() < size {
                hops += 1;
                let next: Vec<_> = reached.iter().flat_map(|at| neighbours(*at, size)).collect();
                reached.extend(next);
            }
            let most = size.next_power_of_two().ilog2();
            assert!(hops <= most, "{hops} hops among {size}");
            for own in 0..size {
                let told: Vec<_> = neighbours(own, size).collect();
                assert!(told.len() <= 2 * most as usize && !told.contains(&own));
                assert_eq!(told.iter().collect::<BTreeSet<_>>().len(), told.len());
                // Whom one tells, tells one.
                assert!(told.iter().all(|other| neighbours(*other, size).any(|n| n == own)));
            }
        }
    }
}
