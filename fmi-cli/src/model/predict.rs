//! `fmi model predict`: what one call takes and costs.

use super::{
    call::Call,
    setting::{Candidate, Candidates, Setting, Split, Wanted},
    way::Way,
};
use crate::{failure::Failure, units};
use fmi::Config;
use fmi_model::{Bytes, Dollars, Seconds};
use serde::Serialize;
use std::{fmt::Write as _, io::Write as _, process::ExitCode};

/// Predicts what one call takes and costs, and says which algorithm runs it.
///
/// The algorithm is the one that the model finds best; its plan is played through on the channel as the profile
/// describes it. Besides the collectives: pingpong, a message one way, and fanout, the same from one to all others.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A collective, pingpong or fanout.
    #[arg(value_enum, value_name = "OP")]
    op: Call,

    /// How many ranks. [default: 64; of pingpong 2]
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    ranks: Option<u32>,

    /// Bytes a rank contributes (gather, allgather, reduce kinds), sends (bcast, pingpong, fanout) or
    /// receives (scatter); of alltoall and reduce_scatter in total over its N values.
    #[arg(long, value_name = "B", default_value = "1KiB", value_parser = units::bytes)]
    bytes: usize,

    /// The profile's channel that joins the processes: links, or a store.
    #[arg(long, value_name = "NAME", default_value = "tcp")]
    channel: String,

    /// A store beside the links: s3.
    #[arg(long, value_name = "NAME")]
    store: Option<String>,

    /// An algorithm instead of the one that is chosen: ring, allreduce/ring.
    #[arg(long, value_name = "NAME")]
    algorithm: Option<String>,

    #[command(flatten)]
    wanted: Wanted,

    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  fmi model predict allreduce -n 64 --bytes 1MiB
  fmi model predict bcast -n 256 --bytes 32MiB --store s3 --objective cheap
  fmi model predict barrier -n 1000 --channel redis --often 3600     a share of the machine's hour each
  fmi model predict allreduce -n 64 --bytes 4MiB --pack 16 --memory 8GiB --algorithm ring
  fmi model predict allgather -n 8 --machine 2 --profile loopback
  fmi model predict pingpong --bytes 1MiB --channel s3 --json
      {\"op\":\"pingpong\",\"channel\":\"s3\",…,\"median_us\":…,\"p95_us\":…,\"dollars\":…,…}";

#[derive(Serialize)]
struct Prediction<'a> {
    op: &'static str,
    profile: &'a str,
    channel: String,
    plan: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    algorithm: Option<&'static str>,
    ranks: usize,
    pack: usize,
    bytes: usize,
    objective: String,
    median_us: f64,
    p95_us: f64,
    dollars: Dollars,
    function_dollars: Dollars,
    request_dollars: Dollars,
    machine_dollars: Dollars,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let setting = args.wanted.setting()?;
    let ranks = args.ranks.map_or(if args.op == Call::PingPong { 2 } else { 64 }, |n| n as usize);
    setting.check(args.op, ranks)?;
    let way = way(args, &setting, ranks)?;
    let bytes = if args.op.has_bytes() { args.bytes } else { 0 };
    let candidates = setting.candidates(args.op, ranks, bytes as u64, &way);
    let candidate = pick(args, &candidates)?;
    let split = setting.split((args.op, ranks, bytes as u64), &way, candidate);
    let text = match args.json {
        true => json(&Prediction {
            op: args.op.name(),
            profile: &setting.profile.name,
            channel: way.name(),
            plan: &candidate.plan,
            algorithm: candidate.algorithm(),
            ranks,
            pack: setting.pack,
            bytes,
            objective: setting.objective.to_string(),
            median_us: micros(candidate.price.time),
            p95_us: micros(candidate.price.late),
            dollars: candidate.price.money,
            function_dollars: split.functions,
            request_dollars: split.requests,
            machine_dollars: split.machines,
        })?,
        false => told(args.op, (ranks, bytes), candidate, &split, &setting),
    };
    // Nobody may be reading any more.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}

/// To the nanosecond: more is not known, and many digits are hard to read.
pub(super) fn micros(time: Seconds) -> f64 {
    (time.get() * 1e9).round() / 1e3
}

/// One line.
pub(super) fn json(value: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string(value).map_err(|error| Failure::new(error.to_string()))?;
    Ok(text + "\n")
}

fn way(args: &Args, setting: &Setting, ranks: usize) -> Result<Way, Failure> {
    let way = Way::read(&setting.profile, "--channel", &args.channel)?;
    let way = match &args.store {
        None => way,
        Some(store) => {
            Way::read(&setting.profile, "--store", &format!("{}+{store}", args.channel))?
        }
    };
    Ok(if setting.is_together(ranks) { Way::local() } else { way })
}

/// What was asked for, or what is chosen.
fn pick<'a>(args: &Args, candidates: &'a Candidates) -> Result<&'a Candidate, Failure> {
    let Some(name) = &args.algorithm else {
        let chosen = candidates.all.get(candidates.chosen);
        return chosen.ok_or_else(|| Failure::new(format!("{} cannot run there", args.op)));
    };
    let Call::Collective(collective) = args.op else {
        return Err(Failure::usage(format!("--algorithm {name}: {} has none", args.op)));
    };
    let own = name.strip_prefix(collective.name()).and_then(|name| name.strip_prefix('/'));
    let own = own.unwrap_or(name);
    if let Some(found) = candidates.all.iter().find(|it| it.algorithm() == Some(own)) {
        return Ok(found);
    }
    if let Some((_, why)) = candidates.refused.iter().find(|(refused, _)| *refused == own) {
        return Err(Failure::usage(format!("--algorithm {name} cannot run there: {why}")));
    }
    // The library's errors say what was probably meant.
    let full = if name.contains('/') { name.clone() } else { format!("{collective}/{name}") };
    Err(Failure::usage(match Config::default().algorithms(&full) {
        Err(fmi::Error::Config { message, .. }) => format!("--algorithm: {message}"),
        _ => format!("--algorithm {name} is not one of {collective}"),
    }))
}

fn told(
    call: Call,
    (ranks, bytes): (usize, usize),
    candidate: &Candidate,
    split: &Split,
    setting: &Setting,
) -> String {
    let of =
        if call.has_bytes() { format!(" of {}", Bytes::new(bytes as u64)) } else { String::new() };
    let mut text =
        format!("{call}{of} on {} over {}\n", units::count(ranks, "rank"), candidate.way);
    let _ = writeln!(text, "{}\n", setting.head());
    let mut say = |what: &str, value: String| {
        let _ = writeln!(text, "  {what:<12} {value}");
    };
    let price = &candidate.price;
    say("plan", candidate.plan.clone());
    say("median", price.time.to_string());
    say("p95", price.late.to_string());
    say("costs", price.money.to_string());
    let parts = [
        ("functions", split.functions),
        ("requests", split.requests),
        ("machines", split.machines),
    ];
    for (what, money) in parts.into_iter().filter(|(_, money)| *money > Dollars::ZERO) {
        say(&format!("  {what}"), money.to_string());
    }
    text
}
