//! `fmi model simulate`: the program's own collectives on simulated ranks.

mod calls;
mod output;
mod picture;
mod rounds;

use super::{lists::Sizes, setting::Assumed, source};
use crate::{explain::Op, failure::Failure, units};
use calls::Call;
use rounds::Setting;
use std::{fs, path::PathBuf, process::ExitCode};

/// Runs collectives on simulated ranks, and says what they take and cost.
///
/// The code is the one that runs elsewhere: its plans, messages and acknowledgements. Only the wire is
/// simulated, as a profile describes the channel, and the clock. Computing takes no time. A rank that finds nothing in
/// a store looks again as the profile says. Of rounds with other luck the median is shown, and what 19 of 20
/// do not exceed (p95), of fewer the slowest.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Collectives, or all. [default: allreduce bcast barrier]
    #[arg(value_enum, value_name = "OP")]
    ops: Vec<Op>,

    /// How many ranks: a number, a list (64,1024) or a range, doubled each time (2..1024) or times what
    /// stands after an x (2..16384x4). The end of a range is always there.
    #[arg(short = 'n', long, value_name = "N", default_value = "64")]
    ranks: Sizes,

    /// Bytes a rank contributes (gather, allgather, reduce kinds), sends (bcast) or receives
    /// (scatter); of alltoall and reduce_scatter in total over its N values. Reductions are of f32, or
    /// of u8 when the bytes are no multiple of 4.
    #[arg(long, value_name = "B", default_value = "8", value_parser = units::bytes)]
    bytes: usize,

    #[command(flatten)]
    assumed: Assumed,

    /// The profile's channel that joins the processes.
    #[arg(long, value_name = "NAME", default_value = "tcp")]
    channel: String,

    /// Ranks a process; inside one they reach each other at once.
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pack: u32,

    /// An algorithm instead of the one that is chosen: ring, allreduce/ring.
    #[arg(long, value_name = "NAME")]
    algorithm: Option<String>,

    /// Where chance comes from: the same seed, the same runs.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// How many rounds. [default: 20 of up to 819 ranks, of more 16384 / N, at least 1; where nothing is
    /// left to chance 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: Option<u32>,

    /// Draw time and money against ranks into this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    /// Print one line of JSON for each collective and number of ranks.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  fmi model simulate -n 1024                                  allreduce, bcast and barrier of 1024 functions
  fmi model simulate allreduce -n 2..16384x4 --bytes 1KiB --svg allreduce.svg
  fmi model simulate bcast -n 256 --bytes 1MiB --channel s3   where only S3 joins them
  fmi model simulate allreduce -n 4096 --pack 16 --memory 8GiB
  fmi model simulate allreduce -n 64 --bytes 4MiB --algorithm ring --json
  fmi model show                                              which profiles there are

Prices are those of FMI_PRICES or fmi.toml, as `fmi model prices` shows them.";

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let tariff = args.assumed.tariff()?;
    let profile = args.assumed.profile(&tariff)?;
    source::check_channel(&profile, "--channel", &args.channel)?;
    let calls = Call::all(&args.ops, args.bytes, args.algorithm.as_deref())?;
    for call in &calls {
        for ranks in &args.ranks.0 {
            call.check(*ranks)?;
        }
    }
    let setting = Setting {
        profile: &profile,
        channel: &args.channel,
        tariff: &tariff,
        pack: args.pack as usize,
        seed: args.seed,
        rounds: args.rounds.map(|rounds| rounds as usize),
    };
    let cases: Vec<_> = calls
        .iter()
        .flat_map(|call| args.ranks.0.iter().map(move |ranks| (call, *ranks)))
        .collect();
    let total = cases.iter().map(|(_, ranks)| setting.rounds_of(*ranks)).sum();
    let output = output::Output::new(&setting, args.json, total);
    let mut rows = Vec::new();
    for (call, ranks) in cases {
        output.next(call, ranks);
        let row = setting.simulate(call, ranks, || output.round())?;
        output.row(&row)?;
        rows.push(row);
    }
    output.end();
    if let Some(file) = &args.svg {
        let picture = picture::draw(&setting, args.bytes, &rows)?;
        fs::write(file, picture)
            .map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
    }
    Ok(ExitCode::SUCCESS)
}
