//! What measurements say of a plan beyond what its steps say.
//!
//! A few parameters a channel tell most of how long plans take, and not all of it: that a loop is short enough to be
//! unrolled, that three processes on two cores always end up on the same one. Who has measured a plan
//! [notes](Corrections::note) what had been foretold beside what it took; what is foretold later is bent accordingly.
//!
//! For each number of ranks a plan has a curve from foretold to measured times. It never falls, so what is longer stays
//! longer: whatever is monotone without corrections, is with them.
//!
//! ```
//! use fmi_model::{Seconds, correction::Corrections};
//! let mut tcp = Corrections::default();
//! let us = |time: f64| Seconds::new(time * 1e-6);
//! tcp.note("bcast", "chain", 4, &[(us(10.0), us(20.0)), (us(1000.0), us(500.0))]);
//! let chain = tcp.of("bcast", "chain").unwrap();
//! let factor = |foretold: f64| chain.factor(4, us(foretold));
//! let is = |foretold: f64, times: f64| assert!((factor(foretold) - times).abs() < 1e-9);
//! is(10.0, 2.0);
//! is(1000.0, 0.5);
//! is(100.0, 1.0); // half way from one to the other
//! is(1.0, 2.0); // as at the ends
//! is(1e6, 0.5);
//! assert_eq!(tcp.of("bcast", "linear"), None);
//! ```

use crate::Seconds;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What measurements on a channel say of plans beyond what its parameters say: with all ranks in one process on
/// the channel inside it, with a process each on any other.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Corrections {
    /// By collective and algorithm.
    plans: BTreeMap<String, BTreeMap<String, Correction>>,
}

/// That of a plan.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<Curve>", into = "Vec<Curve>")]
pub struct Correction {
    /// From few ranks to many, each number once.
    curves: Vec<Curve>,
}

/// That of a plan among so many ranks. Written as a list of numbers: the ranks, and of each point both times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f64>", into = "Vec<f64>")]
struct Curve {
    ranks: usize,
    /// From left to right, none below the one before. At least one.
    points: Vec<Point>,
}

/// In microseconds, positive: numbers that are written short and read again to the last bit.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    foretold: f64,
    measured: f64,
}

impl Corrections {
    /// Whether nothing was noted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.plans.is_empty()
    }

    /// Of how many plans something was noted.
    #[must_use]
    pub fn plans(&self) -> usize {
        self.plans.values().map(BTreeMap::len).sum()
    }

    /// Notes what was foretold of a plan among so many ranks, and what was measured then, in place of what was
    /// noted. Times that are not positive say nothing.
    pub fn note(
        &mut self,
        collective: &str,
        algorithm: &str,
        ranks: usize,
        times: &[(Seconds, Seconds)],
    ) {
        let Some(curve) = Curve::through(ranks, times) else { return };
        let plans = self.plans.entry(collective.to_owned()).or_default();
        let curves = &mut plans.entry(algorithm.to_owned()).or_default().curves;
        curves.retain(|other| other.ranks != ranks);
        let at = curves.partition_point(|other| other.ranks < ranks);
        curves.insert(at, curve);
    }

    /// What was noted of a plan.
    #[must_use]
    pub fn of(&self, collective: &str, algorithm: &str) -> Option<&Correction> {
        self.plans.get(collective)?.get(algorithm)
    }

    /// With three significant digits: more is not known.
    #[must_use]
    pub fn rounded(mut self) -> Self {
        let plans = self.plans.values_mut().flat_map(BTreeMap::values_mut);
        for curve in plans.flat_map(|plan| &mut plan.curves) {
            let rounded = |points: &[Point]| points.iter().map(Point::rounded).collect::<Vec<_>>();
            // A mean has more digits again.
            curve.points = rounded(&rising(rounded(&curve.points)));
        }
        self
    }
}

impl Correction {
    /// How many times longer than foretold the plan takes. Between numbers of ranks that were measured it is between
    /// what they say, beyond them as at the last.
    #[must_use]
    pub fn factor(&self, ranks: usize, foretold: Seconds) -> f64 {
        if foretold <= Seconds::ZERO {
            return 1.0;
        }
        let above = self.curves.partition_point(|curve| curve.ranks < ranks);
        let below = above.checked_sub(1).map(|below| &self.curves[below]);
        libm::exp(match (below, self.curves.get(above)) {
            (None, None) => 0.0,
            (Some(only), None) | (None, Some(only)) => only.bend(foretold),
            (Some(below), Some(above)) => {
                let [low, here, high] = [below.ranks, ranks, above.ranks].map(log);
                let (one, other) = (below.bend(foretold), above.bend(foretold));
                one + (other - one) * (here - low) / (high - low)
            }
        })
    }
}

