//! Deadlines without a timer of their own: a list a rank, looked through by the keeper of the process.

use super::pairs::Ranked;
use crate::clock::Time;
use slab::Slab;
use std::{
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

/// Tasks that want to be woken at a time.
#[derive(Debug, Default)]
pub(crate) struct Watches(Slab<(Time, Waker)>);

/// A deadline that the polling task is woken at. It is registered only when waited for, so
/// that operations that end at once cost nothing.
#[derive(Debug)]
pub struct Watch {
    rank: Arc<Ranked>,
    at: Time,
    /// Nobody has asked yet; it has been made for that, just now.
    fresh: bool,
    key: Option<usize>,
}

impl Watch {
    pub(super) fn new(rank: &Arc<Ranked>, after: Duration) -> Self {
        let at = rank.keeper.now() + after;
        Self { at, rank: Arc::clone(rank), fresh: !after.is_zero(), key: None }
    }

    /// Whether the deadline has passed; if not, the task is woken then.
    pub fn poll_expired(&mut self, context: &mut Context<'_>) -> bool {
        // To ask for the time is a good part of what a wait costs.
        if !std::mem::take(&mut self.fresh) && self.rank.keeper.now() >= self.at {
            return true;
        }
        let mut watches = self.rank.watches.lock();
        match self.key.and_then(|key| watches.0.get_mut(key)) {
            Some((_, waker)) if waker.will_wake(context.waker()) => {}
            Some((_, waker)) => *waker = context.waker().clone(),
            None => {
                self.key = Some(watches.0.insert((self.at, context.waker().clone())));
                drop(watches);
                self.rank.keeper.deadline(self.at);
            }
        }
        false
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.rank.watches.lock().0.try_remove(key);
        }
    }
}

impl Ranked {
    /// Wakes what has expired; when to look again.
    pub(crate) fn expire(&self, now: Time) -> Option<Time> {
        let mut woken = Vec::new();
        let next = {
            let watches = &mut self.watches.lock().0;
            watches.iter().filter(|(_, (at, _))| *at <= now).for_each(|(_, (_, waker))| {
                woken.push(waker.clone());
            });
            watches.iter().map(|(_, (at, _))| *at).filter(|at| *at > now).min()
        };
        woken.into_iter().for_each(Waker::wake);
        next
    }
}
