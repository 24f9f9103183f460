//! What came of a plan.

use super::Route;
use crate::{
    Bytes, Seconds,
    channel::{Channel, Quantile},
};

/// What came of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// When each rank began.
    pub starts: Vec<Seconds>,
    /// When each rank was done.
    pub ends: Vec<Seconds>,
    /// What went which way.
    pub traffic: [Traffic; Route::ALL.len()],
    /// How long the ranks' own work took, all together.
    pub busy: Seconds,
    /// If those here stand for so many.
    pub alike: Option<usize>,
}

/// What went one way.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Traffic {
    /// How much was sent or published, how often.
    pub sent: u64,
    /// How much was received or fetched, how often.
    pub received: u64,
    /// Bytes that were sent or published.
    pub bytes: Bytes,
    /// Looks in vain.
    pub looks: f64,
}

impl Outcome {
    /// When the last rank was done.
    #[must_use]
    pub fn end(&self) -> Seconds {
        self.ends.iter().copied().fold(Seconds::ZERO, Seconds::max)
    }

    /// How long all ranks together were at it, if the slowest are as late as this.
    #[must_use]
    pub fn rank_time(&self) -> Seconds {
        let here: Seconds =
            self.ends.iter().zip(&self.starts).map(|(end, start)| *end - *start).sum();
        here * (self.ranks() as f64 / self.ends.len().max(1) as f64)
    }

    /// How many ranks it is of.
    #[must_use]
    pub fn ranks(&self) -> usize {
        self.alike.unwrap_or(self.ends.len())
    }

    /// How late the slowest is besides, on any of the ways that were used.
    #[must_use]
    pub fn late<'a>(&self, channel: impl Fn(Route) -> &'a Channel, quantile: Quantile) -> Seconds {
        let used = Route::ALL.into_iter().filter(|route| self.traffic[*route as usize].sent > 0);
        used.map(|route| channel(route).tail.late(self.ranks(), quantile))
            .fold(Seconds::ZERO, Seconds::max)
    }
}
