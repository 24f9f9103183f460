//! What ranks of one process publish for each other: content that many read and none changes.
//!
//! A note is pinned once, read a known number of times, then forgotten. It goes past the pair
//! layer: there is nothing to number, to retain or to copy. How much one rank's unread notes may
//! hold is bounded when its next collective begins; see [`Unread`].

mod calls;

use crate::{Payload, Result, frame::Space, sleeper::Sleeper};
use calls::{Calls, Signed};
use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHasher};
use smallvec::SmallVec;
use std::{
    collections::VecDeque,
    hash::{Hash, Hasher},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
};

/// The block of a note that says only that it is there.
pub const SIGNAL: usize = usize::MAX;

/// Collectives whose failure is remembered, so that nobody pins a note that nobody reads.
const REMEMBERED: usize = 64;
const SHELVES: usize = 16;
/// Unread notes and bytes with which a rank may begin to publish.
const UNREAD_NOTES: usize = 256;
/// Of a value that is handed over, the bytes of its struct count; what it points to is unknown.
const UNREAD_BYTES: usize = 16 << 20;

/// All notes of a process.
#[derive(Debug, Default)]
pub(crate) struct Board {
    /// By collective and publisher: only who publishes and who reads it meet at a shelf.
    shelves: [Mutex<Shelf>; SHELVES],
    calls: OnceLock<Box<Calls>>,
}

/// Which note: of a collective, by a rank, about a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) space: Space,
    pub(crate) from: u32,
    pub(crate) block: usize,
}

#[derive(Debug, Default)]
struct Shelf {
    notes: FxHashMap<Key, Note>,
    failed: VecDeque<Space>,
}

#[derive(Debug, Default)]
struct Note {
    pinned: Option<Pinned>,
    waiting: SmallVec<[Sleeper; 2]>,
}

#[derive(Debug)]
struct Pinned {
    content: Payload,
    readers: usize,
    account: Arc<Unread>,
}

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

impl Board {
    /// Pins a note for so many reads.
    pub(crate) fn pin(
        &self,
        key: Key,
        content: Payload,
        readers: usize,
        account: &Arc<Unread>,
    ) -> Result<()> {
        if readers == 0 {
            return Ok(());
        }
        // One reader takes it as it is; more share bytes.
        let content = if readers > 1 { content.into_wire()? } else { content };
        let bytes = content.size_hint();
        account.add(bytes);
        account.count(readers, bytes);
        let mut waiting = SmallVec::new();
        {
            let mut shelf = self.shelf(key);
            if shelf.failed.contains(&key.space) {
                drop(shelf);
                account.subtract(bytes);
                return Ok(());
            }
            let note = shelf.notes.entry(key).or_default();
            std::mem::swap(&mut waiting, &mut note.waiting);
            note.pinned = Some(Pinned { content, readers, account: Arc::clone(account) });
        }
        waiting.into_iter().for_each(Sleeper::wake);
        Ok(())
    }

    /// Whether a note is there.
    pub(crate) fn has(&self, key: Key) -> bool {
        self.shelf(key).notes.get(&key).is_some_and(|note| note.pinned.is_some())
    }

    /// Leaves word whom to wake when a note is there; false if it is.
    pub(crate) fn wait(&self, key: Key, waker: &Waker) -> bool {
        let mut shelf = self.shelf(key);
        // Of a failure the mailbox tells; here nobody would remove the word.
        if shelf.failed.contains(&key.space) {
            return true;
        }
        let note = shelf.notes.entry(key).or_default();
        if note.pinned.is_none() && !note.waiting.iter().any(|other| other.will_wake(waker)) {
            note.waiting.push(Sleeper::new(waker));
        }
        note.pinned.is_none()
    }

    /// Reads a note, if it is there.
    pub(crate) fn read(&self, key: Key) -> Result<Option<Payload>> {
        let mut shelf = self.shelf(key);
        let note = shelf.notes.get_mut(&key).and_then(|note| note.pinned.as_mut());
        let Some(pinned) = note else { return Ok(None) };
        pinned.readers -= 1;
        if pinned.readers > 0 {
            return pinned.content.share().map(Some);
        }
        let pinned = shelf.notes.remove(&key).and_then(|note| note.pinned);
        drop(shelf);
        Ok(pinned.map(|Pinned { content, account, .. }| {
            account.subtract(content.size_hint());
            content
        }))
    }

    /// What another rank of this process called under the same number, if it is something else.
    pub(crate) fn compare(&self, space: Space, own: Signed) -> Option<Signed> {
        self.calls.get_or_init(Box::default).compare(space, own)
    }

    /// A collective has failed: its notes are of no use.
    pub(crate) fn clear(&self, space: Space) {
        for shelf in &self.shelves {
            let gone: Vec<Note> = {
                let mut shelf = shelf.lock();
                if shelf.failed.contains(&space) {
                    continue;
                }
                if shelf.failed.len() == REMEMBERED {
                    shelf.failed.pop_front();
                }
                shelf.failed.push_back(space);
                shelf.notes.extract_if(|key, _| key.space == space).map(|(_, note)| note).collect()
            };
            for Pinned { content, account, .. } in gone.into_iter().filter_map(|note| note.pinned) {
                account.subtract(content.size_hint());
            }
        }
    }

