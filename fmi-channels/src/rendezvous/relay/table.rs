//! Who waits for whom at the relay, and how many there are. Pure: no I/O, no clock.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use super::{Hello, pace::Pace};

/// What the relay holds: connections that wait (`W` is what the second one needs to reach the
/// first), and how many relays each job has.
#[derive(Debug)]
pub(in super::super) struct Table<W> {
    /// Relays at once, of a job and of all.
    job: usize,
    all: usize,
    waiting: HashMap<Key, Waiting<W>>,
    jobs: HashMap<u32, usize>,
    /// Bytes a second of a job, and what each has left. Kept until the job ends, else who hangs up
    /// and comes again would begin anew.
    rate: u64,
    paces: HashMap<u32, Arc<Mutex<Pace>>>,
    count: usize,
    next: u64,
}

/// Epoch, both processes (the lower one first), ticket.
type Key = (u32, u32, u32, super::Ticket);

#[derive(Debug)]
struct Waiting<W> {
    number: u64,
    process: u32,
    way: W,
}

/// What becomes of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum Entry<W> {
    /// It is the first. To be [ended](Table::end) with this number, also when the second has come.
    First(u64),
    /// The other one is here.
    Second(W),
}

impl<W> Table<W> {
    /// At most so many relays of a job and of all, and so many bytes a second of a job.
    pub(in super::super) fn new(job: usize, all: usize, rate: u64) -> Self {
        Self {
            job,
            all,
            waiting: HashMap::new(),
            jobs: HashMap::new(),
            rate,
            paces: HashMap::new(),
            count: 0,
            next: 0,
        }
    }

    /// The pace of a job's relays.
    pub(in super::super) fn pace(&mut self, epoch: u32) -> Arc<Mutex<Pace>> {
        let new = || Arc::new(Mutex::new(Pace::new(self.rate)));
        Arc::clone(self.paces.entry(epoch).or_insert_with(new))
    }

    /// A job has ended.
    pub(in super::super) fn forget(&mut self, epoch: u32) {
        self.paces.remove(&epoch);
    }

    /// A connection comes. `way` leads to it, if it is the first and has to wait.
    pub(in super::super) fn enter(&mut self, hello: Hello, way: W) -> Result<Entry<W>, String> {
        let key = key(&hello);
        if let Some(first) = self.waiting.get(&key)
            && first.process == hello.peer
            && let Some(first) = self.waiting.remove(&key)
        {
            return Ok(Entry::Second(first.way));
        }
        let own = self.jobs.get(&hello.epoch).copied().unwrap_or(0);
        if own >= self.job || self.count >= self.all {
            return Err(format!(
                "too many relayed links: this rendezvous has at most {} for a job and {} in all",
                self.job, self.all
            ));
        }
        *self.jobs.entry(hello.epoch).or_default() += 1;
        self.count += 1;
        self.next += 1;
        let waiting = Waiting { number: self.next, process: hello.process, way };
        // One of the same process that waits already has been given up: its way ends here.
        self.waiting.insert(key, waiting);
        Ok(Entry::First(self.next))
    }

    /// A relay ends, or has not come about.
    pub(in super::super) fn end(&mut self, hello: &Hello, number: u64) {
        let key = key(hello);
        if self.waiting.get(&key).is_some_and(|waiting| waiting.number == number) {
            self.waiting.remove(&key);
        }
        self.count -= 1;
        if let Some(own) = self.jobs.get_mut(&hello.epoch) {
            *own -= 1;
            if *own == 0 {
                self.jobs.remove(&hello.epoch);
            }
        }
    }

    /// Relays that there are, those that wait included.
    pub(in super::super) fn count(&self) -> usize {
        self.count
    }
}

fn key(hello: &Hello) -> Key {
    let (low, high) = (hello.process.min(hello.peer), hello.process.max(hello.peer));
    (hello.epoch, low, high, hello.ticket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(epoch: u32, process: u32, peer: u32, ticket: u8) -> Hello {
        Hello { epoch, process, peer, ticket: [ticket; 16] }
    }

    #[test]
    fn two_meet_once() {
        let mut table = Table::new(8, 8, 1);
        let first = table.enter(hello(7, 1, 2, 9), 'a').unwrap();
        assert_eq!(first, Entry::First(1));
        assert_eq!(table.enter(hello(7, 2, 1, 9), 'b'), Ok(Entry::Second('a')));
        table.end(&hello(7, 1, 2, 9), 1);
        assert_eq!(table.count(), 0);
        assert!(table.jobs.is_empty() && table.waiting.is_empty());
    }

    #[test]
    fn others_do_not_meet() {
        let mut table = Table::new(8, 8, 1);
        for (n, other) in
            [hello(7, 1, 2, 9), hello(7, 2, 1, 8), hello(8, 2, 1, 9), hello(7, 3, 1, 9)]
                .into_iter()
                .enumerate()
        {
            assert_eq!(table.enter(other, n), Ok(Entry::First(n as u64 + 1)));
        }
    }

    #[test]
    fn who_comes_again_replaces_itself() {
        let mut table = Table::new(8, 8, 1);
        table.enter(hello(7, 1, 2, 9), 'a').unwrap();
        assert_eq!(table.enter(hello(7, 1, 2, 9), 'b'), Ok(Entry::First(2)));
        table.end(&hello(7, 1, 2, 9), 1);
        assert_eq!(table.enter(hello(7, 2, 1, 9), 'c'), Ok(Entry::Second('b')));
    }

    #[test]
    fn the_pace_outlives_the_relays_but_not_the_job() {
        let mut table = Table::new(8, 8, 1000);
        let pace = table.pace(7);
        table.enter(hello(7, 1, 2, 9), ()).unwrap();
        table.end(&hello(7, 1, 2, 9), 1);
        assert!(Arc::ptr_eq(&pace, &table.pace(7)) && !Arc::ptr_eq(&pace, &table.pace(8)));
        table.forget(7);
        table.forget(8);
        assert!(table.paces.is_empty());
    }

    #[test]
    fn limits_of_a_job_and_of_all() {
        let mut table = Table::new(2, 3, 1);
        let enter =
            |table: &mut Table<_>, epoch, ticket| table.enter(hello(epoch, 1, 2, ticket), ());
        assert!(enter(&mut table, 7, 1).is_ok());
        assert!(enter(&mut table, 7, 2).is_ok());
        assert!(enter(&mut table, 7, 3).is_err());
        assert!(enter(&mut table, 8, 1).is_ok());
        assert!(enter(&mut table, 9, 1).is_err());
        // The second of two is no other relay.
        assert_eq!(table.enter(hello(7, 2, 1, 1), ()), Ok(Entry::Second(())));
        table.end(&hello(7, 1, 2, 1), 1);
        assert!(enter(&mut table, 9, 1).is_ok());
    }
}
