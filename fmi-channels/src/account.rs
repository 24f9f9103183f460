//! Requests to a store, for the bill of the process that makes them.
//!
//! A store is asked before there is a node (whether it can be used, who else is in the job), so what was
//! asked until then is kept and told to the node's meter when that is known. Which operation a request
//! is for, its caller says by [`on_behalf`]; else the meter takes what the process waits for.

use fmi_actors::{
    frame::Space,
    meter::{Meter, Request},
};
use parking_lot::Mutex;
use std::{fmt, future::Future, sync::Arc};

/// What a process asks of one store.
pub(crate) struct Account {
    channel: &'static str,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    meter: Option<Arc<Meter>>,
    /// Requests and bytes of each kind that no meter knows of yet.
    early: Vec<(Request, u64, u64)>,
}

tokio::task_local! {
    static SPACE: Space;
}

/// Requests that `work` makes, in its own task, are for this space.
#[cfg(feature = "s3")]
pub(crate) fn on_behalf<F: Future>(space: Space, work: F) -> impl Future<Output = F::Output> {
    SPACE.scope(space, work)
}

/// As [`on_behalf`], for what does not wait.
#[cfg(feature = "redis")]
pub(crate) fn now_on_behalf<T>(space: Space, work: impl FnOnce() -> T) -> T {
    SPACE.sync_scope(space, work)
}

impl Account {
    /// One for a channel's store.
    pub(crate) fn new(channel: &'static str) -> Self {
        Self { channel, state: Mutex::default() }
    }

    /// So many requests have been made, that moved so many bytes; 0 requests if they are counted
    /// already.
    pub(crate) fn count(&self, kind: Request, requests: u64, bytes: u64) {
        let mut state = self.state.lock();
        if let Some(meter) = state.meter.clone() {
            drop(state);
            let space = SPACE.try_with(|space| *space).ok();
            return meter.requests(self.channel, space, kind, requests, bytes);
        }
        match state.early.iter_mut().find(|(other, ..)| *other == kind) {
            Some((_, sum, moved)) => (*sum, *moved) = (*sum + requests, *moved + bytes),
            None => state.early.push((kind, requests, bytes)),
        }
    }

    /// From now on this meter gets them, and what there was before.
    pub(crate) fn charge(&self, meter: &Arc<Meter>) {
        meter.detail();
        let early = {
            let mut state = self.state.lock();
            state.meter = Some(Arc::clone(meter));
            std::mem::take(&mut state.early)
        };
        for (kind, requests, bytes) in early {
            meter.requests(self.channel, None, kind, requests, bytes);
        }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Account").field(&self.channel).finish()
    }
}
