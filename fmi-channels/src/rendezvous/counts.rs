//! What a server has done so far, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that only grow.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Connections that were accepted.
    pub(super) connections: AtomicU64,
    /// Those that proved no token, or broke off before.
    pub(super) strangers: AtomicU64,
    /// Connections that were turned away as too many from one address.
    pub(super) crowded: AtomicU64,
    /// Processes that registered.
    pub(super) registered: AtomicU64,
    /// Registrations that were refused.
    pub(super) refused: AtomicU64,
    /// Processes that were lost.
    pub(super) died: AtomicU64,
    /// Jobs that became complete.
    pub(super) completed: AtomicU64,
    /// Notes that were put into a letter box.
    pub(super) notes: AtomicU64,
    /// Notes that got lost.
    pub(super) lost: AtomicU64,
    /// Connections that were joined with another one.
    pub(super) joined: AtomicU64,
    /// Bytes that were relayed.
    pub(super) relayed: AtomicU64,
    /// Those of them that waited for their job's turn.
    pub(super) held: AtomicU64,
    /// Answers of mirrors.
    pub(super) mirrored: AtomicU64,
}

/// Counts one more, or several.
pub(super) fn count(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Ordering::Relaxed);
}
