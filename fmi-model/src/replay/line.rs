//! Going on in a straight line: what comes of a large plan, given what came of small ones.

use super::{Outcome, Traffic};
use crate::{Bytes, Seconds};

impl Outcome {
    /// What comes of the plan among `ranks`, if this came of it among fewer, and `far` among some more
    /// than that: the time grows by as much with each further rank. What all ranks do together grows
    /// with their number, or with its square, whichever is nearer to what it did from here to `far`.
    #[must_use]
    pub fn beyond(&self, far: &Self, ranks: usize) -> Self {
        let (near, to, size) = (self.ranks() as f64, far.ranks() as f64, ranks as f64);
        let at = (size - near) / (to - near);
        let sum = |one: f64, other: f64| {
            // Between twice and four times as much for twice as many ranks.
            let squared = other * other * near * near * near > one * one * to * to * to;
            match squared {
                true => line(one / (near - 1.0), other / (to - 1.0), at) * (size - 1.0),
                false => line(one, other, at),
            }
        };
        self.along(far, at, sum, ranks)
    }

    /// What comes of the plan if something else than the number of ranks is larger: `at` 0 is this
    /// outcome, `at` 1 is `far`, and so on.
    #[must_use]
    pub fn further(&self, far: &Self, at: f64) -> Self {
        self.along(far, at, |one, other| line(one, other, at), self.ranks())
    }

    fn along(&self, far: &Self, at: f64, sum: impl Fn(f64, f64) -> f64, ranks: usize) -> Self {
        let time = |of: fn(&Self) -> Seconds| line(of(self).get(), of(far).get(), at);
        let end = time(Self::end);
        let mean = time(|outcome| outcome.rank_time() / outcome.ranks().max(1) as f64).min(end);
        let traffic = std::array::from_fn(|route| {
            let (near, far): (&Traffic, &Traffic) = (&self.traffic[route], &far.traffic[route]);
            let count = |near: u64, far: u64| libm::round(sum(near as f64, far as f64)) as u64;
            Traffic {
                sent: count(near.sent, far.sent),
                received: count(near.received, far.received),
                bytes: Bytes::new(count(near.bytes.get(), far.bytes.get())),
                looks: sum(near.looks, far.looks),
            }
        });
        // Two ranks, so that the last is done at the end and all together are in the mean.
        let other = (2.0 * mean - end).max(0.0);
        Self {
            starts: vec![Seconds::ZERO; 2],
            ends: vec![Seconds::new(end), Seconds::new(other)],
            traffic,
            busy: Seconds::new(sum(self.busy.get(), far.busy.get())),
            alike: Some(ranks),
        }
    }
}

fn line(near: f64, far: f64, at: f64) -> f64 {
    (near + (far - near) * at).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::Route;

    fn outcome(ranks: usize, messages: usize) -> Outcome {
        let mut traffic = [Traffic::default(); Route::ALL.len()];
        traffic[0].sent = messages as u64;
        Outcome {
            starts: vec![Seconds::ZERO; ranks],
            ends: (1..=ranks).map(|rank| Seconds::new(rank as f64)).collect(),
            traffic,
            busy: Seconds::new(ranks as f64),
            alike: None,
        }
    }

    #[test]
    fn each_rank_adds_as_much_as_the_one_before() {
        let chain = outcome(8, 7).beyond(&outcome(16, 15), 100);
        assert_eq!((chain.end(), chain.ranks()), (Seconds::new(100.0), 100));
        assert_eq!((chain.traffic[0].sent, chain.busy), (99, Seconds::new(100.0)));
        assert_eq!(chain.rank_time(), Seconds::new(5050.0));
        let ring = outcome(8, 56).beyond(&outcome(16, 240), 100);
        assert_eq!(ring.traffic[0].sent, 9900);
    }

    #[test]
    fn more_of_the_same() {
        let more = outcome(8, 10).further(&outcome(8, 30), 2.0);
        assert_eq!((more.traffic[0].sent, more.end()), (50, Seconds::new(8.0)));
        assert_eq!(more.rank_time(), outcome(8, 0).rank_time());
    }
}
