//! The tables, as they are in the files.

use super::Source;
use crate::{Bytes, Seconds};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use std::sync::LazyLock;

/// All tables.
#[derive(Debug)]
pub struct Tables {
    /// One function to another.
    pub transfers: Vec<Transfer>,
    /// One function to many.
    pub fan_outs: Vec<FanOut>,
    /// FMI's collectives.
    pub collectives: Vec<Collective>,
    /// LambdaML's K-Means, over FMI.
    pub k_means: Vec<KMeans>,
}

/// One function sends to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Transfer {
    /// The channel.
    pub source: Source,
    /// Memory of the functions; `None`: not recorded, and slower.
    pub memory: Option<Bytes>,
    /// What is sent.
    pub bytes: Bytes,
    /// The median; clocks differ, so it can be negative.
    pub time: Seconds,
    /// How many samples there are, and how many were negative.
    pub samples: u32,
    /// Of these, those that cannot be.
    pub negative: u32,
}

/// One function sends the same to many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FanOut {
    /// The channel.
    pub source: Source,
    /// How many receive it.
    pub consumers: usize,
    /// What is sent.
    pub bytes: Bytes,
    /// Median of the last consumer.
    pub slowest: Seconds,
    /// Median of the middle consumer.
    pub typical: Seconds,
    /// Whether the authors judge by the last one, or the middle one.
    pub by_slowest: bool,
    /// Whether it is of the series that varies the number of consumers.
    pub varies_consumers: bool,
    /// How many samples there are.
    pub samples: u32,
    /// Whether the authors used it.
    pub used: bool,
}

/// A collective of FMI's.
#[derive(Debug, Clone, PartialEq)]
pub struct Collective {
    /// The channel.
    pub source: Source,
    /// Its name.
    pub operation: String,
    /// How many ranks.
    pub ranks: usize,
    /// What each contributes.
    pub bytes: Bytes,
    /// The median.
    pub time: Seconds,
    /// What nine of ten runs stay below.
    pub slow: Seconds,
    /// How many samples there are, and how many were negative.
    pub samples: u32,
    /// Of these, those that cannot be.
    pub negative: u32,
    /// Whether the authors used it.
    pub used: bool,
}

/// An epoch of K-Means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KMeans {
    /// How many functions.
    pub ranks: usize,
    /// The median over epochs of what the slowest spends in communication.
    pub slowest: Seconds,
    /// The same over DynamoDB.
    pub dynamo: Option<Seconds>,
}

impl Tables {
    /// Those of this crate.
    #[must_use]
    pub fn get() -> &'static Self {
        static TABLES: LazyLock<Tables> = LazyLock::new(Tables::load);
        &TABLES
    }

    fn load() -> Self {
        let transfers = read::<TransferRow>(include_str!("../../published/lambda_p2p.csv"));
        let fan_outs = read::<FanOutRow>(include_str!("../../published/lambda_fanout.csv"));
        let collectives =
            read::<CollectiveRow>(include_str!("../../published/lambda_collectives.csv"));
        let k_means = read::<KMeansRow>(include_str!("../../published/lambdaml_kmeans.csv"));
        let dynamo = |ranks: usize| {
            let row = k_means.iter().find(|row| row.system == "dynamodb" && row.ranks == ranks);
            row.map(|row| ms(row.slowest_rank_median_ms))
        };
        let over_fmi = k_means.iter().filter(|row| row.system == "fmi");
        Self {
            // UDT is another protocol, which FMI left.
            transfers: transfers.into_iter().filter_map(TransferRow::keep).collect(),
            fan_outs: fan_outs.into_iter().filter_map(FanOutRow::keep).collect(),
            k_means: over_fmi
                .map(|row| KMeans {
                    ranks: row.ranks,
                    slowest: ms(row.slowest_rank_median_ms),
                    dynamo: dynamo(row.ranks),
                })
                .collect(),
            collectives: collectives.into_iter().map(CollectiveRow::keep).collect(),
        }
    }
}

#[derive(Debug, Deserialize)]
struct TransferRow {
    channel: String,
    memory_mib: Option<u64>,
    bytes: u64,
    n: u32,
    median_ms: f64,
    n_negative: u32,
}

