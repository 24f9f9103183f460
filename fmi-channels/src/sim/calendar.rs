//! When something is busy that does one thing at a time.

use fmi_actors::clock::Time;
use std::{collections::BTreeMap, time::Duration};

/// The times that are taken. Whoever comes takes the first gap that is long enough: things are arranged
/// when they are known of, not in the order in which they will come, and what comes early need
/// not wait behind what is arranged already for later. In their order it is a queue.
#[derive(Debug, Default)]
pub(super) struct Calendar {
    /// From when to when. No two touch.
    taken: BTreeMap<Time, Time>,
}

impl Calendar {
    /// The first moment from `from` on at which there is so much time.
    pub(super) fn first(&self, from: Time, span: Duration) -> Time {
        let before = self.taken.range(..=from).next_back().map(|(_, end)| *end);
        let mut at = before.map_or(from, |end| from.max(end));
        for (begin, end) in self.taken.range(at..) {
            if *begin >= at + span {
                break;
            }
            at = *end;
        }
        at
    }

    /// Takes a time that [`first`](Self::first) said is free. What is over at `now` is forgotten.
    pub(super) fn take(&mut self, begin: Time, span: Duration, now: Time) {
        while let Some(entry) = self.taken.first_entry()
            && *entry.get() <= now
        {
            entry.remove();
        }
        if span.is_zero() {
            return;
        }
        let mut end = begin + span;
        if let Some(next) = self.taken.remove(&end) {
            end = next;
        }
        if let Some((_, last)) = self.taken.range_mut(..begin).next_back()
            && *last == begin
        {
            *last = end;
        } else {
            self.taken.insert(begin, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(calendar: &mut Calendar, from: u64, span: u64) -> u64 {
        let span = Duration::from_nanos(span);
        let at = calendar.first(Time(from), span);
        calendar.take(at, span, Time(0));
        at.0
    }

    #[test]
    fn in_order_it_is_a_queue() {
        let mut calendar = Calendar::default();
        let begins: Vec<_> = (0..5).map(|at| book(&mut calendar, at, 10)).collect();
        assert_eq!(begins, [0, 10, 20, 30, 40]);
        assert_eq!(calendar.taken.len(), 1);
        assert_eq!(book(&mut calendar, 100, 1), 100);
    }

    #[test]
    fn who_comes_early_takes_a_gap() {
        let mut calendar = Calendar::default();
        assert_eq!(book(&mut calendar, 100, 10), 100);
        assert_eq!(book(&mut calendar, 120, 10), 120);
        // Before both, between them, and not where there is no room.
        assert_eq!(book(&mut calendar, 0, 100), 0);
        assert_eq!(book(&mut calendar, 5, 11), 130);
        assert_eq!(book(&mut calendar, 5, 10), 110);
        assert_eq!(calendar.taken.len(), 1);
        assert_eq!(book(&mut calendar, 7, 0), 141);
        calendar.take(Time(200), Duration::from_nanos(1), Time(150));
        assert_eq!(calendar.taken.len(), 1, "what is over is forgotten");
    }

    #[test]
    fn nothing_overlaps() {
        let mut calendar = Calendar::default();
        let mut taken = Vec::new();
        let mut chance = 7_u64;
        for _ in 0..500 {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (from, span) = (chance >> 32 & 0xfff, 1 + (chance >> 50 & 0x1f));
            let begin = book(&mut calendar, from, span);
            assert!(begin >= from);
            taken.push((begin, begin + span));
        }
        taken.sort_unstable();
        assert!(taken.windows(2).all(|two| two[0].1 <= two[1].0));
    }
}
