//! Requests to a store, for the bill of the process that makes them.
//!
//! A store is asked before there is a node (whether it can be used, who else is in the job), so what was
//! asked until then is kept and told to the node's meter when that is known. Which operation a request
//! is for, its caller may say by [`SPACE`].

use fmi_actors::{
    frame::Space,
    meter::{Meter, Purpose, Request},
};
use parking_lot::Mutex;
use std::{fmt, sync::Arc};

/// What a process asks of one store.
pub(crate) struct Account {
    channel: &'static str,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// And what requests are for, if nobody says so.
    meter: Option<(Arc<Meter>, Purpose)>,
    /// Requests and bytes of each kind that no meter knows of yet.
    early: Vec<(Request, u64, u64)>,
}

tokio::task_local! {
    /// What requests of a task are made for, if it says so.
    pub(crate) static SPACE: Option<Space>;
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
        if let Some((meter, else_for)) = state.meter.clone() {
            drop(state);
            let space = SPACE.try_with(|space| *space).ok().flatten();
            let purpose = space.map_or(else_for, Purpose::Space);
            return meter.requests(self.channel, purpose, kind, requests, bytes);
        }
        match state.early.iter_mut().find(|(other, ..)| *other == kind) {
            Some((_, sum, moved)) => (*sum, *moved) = (*sum + requests, *moved + bytes),
            None => state.early.push((kind, requests, bytes)),
        }
    }

    /// From now on this meter gets them, and what there was before, which was upkeep. `else_for`: what
    /// they are for, if nobody says so.
    pub(crate) fn charge(&self, meter: &Arc<Meter>, else_for: Purpose) {
        meter.detail();
        let early = {
            let mut state = self.state.lock();
            state.meter = Some((Arc::clone(meter), else_for));
            std::mem::take(&mut state.early)
        };
        for (kind, requests, bytes) in early {
            meter.requests(self.channel, Purpose::Upkeep, kind, requests, bytes);
        }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Account").field(&self.channel).finish()
    }
}
