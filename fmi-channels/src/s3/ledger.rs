//! Who still has to read what: of what this process has put on the shelf, and what it owes to others
//! of theirs.
//!
//! Items that several read are deleted by their writer. Their readers tell it in mail that goes
//! anyway, or when they owe it much; what is never told lies there until the job ends, which costs
//! next to nothing.

use fmi_actors::{
    frame::Space,
    store::{Item, Part},
};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};

/// Unread items and bytes with which a process may put more there.
const UNREAD: usize = 4096;
const UNREAD_BYTES: u64 = 1 << 30;
/// What is owed to one process before it is told by an object of its own. Less than the others wait
/// for, or nobody would go on.
const OWED: usize = 256;
const OWED_BYTES: u64 = 64 << 20;
/// Collectives whose failure is remembered.
const REMEMBERED: usize = 64;

/// So many ranks of a process have read an item of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) item: Item,
    pub(super) reads: u32,
}

/// What is known of a process's reads and readers.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    own: HashMap<Item, Own>,
    bytes: u64,
    forgotten: VecDeque<Space>,
    owed: HashMap<u32, Owed>,
}

#[derive(Debug)]
struct Own {
    left: u32,
    bytes: u64,
    /// It is written.
    there: bool,
}

#[derive(Debug, Default)]
struct Owed {
    reports: Vec<Report>,
    bytes: u64,
}

impl Ledger {
    /// An item is being put there. False if it is of no use any more.
    pub(super) fn begin(&self, item: Item, readers: usize, bytes: u64) -> bool {
        let mut state = self.0.lock();
        if state.forgotten.contains(&item.space) {
            return false;
        }
        let left = u32::try_from(readers).unwrap_or(u32::MAX);
        state.bytes += bytes;
        if let Some(before) = state.own.insert(item, Own { left, bytes, there: false }) {
            state.bytes -= before.bytes;
        }
        true
    }

    /// It is there, or cannot be. True if it is to be deleted.
    pub(super) fn written(&self, item: Item, there: bool) -> bool {
        let mut state = self.0.lock();
        match state.own.get_mut(&item) {
            Some(own) if there && own.left > 0 => {
                own.there = true;
                false
            }
            Some(_) => {
                state.remove(item);
                true
            }
            // Forgotten meanwhile.
            None => true,
        }
    }

    /// Others have read an item of this process. True if it is to be deleted.
    pub(super) fn read(&self, report: Report) -> bool {
        let mut state = self.0.lock();
        // Of one that is not known nothing is to be done: it was given up.
        let Some(own) = state.own.get_mut(&report.item) else { return false };
        own.left = own.left.saturating_sub(report.reads);
        let over = own.left == 0 && own.there;
        if over {
            state.remove(report.item);
        }
        over
    }

    /// A rank here has read an item of a process. True if that is to be told now.
    pub(super) fn owe(&self, process: u32, item: Item, bytes: u64) -> bool {
        let mut state = self.0.lock();
        let owed = state.owed.entry(process).or_default();
        match owed.reports.iter_mut().rev().take(16).find(|report| report.item == item) {
            Some(report) => report.reads = report.reads.saturating_add(1),
            None => owed.reports.push(Report { item, reads: 1 }),
        }
        owed.bytes += bytes;
        owed.reports.len() >= OWED || owed.bytes >= OWED_BYTES
    }

    /// What is to be told to a process, in one go.
    pub(super) fn take_owed(&self, process: u32, most: usize) -> Vec<Report> {
        let mut state = self.0.lock();
        let Some(owed) = state.owed.get_mut(&process) else { return Vec::new() };
        owed.bytes = 0;
        let first = owed.reports.len().saturating_sub(most);
        owed.reports.split_off(first)
    }

    /// What was put there for a collective is of no use: what to delete.
    pub(super) fn forget(&self, space: Space) -> Vec<Item> {
        let mut state = self.0.lock();
        if !state.forgotten.contains(&space) {
            if state.forgotten.len() == REMEMBERED {
                state.forgotten.pop_front();
            }
            state.forgotten.push_back(space);
        }
        let items: Vec<_> = state.own.keys().filter(|item| item.space == space).copied().collect();
        items.iter().for_each(|item| state.remove(*item));
        items
    }

    /// A process is gone: whatever it had not told it never will. What is there now lies there until
    /// the job ends.
    pub(super) fn gone(&self, process: u32) {
        let mut state = self.0.lock();
        state.owed.remove(&process);
        let there = |(item, own): (&Item, &Own)| own.there.then_some(*item);
        let items: Vec<_> = state.own.iter().filter_map(there).collect();
        items.into_iter().for_each(|item| state.remove(item));
    }

    /// Whether little is unread.
    pub(super) fn has_room(&self) -> bool {
        let state = self.0.lock();
        state.own.len() < UNREAD && state.bytes < UNREAD_BYTES
    }
}

