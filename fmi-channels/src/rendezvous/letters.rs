//! Notes that wait for the connections of those they are for. Pure: no I/O, no clock.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use tokio::sync::Notify;

use super::hall::Ticket;

/// Notes that may wait for one process.
const MAX_WAITING: usize = 1024;
/// Bytes of all notes that may wait.
const MAX_BYTES: usize = 64 << 20;

/// A letter box a process. Bounded: of too many notes the oldest get lost.
#[derive(Debug, Default)]
pub(super) struct Letters {
    boxes: HashMap<Ticket, Letterbox>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Letterbox {
    letters: VecDeque<Bytes>,
    bell: Arc<Notify>,
}

impl Letters {
    /// A box for a process. What is given back rings when a note has come.
    pub(super) fn open(&mut self, owner: Ticket) -> Arc<Notify> {
        Arc::clone(&self.boxes.entry(owner).or_default().bell)
    }

    /// Puts an encoded note in. Says how many got lost, this one included.
    pub(super) fn put(&mut self, to: Ticket, letter: Bytes) -> usize {
        let Some(own) = self.boxes.get_mut(&to) else { return 1 };
        let mut lost = 0;
        if own.letters.len() >= MAX_WAITING
            && let Some(oldest) = own.letters.pop_front()
        {
            self.bytes -= oldest.len();
            lost += 1;
        }
        if self.bytes + letter.len() > MAX_BYTES {
            return lost + 1;
        }
        self.bytes += letter.len();
        own.letters.push_back(letter);
        own.bell.notify_one();
        lost
    }

    /// Takes at most so many out, the oldest first.
    pub(super) fn take(&mut self, owner: Ticket, most: usize) -> Vec<Bytes> {
        let Some(own) = self.boxes.get_mut(&owner) else { return Vec::new() };
        let taken: Vec<_> = own.letters.drain(..most.min(own.letters.len())).collect();
        if own.letters.is_empty() {
            own.letters = VecDeque::new();
        }
        self.bytes -= taken.iter().map(Bytes::len).sum::<usize>();
        taken
    }

    /// Of all notes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Its process is gone.
    pub(super) fn close(&mut self, owner: Ticket) {
        if let Some(own) = self.boxes.remove(&owner) {
            self.bytes -= own.letters.iter().map(Bytes::len).sum::<usize>();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(process: u32) -> Ticket {
        Ticket { epoch: 7, process }
    }

    #[test]
    fn notes_reach_their_box_alone_in_order() {
        let mut letters = Letters::default();
        letters.open(ticket(1));
        letters.open(ticket(2));
        for n in 0..5u8 {
            assert_eq!(letters.put(ticket(1), vec![n].into()), 0);
        }
        assert_eq!(letters.put(ticket(3), vec![9].into()), 1, "nobody's");
        assert_eq!(letters.take(ticket(1), 2), [vec![0], vec![1]]);
        assert_eq!(letters.take(ticket(1), 9), [vec![2], vec![3], vec![4]]);
        assert!(letters.take(ticket(2), 9).is_empty());
        assert_eq!(letters.bytes, 0);
    }

    #[test]
    fn the_oldest_of_too_many_are_lost() {
        let mut letters = Letters::default();
        letters.open(ticket(1));
        let lost: usize = (0..MAX_WAITING + 3)
            .map(|n| letters.put(ticket(1), n.to_le_bytes().to_vec().into()))
            .sum();
        assert_eq!(lost, 3);
        let kept = letters.take(ticket(1), usize::MAX);
        assert_eq!(kept.len(), MAX_WAITING);
        assert_eq!(kept[0], 3usize.to_le_bytes().to_vec());
    }

    #[test]
    fn all_boxes_together_are_bounded() {
        let mut letters = Letters::default();
        let large: Bytes = vec![0; 1 << 20].into();
        let lost: usize = (0..100)
            .map(|process| {
                letters.open(ticket(process));
                letters.put(ticket(process), large.clone())
            })
            .sum();
        assert_eq!(lost, 100 - MAX_BYTES / large.len());
        for process in 0..100 {
            letters.close(ticket(process));
        }
        assert_eq!(letters.bytes, 0);
        assert!(letters.boxes.is_empty());
    }
}