    /// Ranks are gone: who waits for notes of theirs looks again.
    pub(crate) fn gone(&self, ranks: &[u32]) {
        for shelf in &self.shelves {
            let mut woken: SmallVec<[Sleeper; 8]> = SmallVec::new();
            for (key, note) in &mut shelf.lock().notes {
                if ranks.contains(&key.from) {
                    woken.extend(note.waiting.drain(..));
                }
            }
            woken.into_iter().for_each(Sleeper::wake);
        }
    }

    /// How many notes are on it.
    pub(crate) fn len(&self) -> usize {
        self.shelves.iter().map(|shelf| shelf.lock().notes.len()).sum()
    }

    fn shelf(&self, key: Key) -> parking_lot::MutexGuard<'_, Shelf> {
        let mut hasher = FxHasher::default();
        (key.space.number, key.from).hash(&mut hasher);
        self.shelves[hasher.finish() as usize >> 7 & (SHELVES - 1)].lock()
    }
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

    fn count(&self, readers: usize, bytes: usize) {
        self.reads.fetch_add(readers as u64, Ordering::Relaxed);
        if bytes > 0 {
            self.bytes_read.fetch_add((readers * bytes) as u64, Ordering::Relaxed);
        }
    }

    fn add(&self, bytes: usize) {
        self.notes.fetch_add(1, Ordering::AcqRel);
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    fn subtract(&self, bytes: usize) {
        let notes = self.notes.fetch_sub(1, Ordering::AcqRel);
        let bytes = self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        if notes >= UNREAD_NOTES || bytes >= UNREAD_BYTES {
            let waiting = std::mem::take(&mut *self.waiting.lock());
            waiting.into_iter().for_each(Sleeper::wake);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::task::noop_waker;

    const SPACE: Space = Space { scope: 7, number: 1 };
    const KEY: Key = Key { space: SPACE, from: 3, block: 0 };

    fn read(board: &Board) -> Option<Vec<u8>> {
        board.read(KEY).unwrap().map(|content| content.into_vec().unwrap())
    }

    #[test]
    fn a_note_is_read_as_often_as_it_says() {
        let (board, account) = (Board::default(), Arc::new(Unread::default()));
        assert_eq!(read(&board), None);
        board.pin(KEY, Payload::from_vec(vec![1u8; 50]), 2, &account).unwrap();
        assert_eq!(account.bytes.load(Ordering::Relaxed), 50);
        assert_eq!([read(&board), read(&board)], [Some(vec![1; 50]), Some(vec![1; 50])]);
        assert_eq!(read(&board), None);
        assert_eq!(account.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn notes_of_a_failed_collective_are_gone_and_stay_away() {
        let (board, account) = (Board::default(), Arc::new(Unread::default()));
        board.pin(KEY, Payload::empty(), 5, &account).unwrap();
        board.clear(SPACE);
        assert_eq!(read(&board), None);
        board.pin(KEY, Payload::empty(), 5, &account).unwrap();
        assert_eq!(read(&board), None);
        assert_eq!(account.notes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn who_has_much_unread_waits_before_the_next_collective() {
        let (board, account) = (Board::default(), Arc::new(Unread::default()));
        let waker = noop_waker();
        assert!(account.has_room(&waker));
        board.pin(KEY, Payload::from_vec(vec![0u8; UNREAD_BYTES]), 1, &account).unwrap();
        assert!(!account.has_room(&waker));
        read(&board);
        assert!(account.has_room(&waker) && account.waiting.lock().is_empty());
    }

    #[test]
    fn all_that_wait_for_room_are_woken() {
        struct Count(AtomicUsize);
        impl std::task::Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let (board, account) = (Board::default(), Arc::new(Unread::default()));
        board.pin(KEY, Payload::from_vec(vec![0u8; UNREAD_BYTES]), 1, &account).unwrap();
        let tasks = [(); 3].map(|()| Arc::new(Count(AtomicUsize::new(0))));
        for task in &tasks {
            // Each looks twice.
            assert!(!account.has_room(&Arc::clone(task).into()));
            assert!(!account.has_room(&Arc::clone(task).into()));
        }
        read(&board);
        assert!(tasks.iter().all(|task| task.0.load(Ordering::Relaxed) == 1));
    }

    #[test]
    fn nothing_stays_on_the_board_of_a_collective_that_failed() {
        let (board, account) = (Board::default(), Arc::new(Unread::default()));
        let waker = noop_waker();
        assert!(board.wait(KEY, &waker));
        board.clear(SPACE);
        // Who was not told yet looks again, and publishes.
        assert!(board.wait(KEY, &waker));
        board.pin(KEY, Payload::empty(), 5, &account).unwrap();
        assert_eq!(board.len(), 0);
    }
}