impl Curve {
    /// Through pairs of what was foretold and what was measured; `None` if no pair is positive.
    fn through(ranks: usize, times: &[(Seconds, Seconds)]) -> Option<Self> {
        let point = |(foretold, measured): &(Seconds, Seconds)| Point {
            foretold: foretold.get() * 1e6,
            measured: measured.get() * 1e6,
        };
        let points: Vec<Point> = times.iter().map(point).filter(Point::is_sound).collect();
        (!points.is_empty()).then(|| Self { ranks, points: rising(points) })
    }

    /// The logarithm of how many times longer it takes than foretold: in a straight line from one point to the next.
    fn bend(&self, foretold: Seconds) -> f64 {
        let here = foretold.get() * 1e6;
        let above = self.points.partition_point(|point| point.foretold < here);
        let (first, last) = (self.points[0], self.points[self.points.len() - 1]);
        match (above.checked_sub(1).map(|below| self.points[below]), self.points.get(above)) {
            (None, _) => first.bend(),
            (_, None) => last.bend(),
            (Some(below), Some(above)) if libm::log(above.foretold) > libm::log(below.foretold) => {
                let [low, at, high] = [below.foretold, here, above.foretold].map(libm::log);
                below.bend() + (above.bend() - below.bend()) * (at - low) / (high - low)
            }
            // Too near to each other for a line between them.
            (Some(below), Some(_)) => below.bend(),
        }
    }
}

impl Point {
    fn bend(self) -> f64 {
        libm::log(self.measured / self.foretold)
    }

    fn rounded(&self) -> Self {
        let digits = |time: f64| format!("{time:.2e}").parse().unwrap_or(time);
        Self { foretold: digits(self.foretold), measured: digits(self.measured) }
    }

    /// Whether both times can be; a factor between them can be computed then.
    fn is_sound(&self) -> bool {
        [self.foretold, self.measured].iter().all(|time| (1e-9..=1e15).contains(time))
    }
}

/// The points from left to right. Of those one above the other, and then of those that fall, the (geometric) mean
/// counts: what is foretold to take longer was measured no shorter then.
fn rising(mut points: Vec<Point>) -> Vec<Point> {
    points.sort_by(|one, other| one.foretold.total_cmp(&other.foretold));
    let points: Vec<Point> = points
        .chunk_by(|one, other| one.foretold == other.foretold)
        .map(|same| Point { measured: mean(same), ..same[0] })
        .collect();
    // Runs of points that have one height, none above the next.
    let mut runs: Vec<Vec<Point>> = Vec::new();
    for point in points {
        let mut run = vec![point];
        while let Some(before) = runs.pop_if(|before| before[0].measured > run[0].measured) {
            run = [before, run].concat();
            let mean = mean(&run);
            run.iter_mut().for_each(|point| point.measured = mean);
        }
        runs.push(run);
    }
    runs.concat()
}

/// What was measured, in the geometric mean.
fn mean(points: &[Point]) -> f64 {
    if let [only] = points {
        return only.measured;
    }
    let logs: f64 = points.iter().map(|point| libm::log(point.measured)).sum();
    libm::exp(logs / points.len() as f64)
}

impl From<Correction> for Vec<Curve> {
    fn from(correction: Correction) -> Self {
        correction.curves
    }
}

impl TryFrom<Vec<Curve>> for Correction {
    type Error = String;

    fn try_from(curves: Vec<Curve>) -> Result<Self, String> {
        if curves.windows(2).all(|pair| pair[0].ranks < pair[1].ranks) {
            return Ok(Self { curves });
        }
        let ranks: Vec<_> = curves.iter().map(|curve| curve.ranks).collect();
        Err(format!("corrections of a plan go from few ranks to many, not {ranks:?}"))
    }
}

impl From<Curve> for Vec<f64> {
    fn from(curve: Curve) -> Self {
        let points = curve.points.iter().flat_map(|point| [point.foretold, point.measured]);
        std::iter::once(curve.ranks as f64).chain(points).collect()
    }
}

impl TryFrom<Vec<f64>> for Curve {
    type Error = String;

    fn try_from(numbers: Vec<f64>) -> Result<Self, String> {
        let bad = |why: &str| {
            format!(
                "{numbers:?} is no correction: {why} (ranks, then foretold and measured µs, again and again)"
            )
        };
        let Some((&ranks, times)) = numbers.split_first() else { return Err(bad("it is empty")) };
        if !(1.0..1e9).contains(&ranks) || ranks.fract() != 0.0 {
            return Err(bad("the first number is how many ranks there were"));
        }
        let pairs = times.chunks_exact(2);
        if times.is_empty() || !pairs.remainder().is_empty() {
            return Err(bad("times are pairs"));
        }
        let points: Vec<Point> =
            pairs.map(|pair| Point { foretold: pair[0], measured: pair[1] }).collect();
        if !points.iter().all(Point::is_sound) {
            return Err(bad("times are positive"));
        }
        let rises = |pair: &[Point]| {
            pair[0].foretold < pair[1].foretold && pair[0].measured <= pair[1].measured
        };
        if !points.windows(2).all(rises) {
            return Err(bad("what is foretold rises, and what is measured does not fall"));
        }
        Ok(Self { ranks: ranks as usize, points })
    }
}

