//! `fmi model polling`: waits of known lengths are played through.

use crate::{failure::Failure, units};
use clap::ValueEnum;
use fmi::{
    Config,
    meter::{Bytes, Dollars, Request, Seconds},
};
use fmi_model::polling::{
    Hint,
    trial::{Arrivals, Trial},
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

/// Shows what looking for messages in a store costs and how late they are found.
///
/// Waits of 0.05 to 5 s, distributed in eight ways, are simulated: with looks as the hint `cheap` and
/// what was learnt say, with those of the best fixed interval, chosen when all is known, and with one
/// look each at the right time (the oracle). And as `fast` says, against one look after the other.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many waits of each kind.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    waits: u32,

    /// Memory of the function that waits. [default: that of FMI_MEMORY or AWS Lambda, else 1 GiB]
    #[arg(long, value_name = "B", value_parser = units::bytes)]
    memory: Option<usize>,

    /// What a look is.
    #[arg(long, value_enum, default_value = "get")]
    request: Look,

    /// How long a look takes, in ms.
    #[arg(long, value_name = "MS", default_value_t = 30.0, value_parser = milliseconds)]
    round_trip: f64,

    /// What chance comes from: the same seed, the same waits.
    #[arg(long, value_name = "N", default_value_t = 7)]
    seed: u64,

    /// Print one line of JSON a kind.
    #[arg(long)]
    json: bool,
}

/// A request that looks for something.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Look {
    Get,
    List,
}

/// What became of one kind of waits.
#[derive(Debug, Serialize)]
struct Row {
    arrivals: Arrivals,
    waits: u32,
    /// The best fixed one.
    interval_ms: f64,
    oracle: Dollars,
    fixed: Dollars,
    cheap: Dollars,
    /// Of `cheap` and `fixed`.
    ratio: f64,
    /// Looks a wait, and how late in the mean.
    cheap_looks: f64,
    cheap_late_ms: f64,
    /// From the arrival until it is known: looking one after the other, and as `fast` says.
    back_to_back_ms: f64,
    fast_ms: f64,
    fast_ratio: f64,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let mut tariff = Config::from_env()?.money.tariff()?;
    if let Some(memory) = args.memory {
        tariff.memory = Bytes::new(memory as u64);
    }
    let request = match args.request {
        Look::Get => Request::Get,
        Look::List => Request::List,
    };
    let prices = tariff.prices.look(request, tariff.memory);
    let trial = Trial { prices, round_trip: Seconds::new(args.round_trip / 1000.0) };
    let bar = bar(args.json);
    if !args.json {
        let prices = &tariff.prices;
        say(&format!(
            "{} waits each in a function of {}, a {request} {}, a second {}, a round trip {} \
             ({}, {}, {})\n\n{HEAD}",
            args.waits,
            tariff.memory,
            trial.prices.look,
            trial.prices.wait * Seconds::new(1.0),
            trial.round_trip,
            prices.provider,
            prices.region,
            prices.date,
        ));
    }
    for arrivals in Arrivals::ALL {
        bar.set_message(arrivals.name());
        let row = row(&trial, arrivals, args);
        let text = match args.json {
            true => serde_json::to_string(&row).map_err(|error| Failure::new(error.to_string()))?,
            false => line(&row),
        };
        bar.suspend(|| say(&text));
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(ExitCode::SUCCESS)
}

fn row(trial: &Trial, arrivals: Arrivals, args: &Args) -> Row {
    let waits = arrivals.draw(args.waits as usize, args.seed);
    let (interval, fixed) = trial.best_fixed(&waits);
    let cheap = trial.polled(&waits, Hint::Cheap);
    let number = f64::from(args.waits);
    let known = |late: Seconds| late / number + trial.round_trip;
    let (back_to_back, fast) = (trial.back_to_back(&waits), trial.polled(&waits, Hint::Fast));
    let ms = |time: Seconds| time.get() * 1000.0;
    Row {
        arrivals,
        waits: args.waits,
        interval_ms: ms(interval),
        oracle: trial.oracle(&waits).money,
        fixed: fixed.money,
        cheap: cheap.money,
        ratio: cheap.money / fixed.money,
        cheap_looks: cheap.looks as f64 / number,
        cheap_late_ms: ms(cheap.late) / number,
        back_to_back_ms: ms(known(back_to_back.late)),
        fast_ms: ms(known(fast.late)),
        fast_ratio: known(fast.late) / known(back_to_back.late),
    }
}

const HEAD: &str = "\
| arrivals | best fixed interval | oracle | best fixed | `cheap` | `cheap` : best fixed | looks | late | \
back to back | `fast` | `fast` : back to back |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|";

fn line(row: &Row) -> String {
    let Row { interval_ms, ratio, cheap_looks, cheap_late_ms, fast_ratio, .. } = row;
    let (oracle, fixed, cheap) = (row.oracle, row.fixed, row.cheap);
    let (back_to_back, fast) = (row.back_to_back_ms, row.fast_ms);
    format!(
        "| {} | {interval_ms:.0} ms | {oracle} | {fixed} | {cheap} | {ratio:.2} | {cheap_looks:.1} | \
         {cheap_late_ms:.0} ms | {back_to_back:.1} ms | {fast:.1} ms | {fast_ratio:.2} |",
        row.arrivals
    )
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody may be reading any more.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Hidden where stderr is no terminal, or stdout is one for a machine.
fn bar(json: bool) -> ProgressBar {
    let bar = match json || !std::io::stderr().is_terminal() {
        true => ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()),
        false => ProgressBar::new(Arrivals::ALL.len() as u64),
    };
    if let Ok(style) =
        ProgressStyle::with_template("{spinner} {bar:30} {pos}/{len} {msg} {elapsed}")
    {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn milliseconds(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|ms| (0.1..=10_000.0).contains(ms));
    number.ok_or_else(|| format!("{text:?} is no round trip: write 0.1 to 10000 (milliseconds)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fmi_model::prices::Prices;

    /// The table in the docs is what this program prints; `docs/model.md` says by which command.
    #[test]
    fn the_table_in_the_docs_is_true() {
        let docs = include_str!("../../../docs/model.md");
        let prices = Prices::aws().look(Request::Get, Bytes::gib(1));
        let trial = Trial { prices, round_trip: Seconds::new(0.03) };
        let args = Args {
            waits: 1000,
            memory: None,
            request: Look::Get,
            round_trip: 30.0,
            seed: 7,
            json: false,
        };
        assert!(docs.contains(HEAD));
        // Any two: all take long without optimisation.
        for arrivals in [Arrivals::Uniform, Arrivals::Narrow] {
            let line = line(&row(&trial, arrivals, &args));
            assert!(docs.contains(&line), "{line}");
        }
    }
}
