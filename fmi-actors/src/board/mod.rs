//! What ranks of one process publish for each other: content that many read and none changes.
//!
//! A note is pinned once, read a known number of times, then forgotten. It goes past the pair
//! layer: there is nothing to number, to retain or to copy. Each communicator has a [`Sheet`], each of
//! its ranks here a column on it, so that only who publishes and who reads it meet at a lock. How much
//! one rank's unread notes may hold is bounded when its next collective begins; see [`Unread`].

mod calls;
mod sheet;
mod unread;

pub(crate) use sheet::{Note, Place, Sheet};
pub(crate) use unread::Unread;

use crate::frame::Space;
use calls::{Calls, Signed};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
};

/// The block of a note that says only that it is there.
pub const SIGNAL: usize = usize::MAX;

/// Collectives whose failure is remembered, so that nobody pins a note that nobody reads.
const REMEMBERED: usize = 64;

/// All sheets of a process.
#[derive(Debug, Default)]
pub(crate) struct Board {
    inner: Mutex<Inner>,
    calls: OnceLock<Box<Calls>>,
}

#[derive(Debug, Default)]
struct Inner {
    sheets: FxHashMap<u64, Used>,
    failed: VecDeque<Space>,
}

/// A sheet, and how many of its ranks use it or have used it.
#[derive(Debug)]
struct Used {
    sheet: Arc<Sheet>,
    open: usize,
    opened: usize,
}

impl Board {
    /// The sheet of a communicator, for one of the ranks that it has here: `ranks` are all of them.
    pub(crate) fn open(&self, scope: u64, ranks: impl FnOnce() -> Vec<u32>) -> Arc<Sheet> {
        let mut inner = self.inner.lock();
        let Inner { sheets, failed } = &mut *inner;
        let used = sheets.entry(scope).or_insert_with(|| {
            let sheet = Sheet::new(scope, ranks());
            failed
                .iter()
                .filter(|space| space.scope == scope)
                .for_each(|it| sheet.clear(it.number));
            Used { sheet: Arc::new(sheet), open: 0, opened: 0 }
        });
        used.open += 1;
        used.opened += 1;
        Arc::clone(&used.sheet)
    }

    /// One of the ranks uses it no more. It goes with the last: nobody waits for anything on it then, and
    /// what is unread others will read, if there are any.
    pub(crate) fn close(&self, sheet: &Sheet) {
        let mut inner = self.inner.lock();
        let Some(used) = inner.sheets.get_mut(&sheet.scope()) else { return };
        used.open -= 1;
        if used.open == 0 && (used.sheet.len() == 0 || used.opened >= used.sheet.ranks()) {
            let gone = inner.sheets.remove(&sheet.scope());
            drop(inner);
            gone.into_iter().for_each(|gone| gone.sheet.forget_all());
        }
    }

    /// What another rank of this process called under the same number, if it is something else.
    pub(crate) fn compare(&self, space: Space, own: Signed) -> Option<Signed> {
        self.calls.get_or_init(Box::default).compare(space, own)
    }

    /// A collective has failed: its notes are of no use.
    pub(crate) fn clear(&self, space: Space) {
        let sheet = {
            let mut inner = self.inner.lock();
            if inner.failed.contains(&space) {
                return;
            }
            remember(&mut inner.failed, space);
            inner.sheets.get(&space.scope).map(|used| Arc::clone(&used.sheet))
        };
        if let Some(sheet) = sheet {
            sheet.clear(space.number);
        }
    }

    /// Ranks are gone: who waits for notes of theirs looks again.
    pub(crate) fn gone(&self, ranks: &[u32]) {
        self.sheets().iter().for_each(|sheet| sheet.gone(ranks));
    }

    /// How many notes are on it.
    pub(crate) fn len(&self) -> usize {
        self.sheets().iter().map(|sheet| sheet.len()).sum()
    }

    fn sheets(&self) -> Vec<Arc<Sheet>> {
        self.inner.lock().sheets.values().map(|used| Arc::clone(&used.sheet)).collect()
    }
}

/// Adds a failure to those that are remembered; the oldest gives way.
fn remember<T>(failed: &mut VecDeque<T>, latest: T) {
    if failed.len() == REMEMBERED {
        failed.pop_front();
    }
    failed.push_back(latest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Payload;

    const SCOPE: u64 = 7;

    fn pin(sheet: &Sheet, account: &Arc<Unread>) {
        let place = Place { column: 0, number: 1, block: 0 };
        let note = Note { block: 0, content: Payload::empty(), readers: 1 };
        sheet.pin(place.column, place.number, [Ok(note)].into_iter(), account).unwrap();
    }

    #[test]
    fn a_sheet_goes_with_the_last_who_may_read_it() {
        let (board, account) = (Board::default(), Arc::new(Unread::default()));
        let ranks = || vec![3, 4];
        let first = board.open(SCOPE, ranks);
        pin(&first, &account);
        board.close(&first);
        assert_eq!((board.len(), board.sheets().len()), (1, 1));
        // Who comes later finds what was published.
        let second = board.open(SCOPE, ranks);
        assert!(Arc::ptr_eq(&first, &second) && account.notes() == 1);
        board.close(&second);
        assert_eq!((board.sheets().len(), account.notes()), (0, 0));
    }

    #[test]
    fn a_failure_is_known_to_who_comes_later() {
        let (board, account) = (Board::default(), Arc::new(Unread::default()));
        board.clear(Space { scope: SCOPE, number: 1 });
        let sheet = board.open(SCOPE, || vec![3]);
        pin(&sheet, &account);
        assert_eq!((board.len(), account.notes()), (0, 0));
        board.close(&sheet);
        assert!(board.sheets().is_empty());
    }
}
