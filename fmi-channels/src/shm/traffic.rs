//! How far rings are used while their readers keep up: those of a machine together as far as stays in a cache that its
//! cores share, each in proportion to what has lately gone through it.

use parking_lot::Mutex;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// All rings of a machine. No machine is asked how much its caches have: it is a quarter of what those of common servers do.
const IN_USE: usize = 8 << 20;
/// What is lately: between once and twice so many bytes through all rings of the process.
const LATELY: u64 = 32 << 20;

/// What has gone through all rings that this process writes. Clones count the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Traffic(Arc<AtomicU64>);

/// How far one ring is used.
#[derive(Debug)]
pub(super) struct Reach {
    /// That of all rings that this process writes.
    together: u64,
    traffic: Traffic,
    marks: Mutex<Marks>,
}

/// Counts at three moments.
#[derive(Debug)]
struct Marks {
    /// What has been counted of this ring, the last time.
    through: u64,
    /// Since when the ring's part is measured, and since when it will be next.
    since: Mark,
    next: Mark,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    ring: u64,
    all: u64,
}

/// What the rings that a process writes may use together, if so many processes share the machine.
pub(super) fn together(processes: usize) -> usize {
    IN_USE / processes.max(1)
}

impl Traffic {
    /// For a new ring, of those that are used so far together.
    pub(super) fn reach(&self, together: usize) -> Reach {
        let now = Mark { ring: 0, all: self.0.load(Ordering::Relaxed) };
        let marks = Mutex::new(Marks { through: 0, since: now, next: now });
        Reach { together: together as u64, traffic: self.clone(), marks }
    }
}

impl Reach {
    /// How far the ring is used once so many bytes have gone through it.
    pub(super) fn after(&self, through: u64) -> u64 {
        let marks = &mut *self.marks.lock();
        let new = through - marks.through;
        marks.through = through;
        let now =
            Mark { ring: through, all: self.traffic.0.fetch_add(new, Ordering::Relaxed) + new };
        if now.all - marks.next.all > LATELY {
            marks.since = std::mem::replace(&mut marks.next, now);
        }
        let (ring, all) = (now.ring - marks.since.ring, now.all - marks.since.all);
        (u128::from(self.together) * u128::from(ring) / u128::from(all.max(1))) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_share_by_their_traffic() {
        let traffic = Traffic::default();
        let [much, little] = [(), ()].map(|()| traffic.reach(1000));
        assert_eq!((much.after(0), much.after(50)), (0, 1000));
        assert_eq!((little.after(50), much.after(50)), (500, 500));
        assert_eq!((much.after(150), little.after(50)), (750, 250));
    }

    #[test]
    fn what_was_long_ago_does_not_count() {
        let traffic = Traffic::default();
        let [old, other] = [(), ()].map(|()| traffic.reach(1000));
        for step in 1..100 {
            assert_eq!(old.after(step * LATELY), 1000);
        }
        // A ring that is made now has a part of what comes from now on.
        let new = traffic.reach(1000);
        assert_eq!(new.after(10), 1000);
        assert!(old.after(99 * LATELY + 10) > 990);
        // One that was not used for long has its part once it has been.
        assert!(other.after(10) < 1);
        let parts: Vec<_> = (1..=4).map(|step| other.after(10 + step * LATELY)).collect();
        assert_eq!(parts.last(), Some(&1000), "{parts:?}");
    }

    #[test]
    fn more_processes_have_less_each() {
        assert_eq!([0, 1, 2, 8].map(together), [8 << 20, 8 << 20, 4 << 20, 1 << 20]);
    }
}
