//! Chance from a seed: the same seed, the same throws.

use fmi_actors::mix;
use std::time::Duration;

/// A sequence of throws (splitmix64).
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// True in `chance` of all throws; without a throw where that is none.
    pub(super) fn hits(&mut self, chance: f64) -> bool {
        chance > 0.0 && self.fraction() < chance
    }

    /// A time up to `most`.
    pub(super) fn up_to(&mut self, most: Duration) -> Duration {
        if most.is_zero() { most } else { most.mul_f64(self.fraction()) }
    }

    /// In `0..1`.
    pub(super) fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        (mix(self.0) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::Dice;
    use std::time::Duration;

    #[test]
    fn throws_are_fair_and_the_same_again() {
        let mut dice = Dice::new(3);
        let hits = (0..10_000).filter(|_| dice.hits(0.05)).count();
        assert!((400..600).contains(&hits), "{hits} of 10000 at 5 %");
        let most = Duration::from_micros(7);
        let spans = |seed| {
            let mut dice = Dice::new(seed);
            (0..100).map(|_| dice.up_to(most)).collect::<Vec<_>>()
        };
        assert!(spans(1).iter().all(|span| *span < most));
        assert_eq!(spans(1), spans(1));
        assert_ne!(spans(1), spans(2));
    }
}
