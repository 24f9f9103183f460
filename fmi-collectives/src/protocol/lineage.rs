//! What a call knows of the operations inside it, so that the group hears one cause, the first.

use crate::Communicator;
use fmi_actors::{Error, endpoint::Collective, mailbox::Failure};
use parking_lot::Mutex;
use std::collections::VecDeque;

/// Failures that are remembered.
const NOTES: usize = 8;

/// One call of a protocol; shared by all communicators made inside it.
///
/// When a protocol fails, what it was in the middle of is dropped. The group would hear of those
/// drops first, and take them for the cause. So a collective that is dropped while its protocol
/// is polled is kept until the poll has ended: if the call failed in it, the notice of the call
/// says all; if not, the drop was meant and is told.
#[derive(Debug, Default)]
pub(crate) struct Lineage(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    /// Failures of operations inside, in world ranks, with the errors that they became.
    notes: VecDeque<(Error, Failure)>,
    dropped: Vec<Dropped>,
}

/// With its communicator, so that its group can still be told.
type Dropped = (Communicator, Collective);

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    #[default]
    Idle,
    Polled,
    Failed,
}

impl Lineage {
    /// An operation inside failed.
    pub(crate) fn note(&self, error: &Error, failure: &Failure) {
        let notes = &mut self.0.lock().notes;
        if notes.len() == NOTES {
            notes.pop_front();
        }
        notes.push_back((error.clone(), failure.clone()));
    }

    /// Of which failure inside this error is the report.
    pub(super) fn cause(&self, error: &Error) -> Option<Failure> {
        let state = self.0.lock();
        state.notes.iter().rev().find(|(noted, _)| noted == error).map(|(_, cause)| cause.clone())
    }

    /// An operation inside was dropped before its end.
    pub(crate) fn dropped(&self, comm: &Communicator, collective: Collective) {
        let mut state = self.0.lock();
        match state.phase {
            Phase::Polled => state.dropped.push((comm.clone(), collective)),
            phase => {
                drop(state);
                end(phase, collective);
            }
        }
    }

    /// The protocol is about to be polled.
    pub(super) fn poll_begins(&self) {
        self.enter(Phase::Polled);
    }

    /// It goes on, or has ended well.
    pub(super) fn poll_ends(&self) {
        self.enter(Phase::Idle);
    }

    /// It has failed, or is about to be dropped.
    pub(super) fn fail(&self) {
        self.enter(Phase::Failed);
    }

    fn enter(&self, phase: Phase) {
        let dropped = {
            let mut state = self.0.lock();
            state.phase = phase;
            std::mem::take(&mut state.dropped)
        };
        for (_comm, collective) in dropped {
            end(phase, collective);
        }
    }
}

fn end(phase: Phase, collective: Collective) {
    match phase {
        Phase::Failed => collective.forsake(),
        // Dropping it tells the group.
        Phase::Idle | Phase::Polled => drop(collective),
    }
}
