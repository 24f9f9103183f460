//! Collectives at the level of bytes, and how their failure travels (rule 6).

use super::pairs::{Ranked, wake};
use crate::{
    Payload, Reason, codec,
    frame::{Signature, Space},
    mailbox::{Failure, Group, Wakers},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A collective in progress on one rank. Dropped before [`finish`](Self::finish), it tells the
/// group that this rank gave up.
#[derive(Debug)]
pub struct Collective {
    rank: Arc<Ranked>,
    space: Space,
    failure: Option<Failure>,
    over: bool,
}

/// What a notice says: the cause, and the rank whose tree it travels along.
#[derive(Debug, Serialize, Deserialize)]
struct Notice {
    origin: u32,
    failure: Failure,
}

impl Collective {
    pub(super) fn enter(rank: &Arc<Ranked>, scope: u64, signature: Option<Signature>) -> Self {
        let (space, failure) = rank.mailbox.enter(scope, signature);
        Self { rank: Arc::clone(rank), space, failure, over: false }
    }

    /// Where its messages are matched.
    #[must_use]
    pub fn space(&self) -> Space {
        self.space
    }

    /// A failure that was known before it began.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// This rank has its result.
    pub fn finish(mut self) {
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
        let found_here = matches!(failure, Failure::Mismatch { left, .. } if left.0 == self.rank.number());
        let group = news.flatten().or_else(|| {
            found_here.then(|| self.rank.mailbox.group(self.space.scope)).flatten()
        });
        if let Some(group) = group {
            self.rank.flood(self.space, failure, &group, self.rank.number());
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
        let Ok(notice) = codec::decode::<Notice>(cause.bytes().unwrap_or_default()) else {
            tracing::warn!(rank = self.number(), "dropped a notice that cannot be read");
            return;
        };
        let mut wakers = Wakers::new();
        let news = self.mailbox.fail(space, &notice.failure, &mut wakers);
        wake(wakers);
        if let Some(Some(group)) = news {
            self.flood(space, &notice.failure, &group, notice.origin);
        }
    }

    /// A scope was opened that a failure had reached before.
    pub(super) fn pass_on(&self, space: Space, failure: &Failure, group: &Group) {
        let origin = match failure {
            Failure::Abandoned { rank, .. } | Failure::Lost { rank, .. } => *rank,
            Failure::Mismatch { left, .. } => left.0,
            Failure::Closed | Failure::TooLarge { .. } => return,
        };
        self.flood(space, failure, group, origin);
    }

    /// Tells this rank's children in the binomial tree of the group that `origin` is the root
    /// of. Nothing here waits.
    fn flood(&self, space: Space, failure: &Failure, group: &Group, origin: u32) {
        let place = |rank: u32| group.iter().position(|member| *member == rank);
        let (Some(own), Some(root)) = (place(self.number()), place(origin)) else { return };
        let notice = Notice { origin, failure: failure.clone() };
        let Ok(bytes) = codec::encode(&notice) else { return };
        for child in children(own, root, group.len()) {
            let to = group[child];
            {
                let mut pairs = self.pairs.lock();
                let Some(entry) = self.entry(&mut pairs, to) else { continue };
                entry.pair.notice(space, Payload::from_vec(bytes.clone()));
            }
            self.pump(to);
        }
    }
}

/// Children of a member in the binomial tree of `size` members under `root`.
fn children(own: usize, root: usize, size: usize) -> impl Iterator<Item = usize> {
    let relative = (own + size - root) % size;
    let limit = if relative == 0 { size } else { relative & relative.wrapping_neg() };
    std::iter::successors(Some(1usize), |bit| Some(bit << 1))
        .take_while(move |bit| *bit < limit && relative + bit < size)
        .map(move |bit| (relative + bit + root) % size)
}

#[cfg(test)]
mod tests {
    use super::children;

    #[test]
    fn the_tree_reaches_everybody_once() {
        for size in 1..40 {
            for root in 0..size {
                let mut reached = vec![0; size];
                reached[root] += 1;
                for own in 0..size {
                    children(own, root, size).for_each(|child| reached[child] += 1);
                }
                assert_eq!(reached, vec![1; size], "size {size} root {root}");
            }
        }
    }
}