impl State {
    fn remove(&mut self, item: Item) {
        if let Some(own) = self.own.remove(&item) {
            self.bytes -= own.bytes;
        }
    }
}

/// Bytes of a report in mail.
pub(super) const REPORT: usize = 29;

impl Report {
    /// Of items of messages there are none: their reader deletes them.
    pub(super) fn encode(&self) -> [u8; REPORT] {
        let Item { space, from, part } = self.item;
        let (tag, block) = match part {
            Part::Signal => (0, 0),
            Part::Block(block) => (1, block as u64),
            Part::Message(..) => (2, 0),
        };
        let mut bytes = [0; REPORT];
        bytes[..8].copy_from_slice(&space.scope.to_le_bytes());
        bytes[8..12].copy_from_slice(&space.number.to_le_bytes());
        bytes[12..16].copy_from_slice(&from.to_le_bytes());
        bytes[16] = tag;
        bytes[17..25].copy_from_slice(&block.to_le_bytes());
        bytes[25..].copy_from_slice(&self.reads.to_le_bytes());
        bytes
    }

    /// `None` if it makes no sense.
    pub(super) fn decode(bytes: &[u8; REPORT]) -> Option<Self> {
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        let part = match bytes[16] {
            0 => Part::Signal,
            1 => Part::Block(usize::try_from(long(17)).ok()?),
            _ => return None,
        };
        let space = Space { scope: long(0), number: word(8) };
        Some(Self { item: Item { space, from: word(12), part }, reads: word(25) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACE: Space = Space { scope: 0x1234_5678_9abc_def0, number: 9 };

    fn block(number: usize) -> Item {
        Item { space: SPACE, from: 3, part: Part::Block(number) }
    }

    #[test]
    fn an_item_is_deleted_when_all_have_read_it_and_it_is_written() {
        let ledger = Ledger::default();
        assert!(ledger.begin(block(1), 3, 10));
        assert!(!ledger.written(block(1), true));
        assert!(!ledger.read(Report { item: block(1), reads: 2 }));
        assert!(!ledger.read(Report { item: block(2), reads: 2 }), "none of ours");
        assert!(ledger.read(Report { item: block(1), reads: 1 }));
        assert!(ledger.begin(block(2), 1, 10));
        assert!(!ledger.read(Report { item: block(2), reads: 1 }), "it is being written");
        assert!(ledger.written(block(2), true));
        assert!(ledger.begin(block(3), 1, 10));
        assert!(ledger.written(block(3), false), "parts of it may be there");
        assert_eq!(ledger.0.lock().bytes, 0);
    }

    #[test]
    fn what_failed_is_deleted_and_not_put_there_again() {
        let ledger = Ledger::default();
        assert!(ledger.begin(block(1), 3, 10) && ledger.begin(block(2), 3, 10));
        assert!(!ledger.written(block(1), true));
        assert_eq!(ledger.forget(SPACE).len(), 2);
        assert!(ledger.written(block(2), true), "it was being written");
        assert!(!ledger.begin(block(4), 1, 1));
        assert!(ledger.has_room() && ledger.0.lock().own.is_empty());
    }

    #[test]
    fn whoever_waits_for_room_is_told_before_there_is_none() {
        const { assert!(OWED < UNREAD && OWED_BYTES < UNREAD_BYTES) };
        let ledger = Ledger::default();
        for number in 1..OWED {
            assert!(!ledger.owe(7, block(number), 1), "{number}");
        }
        assert!(!ledger.owe(7, block(OWED - 1), 1), "the same again");
        assert!(ledger.owe(7, block(OWED), 1));
        let owed = ledger.take_owed(7, 100);
        assert_eq!(owed.len(), 100);
        assert_eq!(owed.last(), Some(&Report { item: block(OWED), reads: 1 }));
        assert!(owed.contains(&Report { item: block(OWED - 1), reads: 2 }));
        assert_eq!(ledger.take_owed(7, 1000).len(), OWED - 100);
        assert!(ledger.take_owed(8, 1000).is_empty());
        assert!(ledger.owe(7, block(0), OWED_BYTES));
    }

    #[test]
    fn who_is_gone_keeps_nobody_waiting() {
        let ledger = Ledger::default();
        for number in 0..UNREAD {
            assert!(ledger.has_room());
            ledger.begin(block(number), 2, 1);
            ledger.written(block(number), true);
        }
        assert!(!ledger.has_room());
        ledger.gone(1);
        assert!(ledger.has_room());
    }

    #[test]
    fn reports_come_back() {
        for part in [Part::Signal, Part::Block(0), Part::Block(usize::MAX >> 1)] {
            let report = Report { item: Item { space: SPACE, from: 77, part }, reads: 3 };
            assert_eq!(Report::decode(&report.encode()), Some(report));
        }
        assert_eq!(Report::decode(&[9; REPORT]), None);
    }
}
