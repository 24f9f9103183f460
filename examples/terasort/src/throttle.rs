//! As slow as a function's network.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Lets bytes leave a process at a bounded rate, those of all its ranks together.
///
/// Ranks ask before they hand messages over, and wait as long as that takes at this rate, one behind the
/// other. There is no burst.
#[derive(Debug)]
pub(crate) struct Throttle {
    /// Bytes a second.
    rate: u64,
    /// When all that was asked for so far has left.
    free: Mutex<Option<Instant>>,
}

impl Throttle {
    pub(crate) fn new(rate: u64) -> Self {
        Self { rate, free: Mutex::default() }
    }

    /// Ends when so many bytes have left, after all those before.
    pub(crate) async fn pass(&self, bytes: usize) {
        tokio::time::sleep_until(self.booked(Instant::now(), bytes).into()).await;
    }

    /// When they have left, if they come now.
    fn booked(&self, now: Instant, bytes: usize) -> Instant {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let start = free.map_or(now, |free| free.max(now));
        let left = start + Duration::from_secs_f64(bytes as f64 / self.rate as f64);
        *free = Some(left);
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_behind_the_other_and_nothing_is_saved_up() {
        let throttle = Throttle::new(1000);
        let now = Instant::now();
        let after = |millis| now + Duration::from_millis(millis);
        assert_eq!(throttle.booked(now, 500), after(500));
        assert_eq!(throttle.booked(now, 250), after(750));
        assert_eq!(throttle.booked(after(700), 0), after(750));
        assert_eq!(throttle.booked(after(5000), 1000), after(6000));
    }
}
