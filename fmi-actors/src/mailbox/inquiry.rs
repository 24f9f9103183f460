//! What ranks called, compared when frames do not do it.
//!
//! Two ranks in different collectives mostly notice it by the first frame between them. But the
//! plans may never exchange one: then a rank that has waited for some time says what it called,
//! and every rank compares that with what it calls, or has called, under the same number.

use super::{FAILURES_AHEAD, Failure, Group, Mailbox, once::Once};
use crate::frame::{Signature, Space};
use std::collections::VecDeque;

/// Latest calls that are remembered, by scope.
const REMEMBERED: usize = 32;

/// The latest calls of one rank in one scope.
#[derive(Debug, Default)]
pub(super) struct Called {
    latest: VecDeque<(u32, Signature)>,
    /// Numbers of which others were told what this rank, or another, called.
    asked: Once,
}

impl Called {
    pub(super) fn remember(&mut self, number: u32, signature: Signature) {
        if self.latest.len() == REMEMBERED {
            self.latest.pop_front();
        }
        self.latest.push_back((number, signature));
    }

    fn find(&self, number: u32) -> Option<Signature> {
        self.latest.iter().find(|(other, _)| *other == number).map(|(_, signature)| *signature)
    }
}

impl Mailbox {
    /// Another rank says what it called. A failure if this one called something else.
    pub(crate) fn called(&self, space: Space, theirs: (u32, Signature)) -> Option<Failure> {
        let mut inner = self.inner.lock();
        let scope = inner.scopes.get(&space.scope)?;
        if space.number > scope.entered {
            if space.number <= scope.entered.saturating_add(FAILURES_AHEAD) {
                inner.queue(space).called.get_or_insert(theirs);
            }
            return None;
        }
        let ours = scope.calls.find(space.number).filter(|ours| !ours.agrees(&theirs.1))?;
        Some(Failure::Mismatch { left: (self.rank, ours), right: theirs })
    }

    /// The group to tell what a rank called, the first time that this is asked.
    pub(crate) fn ask(&self, space: Space) -> Option<Group> {
        let mut inner = self.inner.lock();
        let scope = inner.scopes.get_mut(&space.scope)?;
        let first = scope.calls.asked.first(space.number);
        first.then(|| std::sync::Arc::clone(&scope.group))
    }
}
