//! How well the model predicts what others have measured.
//!
//! Parameters are found in point-to-point transfers and the fan-out to 8 consumers; for collectives two more a
//! channel in those of up to 8 ranks. Everything else is predicted.

use super::{
    Fitted, KMeans, Source, Tables, algorithms, authors,
    cells::{self, Cell, Cost, Epoch},
};
use crate::{Bytes, Rate, Seconds, fit::median, prices::Prices};
use serde::Serialize;

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// All predictions.
    pub predictions: Vec<Prediction>,
    /// Rows that were left out, and why.
    pub left_out: Vec<(String, &'static str)>,
    /// What has to be met.
    pub bounds: Vec<Bound>,
    /// Where channels can be chosen.
    pub cells: Vec<Cell>,
    /// What exchanges cost.
    pub exchanges: Vec<Exchange>,
    /// What epochs of K-Means cost.
    pub epochs: Vec<Epoch>,
    /// From how many functions on direct links are cheaper than DynamoDB there.
    pub epochs_crossover: Option<f64>,
}

/// One row.
#[derive(Debug, Clone, Serialize)]
pub struct Prediction {
    /// Which set it belongs to.
    pub set: Set,
    /// The channel.
    pub source: Source,
    /// What was done.
    pub what: String,
    /// How long it took.
    pub measured: Seconds,
    /// How long it should take.
    pub predicted: Seconds,
    /// How long it should take as published.
    pub published: Option<Seconds>,
    /// Whether the authors used the row.
    pub used: bool,
}

/// Where a row belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Set {
    /// Parameters were found here.
    Seen,
    /// Fan-out to other numbers of consumers.
    FanOut,
    /// Collectives of 16 ranks and more.
    Collectives,
    /// Epochs of K-Means.
    KMeans,
}

/// Something that has to be met.
#[derive(Debug, Clone, Serialize)]
pub struct Bound {
    /// What.
    pub what: String,
    /// What was reached.
    pub value: f64,
    /// What it may be at most; at least, if `at_least`.
    pub limit: f64,
    /// Whether more is better.
    pub at_least: bool,
    /// What the published model reaches.
    pub published: Option<f64>,
}

/// What an exchange costs over each channel.
#[derive(Debug, Clone, Serialize)]
pub struct Exchange {
    /// How many receive it.
    pub consumers: usize,
    /// How much.
    pub bytes: Bytes,
    /// Of each channel.
    pub costs: Vec<Cost>,
}

impl Prediction {
    /// How far off: 0.1 is 10 %.
    #[must_use]
    pub fn error(&self) -> f64 {
        self.predicted / self.measured - 1.0
    }
}

impl Bound {
    /// Whether it is met.
    #[must_use]
    pub fn is_met(&self) -> bool {
        if self.at_least { self.value >= self.limit } else { self.value <= self.limit }
    }
}

impl Exchange {
    /// The cheapest channel, if it happens so often.
    #[must_use]
    pub fn cheapest(&self, often: Rate) -> Source {
        let money = |cost: &&Cost| cost.at(often).get();
        let least = self.costs.iter().min_by(|one, other| money(one).total_cmp(&money(other)));
        least.map_or(Source::Direct, |cost| cost.source)
    }

    /// Where the cheapest channel changes: how often, from which to which.
    #[must_use]
    pub fn crossovers(&self) -> Vec<(Rate, Source, Source)> {
        let pairs = self.costs.iter().enumerate().flat_map(|(place, one)| {
            self.costs[place + 1..].iter().filter_map(|other| one.crossover(other))
        });
        let mut rates: Vec<Rate> = pairs.collect();
        rates.sort_by(|one, other| one.get().total_cmp(&other.get()));
        let around = |rate: &Rate| {
            let (below, above) = (Rate::new(rate.get() * 0.999), Rate::new(rate.get() * 1.001));
            (*rate, self.cheapest(below), self.cheapest(above))
        };
        rates.iter().map(around).filter(|(_, below, above)| below != above).collect()
    }
}

impl Report {
    /// Whether all bounds are met.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.bounds.iter().all(Bound::is_met)
    }

    /// The predictions of a set and a channel.
    pub fn of(&self, set: Set, source: Source) -> impl Iterator<Item = &Prediction> {
        self.predictions.iter().filter(move |row| row.set == set && row.source == source)
    }
}

