//! Collectives that were called: how long they took, and what a model said before.

use super::{Bytes, Dollars, Operation, Prices, Seconds, Tier};
use fmi_model::GibSeconds;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::ops::AddAssign;

/// One collective on one rank, from when it was first awaited until it had its result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Call<'a> {
    /// What was called.
    pub operation: Operation,
    /// The channel of those of the group who are farthest apart.
    pub channel: &'a str,
    /// How far apart they are.
    pub tier: Tier,
    /// How long it took.
    pub time: Seconds,
    /// What a model said before.
    pub forecast: Option<Forecast>,
}

/// What a model says of a call.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Forecast {
    /// How long it takes, in the median.
    pub time: Seconds,
    /// This rank's share of what it costs.
    pub money: Dollars,
}

/// Calls of collectives, all together. Each rank counts its own, so that one call of four ranks is four.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Calls {
    /// How many.
    pub calls: u64,
    /// How long they took; of calls that overlap each counts in full.
    pub time: Seconds,
    /// The function's memory, held as long. Ranks of one process have equal shares of it.
    pub gib_seconds: GibSeconds,
    /// What that costs.
    pub function: Dollars,
    /// Those calls of which a model has said before how long they would take.
    pub predicted_calls: u64,
    /// How long these took.
    pub predicted_calls_time: Seconds,
    /// How long they should have taken.
    pub predicted: Seconds,
    /// What they should have cost: functions, requests and machines.
    pub predicted_cost: Dollars,
}

impl Calls {
    /// Money of memory that is held, known only when somebody asks for the bill.
    pub(super) fn charge(&mut self, prices: &Prices, memory: Bytes, ranks: usize) {
        let share = self.time / ranks.max(1) as f64;
        self.gib_seconds = memory * share;
        self.function = prices.function_second(memory) * share;
    }
}

impl AddAssign for Calls {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.time += other.time;
        self.gib_seconds += other.gib_seconds;
        self.function += other.function;
        self.predicted_calls += other.predicted_calls;
        self.predicted_calls_time += other.predicted_calls_time;
        self.predicted += other.predicted;
        self.predicted_cost += other.predicted_cost;
    }
}

/// A rank's own calls. Nobody else writes here, so its lock is free.
///
/// There are few different ones, a handful of collectives on two or three channels: they are looked
/// through in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Vec<Entry>>);

/// What calls have in common, and what they came to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(super) operation: Operation,
    pub(super) channel: Box<str>,
    pub(super) tier: Tier,
    pub(super) calls: Calls,
}

impl Ledger {
    pub(crate) fn record(&self, call: &Call<'_>) {
        let Call { operation, channel, tier, time, forecast } = *call;
        let foretold = forecast.is_some();
        let forecast = forecast.unwrap_or_default();
        let one = Calls {
            calls: 1,
            time,
            predicted_calls: u64::from(foretold),
            predicted_calls_time: if foretold { time } else { Seconds::ZERO },
            predicted: forecast.time,
            predicted_cost: forecast.money,
            ..Calls::default()
        };
        let mut entries = self.0.lock();
        let same = |entry: &&mut Entry| {
            entry.operation == operation && entry.tier == tier && *entry.channel == *channel
        };
        match entries.iter_mut().find(same) {
            Some(entry) => entry.calls += one,
            None => entries.push(Entry { operation, channel: channel.into(), tier, calls: one }),
        }
    }

    /// All that were counted so far.
    pub(crate) fn collect(&self, into: &mut Vec<Entry>) {
        into.extend(self.0.lock().iter().cloned());
    }
}
