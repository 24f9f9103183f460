//! What a plan takes and costs, all together.

use crate::{
    Dollars, DollarsPerSecond, Rate, Seconds,
    channel::Quantile,
    prices::Prices,
    replay::{Outcome, Route, Wires},
};
use serde::{Deserialize, Serialize};

/// What something takes and costs.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Estimate {
    /// How long, in the median.
    pub time: Seconds,
    /// How long at most in 19 of 20 runs.
    pub late: Seconds,
    /// How much, in the median.
    pub money: Dollars,
}

/// What is paid for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Costs {
    /// The list of prices.
    pub prices: Prices,
    /// A process, while it waits.
    pub process: DollarsPerSecond,
    /// How often it happens. Machines that have to run all the time are shared by all times that it
    /// happens; if it is not known, they are paid while it lasts.
    pub often: Option<Rate>,
}

impl Estimate {
    /// What came of a plan, as time and money, if all takes so many times longer.
    #[must_use]
    pub fn of(
        outcome: &Outcome,
        times: f64,
        wires: &Wires<'_>,
        processes: usize,
        costs: &Costs,
    ) -> Self {
        let late = |quantile| outcome.late(|route| wires.channel(route), quantile) * times;
        let begin = outcome.starts.iter().copied().fold(Seconds::new(f64::MAX), Seconds::min);
        let end = (outcome.end() - begin.min(outcome.end())) * times;
        let tail = late(Quantile::MEDIAN);
        let time = end + tail;
        // All ranks of a process are paid once; the slowest keeps all others waiting half as long.
        let share = processes as f64 / outcome.ranks().max(1) as f64;
        let waited = outcome.rank_time() * (share * times) + tail * (processes as f64 / 2.0);
        let mut money = costs.process * waited;
        let mut machines: Vec<&str> = Vec::new();
        for route in Route::ALL {
            let (channel, traffic) = (wires.channel(route), &outcome.traffic[route as usize]);
            if traffic.sent + traffic.received == 0 {
                continue;
            }
            if let Some(requests) = channel.requests {
                let price = |kind| costs.prices.request(kind);
                money += price(requests.send) * traffic.sent;
                money += price(requests.receive) * (traffic.received as f64 + traffic.looks);
            }
            machines.extend(channel.machine.as_deref());
        }
        machines.sort_unstable();
        machines.dedup();
        for machine in machines {
            let second = costs.prices.machine_second(machine).unwrap_or_default();
            money += match costs.often {
                Some(often) => second * often.interval(),
                None => second * time,
            };
        }
        Self { time, late: end + late(Quantile::P95), money }
    }
}
