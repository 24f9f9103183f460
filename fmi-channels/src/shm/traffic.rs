//! How far rings are used while their readers keep up: all of a machine together as far as stays in the cache.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// What is in use of all rings of a machine: as much as a cache that cores share has.
const IN_USE: u64 = 8 << 20;

/// What has gone through all rings that this process writes. Clones count the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Traffic(Arc<AtomicU64>);

/// How far one ring is used.
#[derive(Debug)]
pub(super) struct Reach {
    /// That of all rings that this process writes.
    together: u64,
    traffic: Traffic,
    /// What of this ring's traffic has been counted.
    counted: AtomicU64,
}

impl Traffic {
    /// For a ring, if so many processes share the machine.
    pub(super) fn reach(&self, processes: usize) -> Reach {
        self.part_of(IN_USE / processes.max(1) as u64)
    }

    /// For one of the rings that are used so far together.
    pub(super) fn part_of(&self, together: u64) -> Reach {
        Reach { together, traffic: self.clone(), counted: AtomicU64::new(0) }
    }
}

impl Reach {
    /// How far the ring is used once so many bytes have gone through it: in proportion to the traffic.
    pub(super) fn after(&self, through: u64) -> u64 {
        let new = through.saturating_sub(self.counted.swap(through, Ordering::Relaxed));
        let all = self.traffic.0.fetch_add(new, Ordering::Relaxed).saturating_add(new).max(1);
        // The traffic of one ring is at most that of all.
        (u128::from(self.together) * u128::from(through.min(all)) / u128::from(all)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_share_by_their_traffic() {
        let traffic = Traffic::default();
        let [much, little] = [(), ()].map(|()| traffic.part_of(1000));
        assert_eq!((much.after(0), much.after(50)), (0, 1000));
        assert_eq!((little.after(50), much.after(50)), (500, 500));
        assert_eq!((much.after(150), little.after(50)), (750, 250));
        assert_eq!(much.after(u64::MAX), 1000);
    }

    #[test]
    fn two_processes_use_more_of_a_ring_than_eight() {
        let [of_two, of_eight] = [2, 8].map(|processes| Traffic::default().reach(processes));
        assert_eq!((of_two.after(1), of_eight.after(1)), (4 << 20, 1 << 20));
    }
}
