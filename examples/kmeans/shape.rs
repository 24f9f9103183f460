//! The workload that others have measured, and the times of its epochs.
//!
//! LambdaML's K-Means: 28 features, 3 centroids, 10 epochs, one allreduce an epoch. FMI's authors measured
//! what a rank spends in it on AWS Lambda, through DynamoDB and through FMI (680 bytes; here it is 712, with the
//! number of rows that moved and the clusters' sizes).

use std::{fmt, time::Instant};

use fmi::prelude::*;

use crate::{cluster::SplitMix64, data::Dataset};

/// Whose workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shape {
    /// 28 features, 3 centroids, 10 epochs
    Lambdaml,
}

pub(crate) const COLUMNS: usize = 28;
pub(crate) const CLUSTERS: u32 = 3;
pub(crate) const EPOCHS: u32 = 10;

/// Even noise, in which rows move for far more than ten epochs. The same on all ranks.
pub(crate) fn generate(rows: usize, seed: u64) -> Dataset {
    let mut random = SplitMix64(seed);
    let values = (0..rows * COLUMNS).map(|_| random.unit()).collect();
    Dataset { columns: COLUMNS, values, labels: None }
}

/// How long this rank computed and combined in each epoch, in seconds.
#[derive(Debug)]
pub(crate) struct Times {
    since: Instant,
    epochs: Vec<[f64; 2]>,
}

impl Times {
    pub(crate) fn start() -> Self {
        Self { since: Instant::now(), epochs: Vec::new() }
    }

    /// What an epoch computes is ready.
    pub(crate) fn computed(&mut self) {
        let seconds = self.lap();
        self.epochs.push([seconds, 0.0]);
    }

    /// And it is added up over all ranks.
    pub(crate) fn combined(&mut self) {
        let seconds = self.lap();
        if let Some(epoch) = self.epochs.last_mut() {
            epoch[1] = seconds;
        }
    }

    /// Of all ranks, on rank 0.
    pub(crate) async fn table(&self, ctx: &Context) -> fmi::Result<Option<Table>> {
        let ranks = ctx.gather(self.epochs.concat(), 0).await?;
        Ok(ranks.map(|ranks| Table { ranks }))
    }

    fn lap(&mut self) -> f64 {
        let seconds = self.since.elapsed().as_secs_f64();
        self.since = Instant::now();
        seconds
    }
}

/// The times of all ranks: of each, computed and combined in turn.
#[derive(Debug)]
pub(crate) struct Table {
    ranks: Vec<Vec<f64>>,
}

/// Ranks, and what one spends in an epoch's allreduce through DynamoDB and FMI: medians in ms.
const PUBLISHED: [(usize, f64, f64); 6] = [
    (2, 121.598, 0.749),
    (4, 120.875, 1.348),
    (8, 120.519, 2.525),
    (16, 122.524, 3.05),
    (32, 330.076, 5.366),
    (64, 546.543, 5.224),
];

impl Table {
    /// In ms, of all ranks: `kind` 0 is computing, 1 combining.
    fn of(&self, epoch: usize, kind: usize) -> Vec<f64> {
        self.ranks.iter().filter_map(|rank| rank.get(2 * epoch + kind)).map(|s| s * 1e3).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let epochs = self.ranks.first().map_or(0, |rank| rank.len() / 2);
        writeln!(f, "\nms in    computing  allreduce  allreduce")?;
        write!(f, "epoch       median     median    slowest")?;
        for epoch in 0..epochs {
            let (computing, combining) = (self.of(epoch, 0), self.of(epoch, 1));
            let slowest = combining.iter().copied().fold(0.0, f64::max);
            let (computing, combining) = (median(computing), median(combining));
            write!(f, "\n{:5}  {computing:11.3}{combining:11.3}{slowest:11.3}", epoch + 1)?;
        }
        // As published: the first epoch connects.
        let later: Vec<f64> = (1..epochs).flat_map(|epoch| self.of(epoch, 1)).collect();
        if !later.is_empty() {
            write!(f, "\nallreduce after the first epoch: median {:.3} ms", median(later))?;
        }
        let size = self.ranks.len();
        match PUBLISHED.iter().find(|(ranks, ..)| *ranks == size) {
            Some((_, dynamodb, published)) => write!(
                f,
                "; published for {size} functions on AWS Lambda: {dynamodb} ms through DynamoDB, \
                 {published} ms through FMI (another machine and network)"
            ),
            None => Ok(()),
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Limits, Worker, fit_alone, seed_centroids};

    #[test]
    fn ten_epochs_are_ten_epochs() {
        let dataset = generate(3000, 17);
        let rows = dataset.rows();
        let limits = Limits { epochs: EPOCHS, tolerance: 0.0 };
        let seeds = seed_centroids(rows, CLUSTERS as usize, 17);
        assert_eq!(fit_alone(rows, seeds.clone(), limits).end.number, EPOCHS);
        // What an allreduce adds up.
        let sums = Worker::new(rows, seeds, limits).partial_sums();
        assert_eq!(size_of_val(&*sums), 712);
        assert_eq!(generate(3000, 17), dataset);
    }

    #[fmi::test(ranks = 2)]
    async fn the_published_times_stand_beside(ctx: Context) -> fmi::Result<()> {
        let mut times = Times::start();
        for _ in 0..3 {
            times.computed();
            ctx.barrier().await?;
            times.combined();
        }
        let table = times.table(&ctx).await?.map(|table| table.to_string());
        assert_eq!(table.is_some(), ctx.rank() == 0);
        if let Some(table) = table {
            assert_eq!(table.lines().count(), 7, "{table}");
            assert!(table.contains("0.749 ms through FMI"), "{table}");
        }
        Ok(())
    }

    #[test]
    fn one_rank_and_no_epoch_are_fine() {
        let table = Table { ranks: vec![vec![]] };
        assert!(table.to_string().ends_with("slowest"));
    }
}
