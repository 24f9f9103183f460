//! How much of what a rank has published is unread.

use crate::sleeper::Sleeper;
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    task::Waker,
};

/// Unread notes and bytes with which a rank may begin to publish.
const UNREAD_NOTES: usize = 256;
/// Of a value that is handed over, the bytes of its struct count; what it points to is unknown.
const UNREAD_BYTES: usize = 16 << 20;

/// What a rank has published and others have not read yet.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    notes: AtomicUsize,
    bytes: AtomicUsize,
    /// Reads of all that it has published, and bytes in them: for the bill.
    reads: AtomicU64,
    bytes_read: AtomicU64,
    /// Collectives of one rank overlap: several may wait.
    waiting: Mutex<SmallVec<[Sleeper; 2]>>,
}

impl Unread {
    /// Whether a collective may begin to publish; if not, whom to wake when it may.
    pub(crate) fn has_room(&self, waker: &Waker) -> bool {
        if self.is_low() {
            return true;
        }
        {
            let mut waiting = self.waiting.lock();
            if !waiting.iter().any(|other| other.will_wake(waker)) {
                waiting.push(Sleeper::new(waker));
            }
        }
        // It may have become low before the waker was there to be seen.
        self.is_low()
    }

    fn is_low(&self) -> bool {
        self.notes.load(Ordering::Acquire) < UNREAD_NOTES
            && self.bytes.load(Ordering::Acquire) < UNREAD_BYTES
    }

    /// Reads of what it has published, begun or to come, and bytes in them.
    pub(crate) fn traffic(&self) -> (u64, u64) {
        (self.reads.load(Ordering::Relaxed), self.bytes_read.load(Ordering::Relaxed))
    }

    /// Notes of so many bytes will be read.
    pub(super) fn add(&self, notes: usize, bytes: usize) {
        self.notes.fetch_add(notes, Ordering::AcqRel);
        if bytes > 0 {
            self.bytes.fetch_add(bytes, Ordering::AcqRel);
        }
    }

    pub(super) fn count(&self, reads: usize, bytes: usize) {
        self.reads.fetch_add(reads as u64, Ordering::Relaxed);
        if bytes > 0 {
            self.bytes_read.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    /// They have been read, or never will be.
    pub(super) fn subtract(&self, notes: usize, bytes: usize) {
        let notes = self.notes.fetch_sub(notes, Ordering::AcqRel);
        let before = if bytes > 0 { self.bytes.fetch_sub(bytes, Ordering::AcqRel) } else { 0 };
        if notes >= UNREAD_NOTES || before >= UNREAD_BYTES {
            let waiting = std::mem::take(&mut *self.waiting.lock());
            waiting.into_iter().for_each(Sleeper::wake);
        }
    }

    #[cfg(test)]
    pub(super) fn notes(&self) -> usize {
        self.notes.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sleeper::counting::counted;
    use futures::task::noop_waker;

    #[test]
    fn who_has_much_unread_waits_before_the_next_collective() {
        let (account, waker) = (Unread::default(), noop_waker());
        for (notes, bytes) in [(1, UNREAD_BYTES), (UNREAD_NOTES, 0)] {
            assert!(account.has_room(&waker));
            account.add(notes, bytes);
            assert!(!account.has_room(&waker));
            account.subtract(notes, bytes);
        }
        assert!(account.has_room(&waker) && account.waiting.lock().is_empty());
    }

    #[test]
    fn all_that_wait_for_room_are_woken() {
        let account = Unread::default();
        account.add(1, UNREAD_BYTES);
        let tasks = [(); 3].map(|()| counted());
        for (task, _) in &tasks {
            // Each looks twice.
            assert!(!account.has_room(task));
            assert!(!account.has_room(task));
        }
        account.subtract(1, UNREAD_BYTES);
        assert!(tasks.iter().all(|(_, count)| count.get() == 1));
    }
}
