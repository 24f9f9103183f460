//! Stragglers: of many things that happen at once, the slowest counts.

use crate::Seconds;
use serde::{Deserialize, Serialize};

/// How much later than one the slowest of many is: the generalised extreme value distribution.
///
/// With `index` 0 what happens has an exponential tail, and the slowest of n is late by `scale · ln n`
/// in the median; with an index ξ above 0 the tail is a power law, and the lateness grows as n to the power ξ. One alone is
/// not late in the median: that is in the channel's other times.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tail {
    /// The unit of lateness.
    pub scale: Seconds,
    /// How heavy the tail is, ξ ≥ 0.
    pub index: f64,
}

/// Which share of the runs is as fast as this, in 0..1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Quantile(f64);

impl Quantile {
    /// Every second run is faster.
    pub const MEDIAN: Self = Self(0.5);
    /// One in twenty is slower.
    pub const P95: Self = Self(0.95);

    /// Any other, from 0.001 to 0.999.
    #[must_use]
    pub const fn new(share: f64) -> Self {
        if share.is_nan() { Self::MEDIAN } else { Self(share.clamp(0.001, 0.999)) }
    }

    /// The share.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl Tail {
    /// Nobody is ever late.
    pub const NONE: Self = Self { scale: Seconds::ZERO, index: 0.0 };

    /// Whether nobody is ever late.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.scale == Seconds::ZERO
    }

    /// How late the slowest of so many is.
    #[must_use]
    pub fn late(&self, of: usize, quantile: Quantile) -> Seconds {
        self.slowest(of as f64, quantile)
    }

    /// As [`late`](Self::late), of a number between whole ones, as the middle of an even one is.
    pub(super) fn slowest(&self, of: f64, quantile: Quantile) -> Seconds {
        if self.is_none() || of <= 0.0 {
            return Seconds::ZERO;
        }
        // How often as many as would bring the median this far.
        self.of_times(of * core::f64::consts::LN_2 / -libm::log(quantile.get()))
    }

    /// How late one alone is, where `chance` in 0..1 says how lucky it was: of many, each with a chance of its
    /// own, the slowest is as late as [`late`](Self::late) says.
    ///
    /// > *P(one ≤ x) = exp(−ln 2 · (1 + ξ x / scale)^(−1/ξ))*, and the half that would be early is on time.
    #[must_use]
    pub fn one(&self, chance: f64) -> Seconds {
        if self.is_none() {
            return Seconds::ZERO;
        }
        self.of_times(core::f64::consts::LN_2 / -libm::log(chance.clamp(0.0, 1.0)))
    }

    /// How late the median of the slowest of so many is.
    fn of_times(&self, times: f64) -> Seconds {
        let late = match self.index {
            0.0 => libm::log(times),
            index => (libm::pow(times, index) - 1.0) / index,
        };
        self.scale * late.max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_of_many_is_late() {
        let exponential = Tail { scale: Seconds::new(0.01), index: 0.0 };
        let power = Tail { scale: Seconds::new(0.01), index: 0.5 };
        for tail in [exponential, power] {
            assert_eq!(tail.late(1, Quantile::MEDIAN), Seconds::ZERO);
            let median: Vec<_> = (1..100).map(|of| tail.late(of, Quantile::MEDIAN)).collect();
            assert!(median.is_sorted());
            assert!(tail.late(8, Quantile::P95) > tail.late(8, Quantile::MEDIAN));
            assert_eq!(tail.late(1, Quantile::new(0.1)), Seconds::ZERO);
        }
        let late = exponential.late(16, Quantile::MEDIAN).get();
        assert!((late - 0.01 * 16f64.ln()).abs() < 1e-12);
        let late = power.late(16, Quantile::MEDIAN).get();
        assert!((late - 0.06).abs() < 1e-12);
    }
    #[test]
    fn the_slowest_of_many_single_ones_is_as_late_as_is_said() {
        for index in [0.0, 0.5] {
            let tail = Tail { scale: Seconds::new(0.01), index };
            for of in [1, 2, 16, 16_384] {
                for quantile in [Quantile::MEDIAN, Quantile::P95, Quantile::new(0.2)] {
                    // All of them are below the share q if each is below its root.
                    let one = tail.one(quantile.get().powf(1.0 / of as f64));
                    let many = tail.late(of, quantile);
                    assert!((one - many).get().abs() < 1e-9, "{index}, {of}: {one} and {many}");
                }
            }
            assert_eq!(tail.one(0.0), Seconds::ZERO);
            assert_eq!(tail.one(0.49), Seconds::ZERO);
            assert!(tail.one(0.51) > Seconds::ZERO);
        }
        assert_eq!(Tail::default().one(0.999), Seconds::ZERO);
    }
}