/// What functions, stores and machines cost when and where it was measured, as the authors say.
#[must_use]
pub fn prices() -> Prices {
    Prices::from_toml(include_str!("../../prices/aws-eu-central-1-2021.toml"))
        .expect("the file is part of this program")
}

/// Fits, predicts and compares.
#[must_use]
pub fn validate() -> Report {
    let tables = Tables::get();
    let fitted = Source::ALL.map(|source| Fitted::new(source, tables));
    let mut predictions = Vec::new();
    let mut left_out = Vec::new();
    for fitted in &fitted {
        transfers(fitted, tables, &mut predictions, &mut left_out);
        collectives(fitted, tables, &mut predictions, &mut left_out);
    }
    let direct = &fitted[0];
    predictions.extend(tables.k_means.iter().map(|row| epoch(direct, row)));
    let cells = cells::cells(&fitted, tables);
    let bounds = bounds(&predictions, &cells);
    let exchange = |consumers, bytes| Exchange {
        consumers,
        bytes: Bytes::new(bytes),
        costs: cells::exchange(&fitted, &prices(), (consumers, Bytes::new(bytes), Bytes::gib(2))),
    };
    let exchanges = [
        (1, 1),
        (1, 1_000_000),
        (1, 100_000_000),
        (8, 1_000_000),
        (8, 10_000_000),
        (64, 10_000_000),
    ];
    let (epochs, epochs_crossover) =
        cells::epochs(direct, tables, &prices(), (Bytes::gib(1), Rate::hourly(1000.0)));
    Report {
        predictions,
        left_out,
        bounds,
        cells,
        exchanges: exchanges.map(|(consumers, bytes)| exchange(consumers, bytes)).to_vec(),
        epochs,
        epochs_crossover,
    }
}

