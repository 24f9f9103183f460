//! What a server has done and holds, for whoever watches it.

use std::sync::{Arc, Weak, atomic::Ordering};

use super::floor::Shared;

/// Watches a [`Server`](super::Server), also while it runs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Monitor {
    shared: Weak<Shared>,
}

/// The figures of a server at one moment. Those named after what happened only grow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Jobs that are there, each epoch for itself.
    pub jobs: u64,
    /// Processes that are registered.
    pub processes: u64,
    /// Relayed links, those that wait for their other half included.
    pub relays: u64,
    /// Bytes of notes that wait for their reader.
    pub note_bytes: u64,
    /// Connections that were accepted.
    pub connections: u64,
    /// Connections that ended before they had proved a token or registered.
    pub strangers: u64,
    /// Connections that were turned away as too many from one address.
    pub crowded: u64,
    /// Processes that have registered.
    pub registered: u64,
    /// Registrations that were refused.
    pub refused: u64,
    /// Processes that ended without leaving.
    pub died: u64,
    /// Jobs that became complete.
    pub completed: u64,
    /// Notes that processes have sent.
    pub notes: u64,
    /// Notes that got lost.
    pub notes_lost: u64,
    /// Connections that came to be relayed.
    pub relayed: u64,
    /// Bytes that were relayed.
    pub relayed_bytes: u64,
    /// Those of them that waited, because their job moved as many as it may.
    pub held_bytes: u64,
    /// Answers that mirrors have given.
    pub mirrored: u64,
}

impl Monitor {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::downgrade(shared) }
    }

    /// How things stand; `None` when the server has ended.
    #[must_use]
    pub fn figures(&self) -> Option<Figures> {
        let shared = self.shared.upgrade()?;
        let (jobs, processes, relays, note_bytes) = {
            let floor = shared.floor.lock();
            let (jobs, processes) = floor.hall.population();
            (jobs, processes, floor.relays.count(), floor.note_bytes())
        };
        let counts = &shared.counts;
        let [connections, strangers, crowded, registered, refused, died] = [
            &counts.connections,
            &counts.strangers,
            &counts.crowded,
            &counts.registered,
            &counts.refused,
            &counts.died,
        ]
        .map(|counter| counter.load(Ordering::Relaxed));
        let [completed, notes, notes_lost, relayed, relayed_bytes, held_bytes, mirrored] = [
            &counts.completed,
            &counts.notes,
            &counts.lost,
            &counts.joined,
            &counts.relayed,
            &counts.held,
            &counts.mirrored,
        ]
        .map(|counter| counter.load(Ordering::Relaxed));
        Some(Figures {
            jobs: jobs as u64,
            processes: processes as u64,
            relays: relays as u64,
            note_bytes: note_bytes as u64,
            connections,
            strangers,
            crowded,
            registered,
            refused,
            died,
            completed,
            notes,
            notes_lost,
            relayed,
            relayed_bytes,
            held_bytes,
            mirrored,
        })
    }
}
