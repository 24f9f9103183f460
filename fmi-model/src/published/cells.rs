//! Choosing a channel where several were measured, and what an exchange costs.

use super::{Fitted, Source, Tables, algorithms};
use crate::{Bytes, Dollars, Rate, Seconds, channel::Channel, prices::Prices};
use serde::Serialize;

/// Something that was measured over several channels.
#[derive(Debug, Clone, Serialize)]
pub struct Cell {
    /// What it is.
    pub what: String,
    /// One sends to several.
    pub fan_out: bool,
    /// Of each channel, what was measured and what is predicted.
    pub times: Vec<(Source, Seconds, Seconds)>,
}

impl Cell {
    /// The fastest in truth.
    #[must_use]
    pub fn fastest(&self) -> Source {
        self.least(|time| time.1)
    }

    /// The fastest as predicted.
    #[must_use]
    pub fn chosen(&self) -> Source {
        self.least(|time| time.2)
    }

    /// How much longer than the fastest the chosen one takes: 0.1 is 10 %.
    #[must_use]
    pub fn lost(&self) -> f64 {
        let measured = |source| {
            let time = self.times.iter().find(|time| time.0 == source);
            time.map_or(Seconds::ZERO, |time| time.1)
        };
        // Clocks differ by up to 0.9 ms, and what took no time at all is no worse than that.
        let least = measured(self.fastest()).max(Seconds::new(1e-5));
        (measured(self.chosen()).max(least) / least) - 1.0
    }

    fn least(&self, of: impl Fn(&(Source, Seconds, Seconds)) -> Seconds) -> Source {
        let least =
            self.times.iter().min_by(|one, other| of(one).get().total_cmp(&of(other).get()));
        least.map_or(Source::Direct, |time| time.0)
    }
}

/// All of them, where more than one channel was measured.
#[must_use]
pub fn cells(fitted: &[Fitted], tables: &Tables) -> Vec<Cell> {
    let mut cells: Vec<Cell> = Vec::new();
    let mut add = |what: String, fan_out: bool, source, measured, predicted| {
        let cell = cells.iter_mut().find(|cell| cell.what == what);
        let time = (source, measured, predicted);
        match cell {
            Some(cell) => cell.times.push(time),
            None => cells.push(Cell { what, fan_out, times: vec![time] }),
        }
    };
    let find = |source| fitted.iter().find(|fitted| fitted.source == source);
    for row in &tables.transfers {
        let Some(fitted) = find(row.source) else { continue };
        let series = row.memory.map_or("later".to_owned(), |memory| memory.to_string());
        let what = format!("{} B to 1, {series}, {} runs", row.bytes.get(), row.samples);
        add(what, false, row.source, row.time, fitted.transfer(row));
    }
    for row in &tables.fan_outs {
        let Some(fitted) = find(row.source) else { continue };
        let which = if row.by_slowest { "last" } else { "middle" };
        let what = format!(
            "{} B to {}, {which} of them, {} runs",
            row.bytes.get(),
            row.consumers,
            row.samples
        );
        add(what, row.consumers > 1, row.source, row.time(), fitted.fan_out(row));
    }
    for row in &tables.collectives {
        let Some(fitted) = find(row.source) else { continue };
        let what = format!("{} of {} ranks", row.operation, row.ranks);
        add(what, false, row.source, row.time, fitted.collective(row));
    }
    cells.retain(|cell| cell.times.len() > 1);
    cells
}

/// What one exchange costs over a channel, if it happens so often.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cost {
    /// The channel.
    pub source: Source,
    /// Functions and requests.
    pub each: Dollars,
    /// The machine that has to run for it, an hour.
    pub hour: Dollars,
}

impl Cost {
    /// Of one, if it happens so often.
    #[must_use]
    pub fn at(&self, often: Rate) -> Dollars {
        self.each + self.hour / often.per_hour().max(f64::MIN_POSITIVE)
    }

    /// How often it costs the same over both, if it ever does.
    #[must_use]
    pub fn crossover(&self, other: &Self) -> Option<Rate> {
        let hourly = (self.hour - other.hour) / (other.each - self.each);
        (hourly.is_finite() && hourly > 0.0 && hourly < 1e12).then(|| Rate::hourly(hourly))
    }
}

/// What it costs that functions of so much memory send so many bytes to so many others.
#[must_use]
pub fn exchange(
    fitted: &[Fitted],
    prices: &Prices,
    (consumers, bytes, memory): (usize, Bytes, Bytes),
) -> Vec<Cost> {
    let cost = |fitted: &Fitted| {
        let channel: &Channel = &fitted.channel;
        let readers = consumers as f64;
        let time = channel.clone().in_memory(memory).fan_out(bytes, readers, readers);
        // All of them wait until the last has it.
        let mut each = prices.function_second(memory) * time * (readers + 1.0);
        if let Some(requests) = channel.requests {
            each += prices.request(requests.send);
            // The authors' consumers look every 5 ms, from the beginning.
            let looks = (time / Seconds::new(0.005)).max(1.0);
            each += prices.request(requests.receive) * (readers * looks);
        }
        let machine = channel.machine.as_ref().and_then(|name| prices.hourly.get(name));
        Cost { source: fitted.source, each, hour: machine.copied().unwrap_or_default() }
    };
    fitted.iter().map(cost).collect()
}

/// What an epoch of K-Means costs, over DynamoDB as measured and over direct links as predicted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Epoch {
    /// How many functions.
    pub ranks: usize,
    /// Over direct links: functions, and the rendezvous machine.
    pub direct: Dollars,
    /// Over DynamoDB: functions alone.
    pub dynamo: Option<Dollars>,
}

/// For functions of so much memory, and epochs so often. With the number of functions from which on
/// direct links are cheaper, found between the two numbers around it.
#[must_use]
pub fn epochs(
    direct: &Fitted,
    tables: &Tables,
    prices: &Prices,
    (memory, often): (Bytes, Rate),
) -> (Vec<Epoch>, Option<f64>) {
    let second = prices.function_second(memory);
    let machine = direct.channel.machine.as_ref().and_then(|name| prices.hourly.get(name));
    let machine = machine.copied().unwrap_or_default() / often.per_hour();
    let epoch = |row: &super::KMeans| {
        let time = algorithms::allreduce(&direct.collective, row.ranks, K_MEANS_BYTES);
        let functions = |time: Seconds| second * time * row.ranks as f64;
        Epoch {
            ranks: row.ranks,
            direct: functions(time.unwrap_or_default()) + machine,
            dynamo: row.dynamo.map(functions),
        }
    };
    let epochs: Vec<Epoch> = tables.k_means.iter().map(epoch).collect();
    let gap = |epoch: &Epoch| Some((epoch.direct - epoch.dynamo?).get());
    let crossover = epochs.windows(2).find_map(|pair| {
        let (before, after) = (gap(&pair[0])?, gap(&pair[1])?);
        let span = (pair[1].ranks - pair[0].ranks) as f64;
        (before > 0.0 && after <= 0.0)
            .then(|| pair[0].ranks as f64 + span * before / (before - after))
    });
    (epochs, crossover)
}

/// An epoch's allreduce: 85 doubles.
pub const K_MEANS_BYTES: Bytes = Bytes::new(680);