fn transfers(
    fitted: &Fitted,
    tables: &Tables,
    predictions: &mut Vec<Prediction>,
    left_out: &mut Vec<(String, &'static str)>,
) {
    let source = fitted.source;
    for row in tables.transfers.iter().filter(|row| row.source == source) {
        let Some(memory) = row.memory else { continue };
        let what = format!("{} B to 1, {memory}", row.bytes.get());
        if row.is_impossible() {
            left_out.push((format!("{source}: {what}"), CLOCKS));
            continue;
        }
        predictions.push(Prediction {
            set: Set::Seen,
            source,
            what,
            measured: row.time,
            predicted: fitted.transfer(row),
            published: Some(authors::fan_out(source, 1, row.bytes)),
            used: true,
        });
    }
    for row in tables.fan_outs.iter().filter(|row| row.source == source) {
        let which = if row.by_slowest { "last" } else { "middle" };
        let what = format!("{} B to {}, {which}", row.bytes.get(), row.consumers);
        let why = match () {
            () if row.is_broken() => Some("measured on another machine, and it took 83 s"),
            () if row.varies_consumers && !row.used => {
                Some("functions that started late, the authors say")
            }
            () => None,
        };
        if let Some(why) = why {
            left_out.push((format!("{source}: {what}"), why));
            continue;
        }
        let held_out = row.varies_consumers && row.consumers != super::fitted::SEEN;
        predictions.push(Prediction {
            set: if held_out { Set::FanOut } else { Set::Seen },
            source,
            what,
            measured: row.time(),
            predicted: fitted.fan_out(row),
            published: Some(authors::fan_out(source, row.consumers, row.bytes)),
            used: row.used,
        });
    }
}

fn collectives(
    fitted: &Fitted,
    tables: &Tables,
    predictions: &mut Vec<Prediction>,
    left_out: &mut Vec<(String, &'static str)>,
) {
    let source = fitted.source;
    for row in tables.collectives.iter().filter(|row| row.source == source) {
        let what = format!("{} of {} ranks", row.operation, row.ranks);
        if row.is_impossible() {
            left_out.push((format!("{source}: {what}"), CLOCKS));
            continue;
        }
        let published = authors::collective(source, &row.operation, row.ranks, row.bytes);
        predictions.push(Prediction {
            set: if row.ranks > super::fitted::SEEN { Set::Collectives } else { Set::Seen },
            source,
            what,
            measured: row.time,
            predicted: fitted.collective(row),
            published: Some(published),
            used: row.used,
        });
    }
}

fn epoch(direct: &Fitted, row: &KMeans) -> Prediction {
    let time = algorithms::allreduce(&direct.collective, row.ranks, cells::K_MEANS_BYTES);
    let published =
        authors::collective(Source::Direct, "allreduce", row.ranks, cells::K_MEANS_BYTES);
    Prediction {
        set: Set::KMeans,
        source: Source::Direct,
        what: format!("epoch of {} functions", row.ranks),
        measured: row.slowest,
        predicted: time.unwrap_or_default(),
        published: Some(published),
        used: true,
    }
}

const CLOCKS: &str = "clocks differ by more than it took: samples below 0";

/// What has to be met, of all predictions.
fn bounds(predictions: &[Prediction], cells: &[Cell]) -> Vec<Bound> {
    let mut bounds = Vec::new();
    let mut error = |what: String, limit: f64, rows: &dyn Fn(&&Prediction) -> bool| {
        let rows: Vec<&Prediction> = predictions.iter().filter(rows).collect();
        let off = |time: Seconds, row: &Prediction| (time / row.measured - 1.0).abs();
        let published = rows.iter().filter_map(|row| Some(off(row.published?, row)));
        bounds.push(Bound {
            what: format!("{what} ({} rows)", rows.len()),
            value: median(rows.iter().map(|row| row.error().abs())),
            limit,
            at_least: false,
            published: Some(median(published)),
        });
    };
    for source in Source::ALL {
        error(format!("{source}, fan-out held out"), 0.10, &|row| {
            row.set == Set::FanOut && row.source == source
        });
    }
    for (source, limit) in [(Source::Direct, 0.20), (Source::Redis, 0.30), (Source::S3, 0.20)] {
        error(format!("{source}, collectives of 16 ranks and more"), limit, &|row| {
            row.set == Set::Collectives && row.source == source
        });
    }
    error("K-Means, slowest rank's epochs".to_owned(), 0.25, &|row| row.set == Set::KMeans);
    let hard = |cell: &&Cell| {
        cell.fan_out
            && cell.fastest() != Source::Direct
            && cell.times.iter().any(|time| time.0 == Source::Direct)
    };
    let right = cells.iter().filter(hard).filter(|cell| cell.chosen() == cell.fastest()).count();
    let others = cells.iter().filter(|cell| !hard(cell));
    bounds.push(Bound {
        what: format!(
            "right of the {} fan-outs where direct is not the fastest",
            cells.iter().filter(hard).count()
        ),
        value: right as f64,
        limit: 7.0,
        at_least: true,
        published: None,
    });
    bounds.push(Bound {
        what: format!("most that is lost in any other of {} cells", cells.len()),
        value: others.map(Cell::lost).fold(0.0, f64::max),
        limit: 0.10,
        at_least: false,
        published: None,
    });
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_was_promised_is_met() {
        let report = validate();
        let missed: Vec<_> = report.bounds.iter().filter(|bound| !bound.is_met()).collect();
        assert!(missed.is_empty(), "{missed:#?}");
        // A quarter of all rows is no prediction at all, and none was dropped in silence.
        assert_eq!(report.left_out.len(), 1 + 1 + 1 + 4, "{:#?}", report.left_out);
    }

    #[test]
    fn direct_links_cost_more_for_few() {
        let report = validate();
        let crossover = report.epochs_crossover.unwrap();
        assert!((4.0..8.0).contains(&crossover), "{crossover}");
        for exchange in &report.exchanges {
            let seldom = exchange.cheapest(Rate::hourly(10.0));
            assert_eq!(seldom, Source::S3, "a machine for ten exchanges an hour");
        }
    }

    /// Run with `FMI_WRITE=1`, it writes the file.
    #[test]
    fn the_profile_that_is_shipped_is_what_was_found() {
        let shipped = crate::Profile::shipped("aws-lambda").unwrap();
        let found = super::super::profile(Tables::get(), &shipped);
        if std::env::var_os("FMI_WRITE").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles/aws-lambda.toml");
            let old = std::fs::read_to_string(path).unwrap();
            let comments: String = old
                .lines()
                .take_while(|line| line.starts_with('#'))
                .map(|line| format!("{line}\n"))
                .collect();
            std::fs::write(path, comments + &found.to_toml()).unwrap();
        }
        assert_eq!(found, shipped);
    }

    #[test]
    fn it_comes_to_the_same_every_time() {
        let tables = Tables::get();
        let fitted = || Fitted::new(Source::Redis, tables);
        assert_eq!(fitted(), fitted());
    }
}
