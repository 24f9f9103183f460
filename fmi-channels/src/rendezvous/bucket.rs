//! How often somebody may do something. Without a clock of its own.

use std::time::{Duration, Instant};

/// A token bucket, kept as the time at which it will be full again.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    /// In which a token comes.
    interval: Duration,
    /// In which it fills.
    depth: Duration,
    full: Instant,
}

impl Bucket {
    /// A full bucket of `burst` tokens, into which `rate` come a second; both at least 1.
    pub(super) fn new(burst: u32, rate: u32, now: Instant) -> Self {
        let interval = Duration::from_secs(1) / rate.max(1);
        Self { interval, depth: interval.saturating_mul(burst.max(1)), full: now }
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let full = self.full.max(now) + self.interval;
        let there = full.saturating_duration_since(now) <= self.depth;
        if there {
            self.full = full;
        }
        there
    }

    /// Whether it is full: nothing was taken for long.
    pub(super) fn is_full(&self, now: Instant) -> bool {
        self.full <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(3, 10, start);
        let taken = |bucket: &mut Bucket, at: u64| {
            (0..10).filter(|_| bucket.take(start + Duration::from_millis(at))).count()
        };
        assert_eq!(taken(&mut bucket, 0), 3);
        assert_eq!(taken(&mut bucket, 99), 0);
        assert_eq!(taken(&mut bucket, 100), 1);
        assert_eq!(taken(&mut bucket, 350), 2);
        assert_eq!(taken(&mut bucket, 100_000), 3, "no more than it holds");
    }

    #[test]
    fn nonsense_divides_by_nothing() {
        let start = Instant::now();
        assert!(Bucket::new(0, 0, start).take(start));
        assert!(Bucket::new(u32::MAX, u32::MAX, start).take(start));
    }
}
