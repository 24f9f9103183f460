//! Data-parallel K-Means: each rank holds a share of the rows, one allreduce an epoch.
//!
//! ```text
//! cargo run --release --example kmeans                             # ranks in this process
//! fmi run -n 4 --channel tcp -- target/release/examples/kmeans     # four processes
//! ```
//!
//! `cluster` is the arithmetic, `data` reads files, `shape` makes data and times epochs as others have
//! measured them, `plot` draws. This file is the program of a rank: everything that ranks say to each other is in [`fit_together`], [`collect`] and [`agree`].

use std::{
    fmt,
    io::{self, IsTerminal},
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Parser;
use fmi::prelude::*;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use crate::{
    cluster::{Composition, Epoch, Fit, Limits, Worker},
    data::{DataError, Dataset, LabelColumn},
    shape::{Shape, Times},
};

mod cluster;
mod data;
mod plot;
mod shape;

const DIGITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/digits.csv");

const EXAMPLES: &str = "\
Examples:
  kmeans                                 the digits in examples/data, 10 clusters
  kmeans --check --plot centroids.svg    compare with a serial run, draw the centroids
  kmeans --data iris.csv --k 3           a CSV file, its last column the label
  kmeans --data a9a.libsvm --k 2 --labels no --tolerance 1e-4
  kmeans --shape lambdaml                28 features, 3 clusters, 10 epochs, with their times";

/// Data-parallel K-Means: each rank holds a share of the rows, one allreduce an epoch
#[derive(Debug, Parser)]
#[command(name = "kmeans", after_help = EXAMPLES)]
struct Args {
    /// CSV or libsvm file, told apart by extension or content [default: handwritten digits]
    #[arg(long, value_name = "FILE", default_value = DIGITS, hide_default_value = true)]
    data: PathBuf,

    /// Whether the file has labels to hold the clusters against
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = LabelColumn::Auto)]
    labels: LabelColumn,

    /// Random data of a shape that others have measured, instead of a file; prints the epochs' times
    #[arg(long, value_name = "NAME", value_enum, conflicts_with_all = ["data", "labels"])]
    shape: Option<Shape>,

    /// Rows of random data, of all ranks together
    #[arg(long, value_name = "N", default_value_t = 100_000, requires = "shape",
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    rows: u32,

    /// Number of clusters [default: 10, or the shape's]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    k: Option<u32>,

    /// Most epochs [default: 100, or the shape's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    epochs: Option<u32>,

    /// Stop when an epoch lowers the loss by less than this share; 0: when no row moves
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    tolerance: f64,

    /// Where the choice of the first centroids starts
    #[arg(long, value_name = "N", default_value_t = 17)]
    seed: u64,

    /// Draw the centroids into this file
    #[arg(long, value_name = "SVG")]
    plot: Option<PathBuf>,

    /// Compare with a serial run and with a second parallel one
    #[arg(long)]
    check: bool,
}

impl Args {
    fn k(&self) -> u32 {
        self.k.unwrap_or(if self.shape.is_some() { shape::CLUSTERS } else { 10 })
    }

    fn epochs(&self) -> u32 {
        self.epochs.unwrap_or(if self.shape.is_some() { shape::EPOCHS } else { 100 })
    }

    fn limits(&self) -> Limits {
        Limits { epochs: self.epochs(), tolerance: self.tolerance }
    }
}

