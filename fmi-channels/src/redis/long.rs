//! Long values, which keep the server busy for longer than a thread takes to wake. Who waits while
//! some are under way parks: it would only keep the server from a core.

use parking_lot::Mutex;
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

/// Bytes from which on a value is long.
const LONG: usize = 64 << 10;
/// So soon after one the next is likely, such as another piece of the same message.
const NEXT: Duration = Duration::from_millis(3);

/// Those of a process, there and back.
#[derive(Debug, Default)]
pub(super) struct LongValues {
    under_way: AtomicUsize,
    last: Mutex<Option<Instant>>,
}

impl LongValues {
    /// A value is under way, of so many bytes, until it [ends](Self::end).
    pub(super) fn begin(&self, bytes: usize) {
        if bytes >= LONG {
            self.under_way.fetch_add(1, Ordering::AcqRel);
        }
    }

    pub(super) fn end(&self, bytes: usize) {
        if bytes >= LONG {
            *self.last.lock() = Some(Instant::now());
            self.under_way.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Some are under way, or were just now.
    pub(super) fn are_moving(&self) -> bool {
        if self.under_way.load(Ordering::Acquire) > 0 {
            return true;
        }
        let mut last = self.last.lock();
        if last.is_some_and(|last| last.elapsed() > NEXT) {
            *last = None;
        }
        last.is_some()
    }
}
