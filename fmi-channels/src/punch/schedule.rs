//! When shots are fired.
//!
//! The plain schedule repeats one pair of ports: soon at first, since whoever fired before the
//! other side was ready has lost that shot, then less and less often. But never sooner than an
//! answer could be back: a connection that is half-way open would be given up, and what the other
//! side has answered to it would meet its successor.
//!
//! A *volley* fires many pairs of ports once each. The answerer fires them in a regular beat; the
//! caller in a slightly slower one that begins as much earlier as it ends later. So like on the
//! two scales of a vernier some pair coincides, however far off the two clocks are, as long as it
//! is less than half of what the beats differ in all.

use std::time::Duration;

/// Pairs of ports of a volley.
pub const PAIRS: usize = 12;
/// Pairs of ports that are opened by shots of short range: of 2 hops, 3, and so on.
pub const RANGES: u8 = 8;
/// Pairs of fresh ports in the plain schedule of those who have had a link already.
pub const FRESH: usize = 3;
/// Rounds from fresh ports, at most.
pub const ROUNDS: u8 = 16;
/// Between two shots of a volley that one side fires: about what two connects take.
const BEAT: Duration = Duration::from_micros(40);
/// How much the two beats differ.
const FINEST: Duration = Duration::from_micros(15);
const COARSEST: Duration = Duration::from_millis(4);
const FIRST_GAP: Duration = Duration::from_millis(2);
const LAST_GAP: Duration = Duration::from_millis(250);

/// The time from shot number `shot` (from 0) of the plain schedule to the next: 2 ms at first,
/// doubling, but no less than `floor`, the round trip between the two.
#[must_use]
pub fn gap(shot: u32, floor: Duration) -> Duration {
    let doubled = FIRST_GAP * (1 << shot.saturating_sub(1).min(7));
    doubled.min(LAST_GAP).max(floor)
}

/// What a round is, if both translations refuse: shots of short range, or a volley that crosses.
#[must_use]
pub fn is_short(round: u8) -> bool {
    round % 2 == 1
}

/// How the caller's beat differs from the answerer's in a round, if a note takes `delay` from one
/// to the other. Each round looks at another stretch of time.
#[must_use]
pub fn drift(round: u8, delay: Duration) -> Duration {
    let times = [4, 2, 8, 16][usize::from(round / 2 % 4)];
    (delay * times / 32).clamp(FINEST, COARSEST)
}

/// Times of the answerer's shots after the agreed moment.
pub fn answerer(pairs: usize) -> impl Iterator<Item = Duration> {
    (0..pairs as u32).map(|pair| BEAT * pair)
}

/// Times of the caller's shots after the agreed moment less [`lead`].
pub fn caller(pairs: usize, drift: Duration) -> impl Iterator<Item = Duration> {
    (0..pairs as u32).map(move |pair| (BEAT + drift) * pair)
}

/// How much earlier than the answerer the caller begins.
#[must_use]
pub fn lead(pairs: usize, drift: Duration) -> Duration {
    drift * (pairs as u32).saturating_sub(1) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_grow_and_keep_their_bounds() {
        let gaps: Vec<_> = (0..12).map(|shot| gap(shot, Duration::ZERO).as_millis()).collect();
        assert_eq!(gaps, [2, 2, 4, 8, 16, 32, 64, 128, 250, 250, 250, 250]);
        let floor = Duration::from_millis(80);
        assert!((0..40).all(|shot| gap(shot, floor) >= floor && gap(shot, floor) <= LAST_GAP));
    }

    #[test]
    fn some_pair_of_a_volley_coincides() {
        for round in 1..=ROUNDS {
            for delay in [50, 300, 5_000, 40_000].map(Duration::from_micros) {
                let drift = drift(round, delay);
                let range = i64::try_from(lead(PAIRS, drift).as_nanos()).unwrap();
                for off in (-range..=range).step_by(usize::try_from(range / 20).unwrap()) {
                    let apart = |(ours, theirs): (Duration, Duration)| {
                        let ours = i64::try_from(ours.as_nanos()).unwrap() - range + off;
                        (ours - i64::try_from(theirs.as_nanos()).unwrap()).unsigned_abs()
                    };
                    let pairs = caller(PAIRS, drift).zip(answerer(PAIRS));
                    let best = pairs.map(apart).min().unwrap();
                    assert!(u128::from(best) <= drift.as_nanos() / 2 + 1, "{round} {off} {best}");
                }
            }
        }
    }
}