/// Everything that can go wrong.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Usage(#[from] clap::Error),
    #[error(transparent)]
    Data(#[from] DataError),
    #[error("--k {k}: there are only {rows} rows")]
    TooManyClusters { k: u32, rows: usize },
    #[error(transparent)]
    Fmi(#[from] fmi::Error),
    #[error("--plot {}: {source}", path.display())]
    Plot { path: PathBuf, source: io::Error },
    #[error("check: {0}: FAILED")]
    Check(Difference),
}

/// What `--check` may find.
#[derive(Debug, thiserror::Error)]
enum Difference {
    #[error("{differ} of {rows} assignments differ from the serial run")]
    Assignments { differ: usize, rows: usize },
    #[error("centroids differ from the serial run by up to {0:e}")]
    Centroids(f64),
    #[error("centroids are not the same bits on all ranks in two runs")]
    Bits,
}

/// What comes of it.
#[derive(Debug, Serialize)]
struct Outcome {
    epochs: u32,
    loss: f64,
    /// Of the centroids, all their bits.
    fingerprint: String,
}

/// What a rank found out about its own rows.
#[derive(Debug, Serialize, Deserialize, fmi::Message)]
struct Shard {
    first_row: usize,
    assignments: Vec<u32>,
    /// Of the centroids, which are the same on all ranks.
    fingerprint: u64,
}

#[fmi::rank]
async fn main(ctx: fmi::Context) -> Result<(), Failure> {
    let Some((args, dataset)) = agree(&ctx, prepare(&ctx)).await? else { return Ok(()) };
    if ctx.rank() == 0 {
        let (rows, file) = (dataset.rows().len(), args.data.file_name().unwrap_or_default());
        let file = if args.shape.is_some() { "random data".into() } else { file.to_string_lossy() };
        println!("{file}: {rows} rows of {} features on {} ranks", dataset.columns, ctx.size());
    }
    let progress = Progress::new(ctx.rank() == 0, args.epochs());
    let started = Instant::now();
    let (fit, times) = fit_together(&ctx, &dataset, &args, &progress).await?;
    progress.finish(&fit.end, started.elapsed());
    if args.shape.is_some()
        && let Some(table) = times.table(&ctx).await?
    {
        println!("{table}");
    }

    if ctx.rank() == 0 {
        // For whoever started the ranks.
        let Epoch { number, loss, .. } = &fit.end;
        let fingerprint = format!("{:016x}", cluster::fingerprint(&fit.centroids));
        ctx.finish(Outcome { epochs: *number, loss: *loss, fingerprint })?;
    }

    let found = collect(&ctx, &dataset, &fit).await?;
    let again = if args.check {
        let (fit, _) = fit_together(&ctx, &dataset, &args, &Progress::Silent).await?;
        collect(&ctx, &dataset, &fit).await?
    } else {
        None
    };
    // The ranks are done; what is left is rank 0's.
    let Some(shards) = found else { return Ok(()) };
    let mut assignments = vec![u32::MAX; dataset.rows().len()];
    for Shard { first_row, assignments: of_rank, .. } in &shards {
        assignments[*first_row..][..of_rank.len()].copy_from_slice(of_rank);
    }
    let report = Report::new(&args, &dataset, &assignments);
    println!("{report}");
    if let Some(path) = &args.plot {
        let failed = |source| Failure::Plot { path: path.clone(), source };
        plot::save(path, &fit.centroids, dataset.columns, &report.captions()).map_err(failed)?;
        println!("centroids drawn into {}", path.display());
    }
    if let Some(again) = again {
        check(&args, &dataset, &fit, &assignments, shards.iter().chain(&again))
            .map_err(Failure::Check)?;
        println!(
            "check: {} assignments equal to the serial run, \
             centroids bit-equal across two runs on {} ranks: ok",
            assignments.len(),
            ctx.size(),
        );
    }
    Ok(())
}

/// Every rank reads the same arguments and the same file.
fn prepare(ctx: &fmi::Context) -> Result<(Args, Dataset), Failure> {
    let name = String::from("kmeans");
    let args = Args::try_parse_from(std::iter::once(name).chain(ctx.args()))?;
    let dataset = match args.shape {
        Some(Shape::Lambdaml) => shape::generate(args.rows as usize, args.seed),
        None => data::load(&args.data, args.labels)?,
    };
    let (k, rows) = (args.k(), dataset.rows().len());
    if k as usize > rows {
        return Err(Failure::TooManyClusters { k, rows });
    }
    Ok((args, dataset))
}

/// Goes on only if the attempt succeeded on all ranks. Else one that failed says why, and the
/// others leave without a word: one mistake in the arguments is one message, not one a rank.
async fn agree<T>(ctx: &fmi::Context, attempt: Result<T, Failure>) -> Result<Option<T>, Failure> {
    let me = ctx.rank() as u64;
    let vote = if attempt.is_ok() { u64::MAX } else { me };
    let speaker = ctx.allreduce(vote, op::min()).await?;
    match attempt {
        Ok(value) if speaker == u64::MAX => Ok(Some(value)),
        // clap's word for a request for help.
        Err(Failure::Usage(usage)) if speaker == me && !usage.use_stderr() => {
            println!("{usage}");
            Ok(None)
        }
        Err(failure) if speaker == me => Err(failure),
        _ => Ok(None),
    }
}

/// K-Means of all ranks: what `cluster::fit_alone` does, with an allreduce between its two steps.
async fn fit_together(
    ctx: &fmi::Context,
    dataset: &Dataset,
    args: &Args,
    progress: &Progress,
) -> fmi::Result<(Fit, Times)> {
    let rows = dataset.rows();
    let seeds =
        (ctx.rank() == 0).then(|| cluster::seed_centroids(rows, args.k() as usize, args.seed));
    let seeds = ctx.bcast(seeds, 0).await?;
    let own = rows.slice(cluster::share(rows.len(), ctx.rank(), ctx.size()));
    let mut worker = Worker::new(own, seeds, args.limits());
    let mut times = Times::start();
    loop {
        let sums = worker.partial_sums();
        times.computed();
        let totals = ctx.allreduce(sums, op::sum()).await?;
        times.combined();
        let epoch = worker.advance(&totals);
        progress.show(&epoch);
        if epoch.last {
            return Ok((worker.finish(epoch), times));
        }
    }
}

/// Brings the ranks' results to rank 0.
async fn collect(
    ctx: &fmi::Context,
    dataset: &Dataset,
    fit: &Fit,
) -> fmi::Result<Option<Vec<Shard>>> {
    let shard = Shard {
        first_row: cluster::share(dataset.rows().len(), ctx.rank(), ctx.size()).start,
        assignments: fit.assignments.clone(),
        fingerprint: cluster::fingerprint(&fit.centroids),
    };
    ctx.gather(shard, 0).await
}

/// Compares with the serial result, and all ranks' centroids with each other.
fn check<'a>(
    args: &Args,
    dataset: &Dataset,
    fit: &Fit,
    assignments: &[u32],
    mut shards: impl Iterator<Item = &'a Shard>,
) -> Result<(), Difference> {
    let rows = dataset.rows();
    let seeds = cluster::seed_centroids(rows, args.k() as usize, args.seed);
    let alone = cluster::fit_alone(rows, seeds, args.limits());
    let differ = alone.assignments.iter().zip(assignments).filter(|(a, b)| a != b).count();
    if differ > 0 || alone.assignments.len() != assignments.len() {
        return Err(Difference::Assignments { differ, rows: rows.len() });
    }
    // Sums of shares round otherwise than one sum over all rows, but not by more than this.
    let difference = cluster::largest_difference(&alone.centroids, &fit.centroids);
    let scale = alone.centroids.iter().fold(1.0, |scale, x| x.abs().max(scale));
    if difference > 1e-9 * scale {
        return Err(Difference::Centroids(difference));
    }
    println!("check: centroids differ from the serial run by {difference:e} at most");
    let fingerprint = cluster::fingerprint(&fit.centroids);
    if shards.any(|shard| shard.fingerprint != fingerprint) {
        return Err(Difference::Bits);
    }
    Ok(())
}

