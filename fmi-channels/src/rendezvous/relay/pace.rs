//! How fast the relays of a job move bytes. Pure: time comes in as an argument.

use std::time::{Duration, Instant};

/// What the relays of a job have left of what they may move. Each asks for what it has read, and
/// waits before it passes it on and reads more; meanwhile its sender is held up by TCP. Turns are
/// given in the order of asking, so all that have something to move get alike.
#[derive(Debug)]
pub(in super::super) struct Pace {
    /// Bytes a second.
    rate: u64,
    /// When all that was given is moved, at this rate.
    paid: Option<Instant>,
}

/// Who has moved nothing for a while may be ahead of the rate by what it gives in this time.
const AHEAD: Duration = Duration::from_millis(250);

impl Pace {
    /// At least a byte a second.
    pub(in super::super) fn new(rate: u64) -> Self {
        Self { rate: rate.max(1), paid: None }
    }

    /// Gives a turn for so many bytes: how long to wait for it.
    pub(in super::super) fn turn(&mut self, bytes: usize, now: Instant) -> Duration {
        let nanos = bytes as u128 * 1_000_000_000 / u128::from(self.rate);
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let begin = self.paid.unwrap_or(now).max(now);
        // Beyond what a clock can say, it is never.
        let paid = begin.checked_add(cost).unwrap_or(begin);
        self.paid = Some(paid);
        paid.saturating_duration_since(now).saturating_sub(AHEAD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Moves what each of some relays has in pieces of its size, for so many seconds; how much of
    /// each.
    fn moved(pace: &mut Pace, pieces: &[usize], seconds: u64) -> Vec<u64> {
        let start = Instant::now();
        let end = start + Duration::from_secs(seconds);
        let mut moved = vec![0; pieces.len()];
        // When each asks again.
        let mut next = vec![start; pieces.len()];
        loop {
            let who = (0..pieces.len()).min_by_key(|who| next[*who]).unwrap();
            let now = next[who];
            if now >= end {
                return moved;
            }
            next[who] = now + pace.turn(pieces[who], now);
            if next[who] < end {
                moved[who] += pieces[who] as u64;
            }
        }
    }

    #[test]
    fn no_more_than_the_rate_and_a_little_ahead() {
        let all: u64 = moved(&mut Pace::new(1_000_000), &[65_536; 3], 20).iter().sum();
        assert!((19_500_000..=20_250_000).contains(&all), "{all}");
    }

    #[test]
    fn many_get_alike() {
        let shares = moved(&mut Pace::new(10_000_000), &[65_536; 40], 60);
        let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
        // Here the first to come takes all that may go ahead.
        assert!(most - least <= 2_500_000 + 2 * 65_536, "{shares:?}");
    }

    #[test]
    fn little_is_not_held_up() {
        let (start, mut pace) = (Instant::now(), Pace::new(1_000_000));
        for second in 0..100 {
            assert_eq!(pace.turn(200_000, start + Duration::from_secs(second)), Duration::ZERO);
        }
    }

    #[test]
    fn nonsense_divides_by_nothing() {
        let now = Instant::now();
        assert!(Pace::new(0).turn(10, now) > Duration::from_secs(9));
        let mut pace = Pace::new(0);
        (0..3).for_each(|_| _ = pace.turn(usize::MAX, now));
        assert_eq!(Pace::new(u64::MAX).turn(usize::MAX, now), Duration::from_millis(750));
    }
}
