//! Data-parallel logistic regression by gradient descent: each rank computes gradients of its share of each
//! batch, and an allreduce adds them up. The gradient is a block a class, and blocks travel while the next ones
//! are computed.
//!
//! ```text
//! fmi run -n 2 --channel tcp -- sgd --check
//! ```
//!
//! The same steps are trained twice, with each block awaited at once and overlapped; the results are the same
//! bits. `model` is the arithmetic, `data` reads the digits.

use app_report::{Output, Recorder, agree, parse, progress};
use clap::Parser;
use fmi::prelude::*;
use futures::{StreamExt, stream::FuturesOrdered};
use std::{path::PathBuf, process::ExitCode, sync::Arc};

use crate::{
    data::Digits,
    model::{Batch, Model},
};

mod data;
mod model;

const DIGITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/digits.csv");

const EXAMPLES: &str = "\
Examples:
  fmi run -n 2 --channel tcp -- sgd --check
  fmi run -n 4 --packs 2 -- sgd --features 4096 --steps 100 --json";

/// Data-parallel logistic regression whose gradients travel while the next ones are computed
#[derive(Debug, Clone, Parser)]
#[command(name = "sgd", after_help = EXAMPLES)]
struct Args {
    /// CSV file with a header line, whose last column is a class 0..9 [default: handwritten digits]
    #[arg(long, value_name = "FILE", default_value = DIGITS, hide_default_value = true)]
    data: PathBuf,

    /// Random features made of the pixels: the longer the gradients
    #[arg(long, value_name = "N", default_value_t = 1024,
          value_parser = clap::value_parser!(u32).range(1..=65_536))]
    features: u32,

    /// Steps
    #[arg(long, value_name = "N", default_value_t = 200,
          value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,

    /// Rows a step, of all ranks together
    #[arg(long, value_name = "N", default_value_t = 256,
          value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,

    /// Length of a step
    #[arg(long, value_name = "RATE", default_value_t = 0.5)]
    rate: f64,

    /// Compare with a serial run
    #[arg(long)]
    check: bool,

    #[command(flatten)]
    report: Output,
}

/// Everything that can go wrong.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Data(#[from] data::DataError),
    #[error("check: {0}: FAILED")]
    Check(String),
    #[error(transparent)]
    Report(#[from] app_report::Failure),
    #[error(transparent)]
    Fmi(#[from] fmi::Error),
}

fn main() -> ExitCode {
    let args = Arc::new(parse::<Args>());
    fmi::run(move |ctx| run(ctx, Arc::clone(&args)))
}

async fn run(ctx: Context, args: Arc<Args>) -> Result<(), Failure> {
    let mut recorder = Recorder::start(&ctx).await?;
    let Some(digits) = agree(&ctx, Digits::load(&args.data).map_err(Failure::from)).await? else {
        return Ok(());
    };
    let digits = digits.expand(args.features as usize);
    recorder.end_phase("load").await?;
    // Links come up with the first message: not while time is taken.
    train(&ctx, &args, &digits, 1, Way::InTurn).await?;
    recorder.end_phase("warm up").await?;

    let in_turn = train(&ctx, &args, &digits, args.steps, Way::InTurn).await?;
    recorder.end_phase("one after the other").await?;
    let overlapped = train(&ctx, &args, &digits, args.steps, Way::Overlapped).await?;
    recorder.end_phase("overlapped").await?;

    let Some(mut report) = recorder.report("sgd").await? else { return Ok(()) };
    if in_turn != overlapped {
        return Err(Failure::Check("overlapped gradients give another model".to_owned()));
    }
    if args.check {
        check(&args, &digits, &overlapped)?;
        report.say("check", "equal to a serial run, with and without overlap: ok".to_owned());
    }
    let times: Vec<f64> = report.phases.iter().map(|phase| phase.slowest_seconds).collect();
    report.say("overlapped / one after the other", times[3] / times[2]);
    report.say("rows classified right", overlapped.accuracy(&digits));
    report.say("bytes of a gradient", (overlapped.weights.len() * size_of::<f64>()) as u64);
    args.report.give(&report)?;
    Ok(())
}

/// When a class's gradient is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Before the next one is computed.
    InTurn,
    /// When all are computed.
    Overlapped,
}

async fn train(
    ctx: &Context,
    args: &Args,
    digits: &Digits,
    steps: u32,
    way: Way,
) -> Result<Model, Failure> {
    let mut model = Model::new(digits.columns);
    let bar = progress(ctx.rank() == 0, "train", u64::from(steps), Some("steps"));
    for step in 0..steps as usize {
        let all = Batch::of_step(step, args.batch as usize, digits.rows());
        let errors = model.errors(digits, all.share(ctx.rank(), ctx.size()));
        let rate = args.rate / all.len() as f64;
        // An allreduce begins when it is called, and gets on whenever it is polled; so those under way are
        // polled after each block that is computed.
        let mut under_way = FuturesOrdered::new();
        let mut arrived = 0;
        for class in 0..model::CLASSES {
            under_way.push_back(ctx.allreduce(errors.gradient(digits, class), op::sum()));
            let mut sum = match way {
                Way::InTurn => under_way.next().await,
                Way::Overlapped => ready(futures::poll!(under_way.next())),
            };
            while let Some(gradient) = sum {
                model.descend(arrived, &gradient?, rate);
                arrived += 1;
                sum = ready(futures::poll!(under_way.next()));
            }
        }
        while let Some(gradient) = under_way.next().await {
            model.descend(arrived, &gradient?, rate);
            arrived += 1;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(model)
}

fn ready<T>(poll: std::task::Poll<Option<T>>) -> Option<T> {
    match poll {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => None,
    }
}

/// The same steps in one place.
fn check(args: &Args, digits: &Digits, found: &Model) -> Result<(), Failure> {
    let mut alone = Model::new(digits.columns);
    for step in 0..args.steps as usize {
        let all = Batch::of_step(step, args.batch as usize, digits.rows());
        let rate = args.rate / all.len() as f64;
        let errors = alone.errors(digits, all);
        for class in 0..model::CLASSES {
            alone.descend(class, &errors.gradient(digits, class), rate);
        }
    }
    // Sums over shares round otherwise than one over all rows.
    let pairs = alone.weights.iter().zip(&found.weights);
    let difference = pairs.map(|(one, other)| (one - other).abs()).fold(0.0, f64::max);
    if difference < 1e-9 {
        Ok(())
    } else {
        Err(Failure::Check(format!("weights differ from a serial run by up to {difference:e}")))
    }
}