impl TransferRow {
    fn keep(self) -> Option<Transfer> {
        let source = Source::ALL.into_iter().find(|source| source.name() == self.channel)?;
        Some(Transfer {
            source,
            memory: self.memory_mib.map(Bytes::mib),
            bytes: Bytes::new(self.bytes),
            time: ms(self.median_ms),
            samples: self.n,
            negative: self.n_negative,
        })
    }
}

#[derive(Debug, Deserialize)]
struct FanOutRow {
    channel: Source,
    consumers: usize,
    bytes: u64,
    n: u32,
    definition: String,
    sweep: String,
    #[serde(deserialize_with = "yes")]
    in_notebook: bool,
    slowest_median_ms: f64,
    typical_median_ms: f64,
}

impl FanOutRow {
    fn keep(self) -> Option<FanOut> {
        // Without a common start it is mostly the launcher's time.
        (self.sweep != "overhead").then(|| FanOut {
            source: self.channel,
            consumers: self.consumers,
            bytes: Bytes::new(self.bytes),
            slowest: ms(self.slowest_median_ms),
            typical: ms(self.typical_median_ms),
            by_slowest: self.definition == "slowest",
            varies_consumers: self.sweep == "consumers",
            samples: self.n,
            used: self.in_notebook,
        })
    }
}

#[derive(Debug, Deserialize)]
struct CollectiveRow {
    channel: Source,
    operation: String,
    ranks: usize,
    bytes: u64,
    n: u32,
    median_ms: f64,
    p90_ms: f64,
    n_negative: u32,
    #[serde(deserialize_with = "yes")]
    in_notebook: bool,
}

impl CollectiveRow {
    fn keep(self) -> Collective {
        Collective {
            source: self.channel,
            operation: self.operation,
            ranks: self.ranks,
            bytes: Bytes::new(self.bytes),
            time: ms(self.median_ms),
            slow: ms(self.p90_ms),
            samples: self.n,
            negative: self.n_negative,
            used: self.in_notebook,
        }
    }
}

#[derive(Debug, Deserialize)]
struct KMeansRow {
    system: String,
    ranks: usize,
    slowest_rank_median_ms: f64,
}

fn read<T: DeserializeOwned>(text: &str) -> Vec<T> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(|row| row.expect("the file is part of this program")).collect()
}

fn ms(value: f64) -> Seconds {
    Seconds::new(value / 1000.0)
}

fn yes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(String::deserialize(deserializer)? == "yes")
}

impl FanOut {
    /// What the authors judge by.
    #[must_use]
    pub fn time(&self) -> Seconds {
        if self.by_slowest { self.slowest } else { self.typical }
    }

    /// Which consumer that is, counted in the order in which they are served.
    #[must_use]
    pub fn consumer(&self) -> f64 {
        if self.by_slowest { self.consumers as f64 } else { self.middle() }
    }

    /// 83 s for 500 MB through another Redis than that of all other rows.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.source == Source::Redis && self.bytes == Bytes::new(500_000_000)
    }

    /// The middle one.
    #[must_use]
    pub fn middle(&self) -> f64 {
        f64::midpoint(self.consumers as f64, 1.0)
    }
}

impl Collective {
    /// Whether clocks make it impossible: it took no time in many of the samples, and there is nothing to predict.
    #[must_use]
    pub fn is_impossible(&self) -> bool {
        self.negative * 4 >= self.samples
    }
}

impl Transfer {
    /// Whether clocks make it impossible.
    #[must_use]
    pub fn is_impossible(&self) -> bool {
        self.time <= Seconds::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_rows_are_there() {
        let tables = Tables::get();
        assert_eq!(tables.transfers.len(), 96 - 9);
        assert_eq!(tables.fan_outs.len(), 73 - 21);
        assert_eq!((tables.collectives.len(), tables.k_means.len()), (124, 8));
        let impossible: Vec<_> =
            tables.collectives.iter().filter(|row| row.is_impossible()).collect();
        assert_eq!(impossible.len(), 1);
        assert_eq!((impossible[0].operation.as_str(), impossible[0].ranks), ("scatter", 2));
        assert_eq!(tables.transfers.iter().filter(|row| row.is_impossible()).count(), 1);
    }
}
