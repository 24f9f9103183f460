//! Another process as the reader of a mailbox sees it: what it has written, and when to look for
//! more.

use super::schedule::{Looks, Planner};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::Instant;

/// Objects that are asked for ahead when many come.
const AHEAD: u64 = 16;

/// One that writes to this process.
#[derive(Debug)]
pub(super) struct Source {
    /// All before this number have been read.
    next: u64,
    /// Read, beyond that.
    taken: BTreeSet<u64>,
    /// Being asked for.
    asked: BTreeSet<u64>,
    /// So many are asked for at once.
    ahead: u64,
    /// When the last one came, if there was no look in vain since.
    came: Option<Instant>,
    looks: Looks,
    leaving: bool,
    ended: bool,
}

impl Source {
    pub(super) fn new(looks: &Planner) -> Self {
        Self {
            next: 1,
            taken: BTreeSet::new(),
            asked: BTreeSet::new(),
            ahead: 1,
            came: None,
            looks: Looks::new(looks, None),
            leaving: false,
            ended: false,
        }
    }

    /// It writes no more.
    pub(super) fn leaves(&mut self) {
        if !self.leaving {
            self.leaving = true;
            // At once.
            self.looks.give_up();
            self.looks.now();
        }
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving && !self.ended
    }

    /// Nobody waits for it any more.
    pub(super) fn give_up(&mut self) {
        self.looks.give_up();
        self.ahead = 1;
        self.came = None;
    }

    /// When to ask for its next object, unless that is being done.
    pub(super) fn due(&mut self) -> Option<Instant> {
        if self.asked.contains(&self.next) || self.ended {
            return None;
        }
        Some(self.looks.due())
    }

    /// Its next object, if it is not being asked for.
    pub(super) fn ask_next(&mut self) -> Option<u64> {
        self.ask(self.next).then_some(self.next)
    }

    /// The next and some after it, if they come one right after the other. Else the next one has a
    /// wait of its own.
    pub(super) fn ask_ahead(&mut self) -> Vec<u64> {
        if self.ahead == 1 {
            return Vec::new();
        }
        (self.next..self.next + self.ahead).filter(|number| self.ask(*number)).collect()
    }

    /// Whether a number is to be asked for; it is from now on.
    pub(super) fn ask(&mut self, number: u64) -> bool {
        self.is_new(number) && self.asked.insert(number)
    }

    /// What was asked for has been answered.
    pub(super) fn came(&mut self, number: u64, took: Duration) {
        self.asked.remove(&number);
        self.looks.took(took);
    }

    pub(super) fn is_new(&self, number: u64) -> bool {
        number >= self.next && !self.taken.contains(&number)
    }

    /// Whether it and all before it have been read.
    pub(super) fn is_read(&self, number: u64) -> bool {
        number < self.next
    }

    /// An object has been read: which ones can be deleted now.
    pub(super) fn taken(&mut self, number: u64) -> Vec<u64> {
        self.taken.insert(number);
        let now = Instant::now();
        if self.came.is_some_and(|came| now - came <= 2 * self.looks.round_trip()) {
            self.ahead = (self.ahead * 2).min(AHEAD);
        }
        self.came = Some(now);
        let first = self.next;
        while self.taken.remove(&self.next) {
            self.next += 1;
        }
        if self.next > first {
            self.looks.found();
        }
        (first..self.next).collect()
    }

    /// There is no such object yet. True if that was the last look.
    pub(super) fn missed(&mut self, number: u64) -> bool {
        if number != self.next {
            return false;
        }
        self.ahead = 1;
        self.came = None;
        if self.is_leaving() && self.asked.is_empty() {
            self.ended = true;
            return true;
        }
        self.looks.again();
        false
    }

    /// Looking failed: not again for so long.
    pub(super) fn troubled(&mut self, pause: Duration) {
        self.looks.put_off(pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fmi_model::{
        Bytes,
        polling::{CAP, Hint, Poller},
        prices::{Prices, Request},
    };
    use std::sync::Arc;

    fn source() -> Source {
        let prices = Prices::aws().look(Request::Get, Bytes::gib(1));
        let poller = Poller::new(prices, Hint::Fast, CAP);
        Source::new(&Planner { poller, meter: Arc::default() })
    }

    #[tokio::test]
    async fn what_comes_in_any_order_is_deleted_in_order() {
        let mut source = source();
        assert_eq!(source.ask_next(), Some(1));
        assert_eq!(source.ask_next(), None, "it is being asked for");
        assert!(source.ask(3) && source.ask(2));
        for (number, deleted) in [(3, vec![]), (1, vec![1]), (2, vec![2, 3])] {
            source.came(number, Duration::ZERO);
            assert!(source.is_new(number));
            assert_eq!(source.taken(number), deleted);
            assert!(!source.is_new(number));
        }
        assert!(source.is_read(3) && !source.is_read(4));
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_comes_without_a_wait_is_asked_for_ahead() {
        let look = Duration::from_millis(20);
        let mut source = source();
        for number in 1..=3 {
            assert_eq!(source.ask_next(), Some(number));
            tokio::time::advance(100 * look).await;
            source.came(number, look);
            source.taken(number);
            assert!(source.ask_ahead().is_empty(), "each was waited for");
        }
        assert_eq!(source.ask_next(), Some(4));
        for (number, ahead) in [(4, 5..=6), (5, 7..=9), (6, 10..=14)] {
            tokio::time::advance(look).await;
            source.came(number, look);
            source.taken(number);
            assert_eq!(source.ask_ahead(), ahead.collect::<Vec<_>>());
        }
        source.came(7, look);
        source.missed(7);
        assert!(source.ask_ahead().is_empty(), "the stream has ended");
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_look_is_the_one_that_finds_nothing() {
        let mut source = source();
        source.ask_next();
        source.leaves();
        source.came(1, Duration::ZERO);
        source.taken(1);
        assert!(source.ask(2) && source.ask(3));
        source.came(2, Duration::ZERO);
        assert!(!source.missed(2), "the third may still come");
        source.came(3, Duration::ZERO);
        assert!(!source.missed(3));
        source.ask_next();
        source.came(2, Duration::ZERO);
        assert!(source.missed(2));
        assert!(source.due().is_none());
    }
}
