//! What polling would have cost: waits of a known length, played through.
//!
//! ```
//! use fmi_model::{Bytes, Seconds, polling::{Hint, trial::{Arrivals, Trial}}};
//! use fmi_model::prices::{Prices, Request};
//! let prices = Prices::aws().look(Request::Get, Bytes::gib(1));
//! let trial = Trial { prices, round_trip: Seconds::new(0.03) };
//! let arrivals = Arrivals::Exponential.draw(500, 1);
//! let (interval, fixed) = trial.best_fixed(&arrivals);
//! let cheap = trial.polled(&arrivals, Hint::Cheap);
//! assert!(cheap.money / fixed.money < 1.15, "{cheap:?}, {fixed:?} every {interval}");
//! ```

use super::{CAP, Hint, LookPrices, Poller};
use crate::{Dollars, Seconds};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How long waits are: all between 0.05 and 5 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Arrivals {
    /// 1.3 s, always.
    Constant,
    /// Evenly between 0.05 and 5 s.
    Uniform,
    /// Exponential, 1 s in the mean.
    Exponential,
    /// Log-normal around 1 s, σ = 0.2: work of about the same size.
    Narrow,
    /// Log-normal around 0.5 s, σ = 1: a long tail.
    LogNormal,
    /// About 0.1 s, but one of four about 3 s.
    Bimodal,
    /// Log-normal, σ = 0.2, around a median that goes from 0.1 to 4 s and back.
    Drifting,
    /// 0.3 s for the first half, 2 s from then on, ±5 %.
    Jump,
}

impl Arrivals {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Constant,
        Self::Uniform,
        Self::Exponential,
        Self::Narrow,
        Self::LogNormal,
        Self::Bimodal,
        Self::Drifting,
        Self::Jump,
    ];

    /// Its name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Uniform => "uniform",
            Self::Exponential => "exponential",
            Self::Narrow => "narrow",
            Self::LogNormal => "log-normal",
            Self::Bimodal => "bimodal",
            Self::Drifting => "drifting",
            Self::Jump => "jump",
        }
    }

    /// So many waits, the same for the same seed.
    #[must_use]
    pub fn draw(self, count: usize, seed: u64) -> Vec<Seconds> {
        let mut dice = Dice(seed);
        let wait = |number: usize| {
            let through = number as f64 / count.max(1) as f64;
            let wait = match self {
                Self::Constant => 1.3,
                Self::Uniform => 0.05 + 4.95 * dice.even(),
                Self::Exponential => -(1.0 - dice.even()).ln(),
                Self::Narrow => (0.2 * dice.normal()).exp(),
                Self::LogNormal => 0.5 * dice.normal().exp(),
                Self::Bimodal => {
                    let median = if dice.even() < 0.25 { 3.0 } else { 0.1 };
                    median * (0.1 * dice.normal()).exp()
                }
                Self::Drifting => {
                    let hill = 1.0 - (2.0 * through - 1.0).abs();
                    0.1 * 40.0_f64.powf(hill) * (0.2 * dice.normal()).exp()
                }
                Self::Jump => {
                    let middle = if through < 0.5 { 0.3 } else { 2.0 };
                    middle * (0.95 + 0.1 * dice.even())
                }
            };
            Seconds::new(wait.clamp(0.05, 5.0))
        };
        (0..count).map(wait).collect()
    }
}

impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What looking and waiting cost, in a trial.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The prices.
    pub prices: LookPrices,
    /// How long a look takes. It sees what is there when it begins.
    pub round_trip: Seconds,
}

/// What the waits of a trial cost.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Spent {
    /// Looks that were made.
    pub looks: u64,
    /// Time from the arrivals until they were known, without the round trip that even the one who knows
    /// all needs, summed up.
    pub late: Seconds,
    /// What both cost.
    pub money: Dollars,
}

impl Trial {
    /// Looks as a [`Poller`] says that starts without any knowledge.
    #[must_use]
    pub fn polled(&self, arrivals: &[Seconds], hint: Hint) -> Spent {
        let poller = Poller::new(self.prices, hint, CAP);
        let mut spent = Spent::default();
        for arrival in arrivals {
            let mut wait = poller.begin("trial");
            let mut now = Seconds::ZERO;
            loop {
                now += wait.next_look(now, self.round_trip);
                spent.looks += 1;
                if now >= *arrival {
                    spent.late += now - *arrival;
                    wait.arrived(now + self.round_trip);
                    break;
                }
                now += self.round_trip;
            }
        }
        self.priced(spent)
    }

    /// Looks every `interval`, or back to back if that is less than a round trip.
    #[must_use]
    pub fn fixed(&self, arrivals: &[Seconds], interval: Seconds) -> Spent {
        let interval = interval.max(self.round_trip).max(CAP.interval());
        let mut spent = Spent::default();
        for arrival in arrivals {
            let looks = (*arrival / interval - 1e-9).ceil().max(1.0) as u64;
            spent.looks += looks;
            spent.late += (interval * looks - *arrival).max(Seconds::ZERO);
        }
        self.priced(spent)
    }

    /// The interval that was the cheapest, chosen when all arrivals are known, and what it costs.
    #[must_use]
    pub fn best_fixed(&self, arrivals: &[Seconds]) -> (Seconds, Spent) {
        let longest = arrivals.iter().copied().fold(self.round_trip, Seconds::max);
        let mut intervals = vec![longest];
        while let Some(last) = intervals.last().filter(|last| **last > self.round_trip) {
            intervals.push(*last / 1.003);
        }
        // Where all arrivals are alike, the best has its looks exactly there.
        let exact = arrivals.iter().take(32);
        intervals.extend(exact.flat_map(|wait| (1..=4_u64).map(|part| *wait / part as f64)));
        let costs =
            intervals.into_iter().map(|interval| (interval, self.fixed(arrivals, interval)));
        costs
            .min_by(|(_, a), (_, b)| a.money.get().total_cmp(&b.money.get()))
            .unwrap_or((longest, Spent::default()))
    }

    /// One look after the other.
    #[must_use]
    pub fn back_to_back(&self, arrivals: &[Seconds]) -> Spent {
        self.fixed(arrivals, Seconds::ZERO)
    }

    /// Whoever knows when things come looks once, then.
    #[must_use]
    pub fn oracle(&self, arrivals: &[Seconds]) -> Spent {
        self.priced(Spent { looks: arrivals.len() as u64, ..Spent::default() })
    }

    fn priced(&self, spent: Spent) -> Spent {
        let money = self.prices.look * spent.looks + self.prices.wait * spent.late;
        Spent { money, ..spent }
    }
}

/// Chance from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    /// Evenly from 0 to 1.
    fn even(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Normal, of mean 0 and variance 1 (Box and Muller).
    fn normal(&mut self) -> f64 {
        let (radius, turn) = (1.0 - self.even(), self.even());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * turn).cos()
    }
}