/// The loss per epoch: a line that changes on a terminal, a line an epoch elsewhere, and nothing
/// on other ranks than 0.
enum Progress {
    Silent,
    Lines,
    Bar(ProgressBar),
}

impl Progress {
    fn new(shown: bool, epochs: u32) -> Self {
        if !shown {
            return Self::Silent;
        }
        if !io::stderr().is_terminal() {
            return Self::Lines;
        }
        let style = ProgressStyle::with_template("{spinner} epoch {pos} of at most {len}  {msg}")
            .expect("the template is valid");
        Self::Bar(ProgressBar::new(epochs.into()).with_style(style))
    }

    fn show(&self, epoch: &Epoch) {
        let Epoch { number, loss, moved, .. } = epoch;
        match self {
            Self::Silent => {}
            Self::Lines => eprintln!("epoch {number:3}  loss {loss:14.3}  {moved:6} rows moved"),
            Self::Bar(bar) => {
                bar.set_position(u64::from(*number));
                bar.set_message(format!("loss {loss:.3}  {moved} rows moved"));
            }
        }
    }

    fn finish(&self, end: &Epoch, took: Duration) {
        let Epoch { number, loss, converged, .. } = end;
        if let Self::Silent = self {
            return;
        }
        if let Self::Bar(bar) = self {
            // The line stays, and what follows starts on its own.
            bar.abandon();
            eprintln!();
        }
        let how = if *converged { "converged" } else { "stopped" };
        println!("{how} after {number} epochs in {took:.1?}, loss {loss:.3}");
    }
}

/// The clusters against the labels.
struct Report<'a> {
    compositions: Vec<Composition>,
    /// The labels' names, if there are labels.
    names: Option<&'a [String]>,
}

impl<'a> Report<'a> {
    fn new(args: &Args, dataset: &'a Dataset, assignments: &[u32]) -> Self {
        let labels = dataset.labels.as_ref();
        let names = labels.map(|labels| labels.names.as_slice());
        let compositions = cluster::compositions(
            assignments,
            labels.map(|labels| labels.of_row.as_slice()),
            args.k() as usize,
            names.map_or(0, <[_]>::len),
        );
        Self { compositions, names }
    }

    /// The label that most rows of a cluster have, and their share.
    fn majority(&self, cluster: &Composition) -> Option<(&'a str, f64)> {
        let (label, rows) = cluster.majority?;
        Some((&self.names?[label as usize], rows as f64 / cluster.rows as f64))
    }

    fn captions(&self) -> Vec<String> {
        let caption = |(number, cluster): (usize, &Composition)| match self.majority(cluster) {
            Some((label, share)) => format!("{number}: {label} ({:.0} %)", 100.0 * share),
            None => format!("{number}: {} rows", cluster.rows),
        };
        self.compositions.iter().enumerate().map(caption).collect()
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.names.unwrap_or_default().iter().map(|name| name.chars().count()).max();
        let width = width.unwrap_or(0).max("mostly".len());
        let labelled = self.names.is_some();
        write!(f, "\ncluster    rows")?;
        if labelled {
            write!(f, "  {:>width$}   purity", "mostly")?;
        }
        for (number, cluster) in self.compositions.iter().enumerate() {
            write!(f, "\n{number:7} {:7}", cluster.rows)?;
            if let Some((label, share)) = self.majority(cluster) {
                write!(f, "  {label:>width$}  {:5.1} %", 100.0 * share)?;
            }
        }
        if labelled {
            let rows: usize = self.compositions.iter().map(|cluster| cluster.rows).sum();
            let majority = self.compositions.iter().filter_map(|cluster| cluster.majority);
            let pure: usize = majority.map(|(_, rows)| rows).sum();
            let share = 100.0 * pure as f64 / rows as f64;
            write!(f, "\n    all {rows:7}  {:>width$}  {share:5.1} %", "")?;
        }
        writeln!(f)
    }
}