fn log(ranks: usize) -> f64 {
    libm::log(ranks as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn us(time: f64) -> Seconds {
        Seconds::new(time * 1e-6)
    }

    fn factor(all: &Corrections, ranks: usize, foretold: Seconds) -> f64 {
        all.of("scan", "chain").map_or(1.0, |chain| chain.factor(ranks, foretold))
    }

    fn noted(ranks: usize, times: &[(f64, f64)]) -> Corrections {
        let mut all = Corrections::default();
        let times: Vec<_> = times.iter().map(|(one, other)| (us(*one), us(*other))).collect();
        all.note("scan", "chain", ranks, &times);
        all
    }

    #[test]
    fn between_ranks_and_beyond_them() {
        let mut all = noted(2, &[(1.0, 2.0)]);
        all.note("scan", "chain", 8, &[(us(1.0), us(8.0))]);
        let at = |ranks| (factor(&all, ranks, us(5.0)) * 1e9).round() / 1e9;
        assert_eq!([1, 2, 4, 8, 1000].map(at), [2.0, 2.0, 4.0, 8.0, 8.0]);
        assert_eq!((all.plans(), all.is_empty()), (1, false));
        // In place of what was noted.
        all.note("scan", "chain", 8, &[(us(1.0), us(4.0))]);
        assert!((factor(&all, 8, us(1.0)) - 4.0).abs() < 1e-9);
    }

    #[test]
    fn what_falls_is_levelled() {
        let all = noted(2, &[(2.0, 1.0), (1.0, 4.0), (4.0, 8.0), (4.0, 2.0), (0.0, 1.0)]);
        let curve = &all.plans["scan"]["chain"].curves[0];
        let times: Vec<(f64, f64)> = curve
            .points
            .iter()
            .map(|point| (point.foretold, (point.measured * 1e9).round() / 1e9))
            .collect();
        assert_eq!(times, [(1.0, 2.0), (2.0, 2.0), (4.0, 4.0)]);
        assert!(noted(2, &[(0.0, 1.0), (1.0, -1.0)]).is_empty());
        assert_eq!(Correction::default().factor(2, us(1.0)), 1.0);
    }

    #[test]
    fn what_is_written_has_three_digits() {
        let all = noted(2, &[(1.2345, 4.5678), (2.3456, 3.4567), (9.996e14, 9.996e14)]).rounded();
        let text = toml::to_string(&all).unwrap();
        assert_eq!(
            text,
            "[scan]\nchain = [[2.0, 1.23, 3.97, 2.35, 3.97, 1000000000000000.0, 1000000000000000.0]]\n"
        );
        assert_eq!(toml::from_str::<Corrections>(&text).unwrap(), all);
    }

    #[test]
    fn what_is_no_curve_is_refused() {
        for (wrong, why) in [
            ("[]", "empty"),
            ("[2]", "pairs"),
            ("[2, 1.0]", "pairs"),
            ("[2.5, 1.0, 1.0]", "how many ranks"),
            ("[-2, 1.0, 1.0]", "how many ranks"),
            ("[2, 1.0, 0.0]", "positive"),
            ("[2, 1.0, 2.0, 1.0, 3.0]", "rises"),
            ("[2, 1.0, 2.0, 2.0, 1.0]", "does not fall"),
        ] {
            let text = format!("[scan]\nchain = [{wrong}]");
            let error = toml::from_str::<Corrections>(&text).unwrap_err().to_string();
            assert!(error.contains(why), "{wrong}: {error}");
        }
        let twice = "[scan]\nchain = [[3, 1, 1], [3, 2, 2]]";
        let error = toml::from_str::<Corrections>(twice).unwrap_err().to_string();
        assert!(error.contains("from few ranks to many, not [3, 3]"), "{error}");
    }

    proptest! {
        /// Whatever was measured: what is foretold to take longer takes no shorter, and it is read as it is written.
        #[test]
        fn what_takes_longer_still_does(
            curves in prop::collection::vec(
                (1..40_usize, prop::collection::vec((1e-3..1e7_f64, 1e-3..1e7_f64), 0..6)), 0..4),
            ranks in 1..100_usize, short in 1e-4..1e8_f64, more in 1.0..100.0_f64, digits: bool,
        ) {
            let mut all = Corrections::default();
            for (ranks, times) in curves {
                let times: Vec<_> = times.iter().map(|(one, other)| (us(*one), us(*other))).collect();
                all.note("scan", "chain", ranks, &times);
            }
            let all = if digits { all.rounded() } else { all };
            let time = |foretold: f64| foretold * factor(&all, ranks, us(foretold));
            let (less, more) = (time(short), time(short * more));
            prop_assert!(less > 0.0 && more.is_finite());
            prop_assert!(less <= more * (1.0 + 1e-9), "{} {}", less, more);
            let text = toml::to_string(&all).unwrap();
            prop_assert_eq!(toml::from_str::<Corrections>(&text).unwrap(), all);
        }
    }
}
