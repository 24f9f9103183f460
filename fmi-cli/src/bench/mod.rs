//! `fmi bench`: how fast the operations are here.

mod algorithms;
mod arguments;
mod cases;
mod layout;
mod output;
mod timing;

pub(crate) use algorithms::{collective, every, named, question};
pub(crate) use layout::{RankArgs, run_rank};
pub(crate) use output::progress;

use crate::failure::Failure;
use arguments::{OpChoice, byte_list};
use clap::ValueEnum;
use fmi::{config::ChannelSpec, plan::Packing};
use output::Output;
use serde::{Deserialize, Serialize};
use std::{process::ExitCode, time::Duration};

/// Measures operations: median and 99th percentile of their duration.
///
/// As in the Intel MPI Benchmarks, each iteration follows a barrier, and a sample is the largest
/// of the ranks' own durations. `pingpong` is half the round trip between ranks 0 and 1.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What to measure; several with commas between them, or all.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "all")]
    op: Vec<OpChoice>,

    /// Measures these algorithms instead of the one that is chosen, each where it is one of the
    /// operation's: ring, allreduce/ring; several with commas between them, or all that can run.
    /// Those of an operation take turns, ten each, unless --iters says how often they run.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    algorithm: Vec<String>,

    /// The channel: local, shm, tcp, quic, redis://HOST:PORT, s3://BUCKET/PREFIX.
    #[arg(short, long, default_value = "local")]
    channel: ChannelSpec,

    /// How many ranks.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    ranks: u32,

    /// Bytes a rank contributes (gather, reduce kinds), sends (bcast, pingpong) or receives
    /// (scatter); several with commas between them. Reductions are of f32, or of u8 when the
    /// bytes are no multiple of 4.
    #[arg(long, value_name = "B", default_value = "4,1KiB,64KiB,1MiB", value_parser = byte_list)]
    bytes: Vec<arguments::ByteList>,

    /// Where the ranks live: threads of one process, or a process each. [default: threads for
    /// local, processes for others]
    #[arg(long, value_enum)]
    layout: Option<Layout>,

    /// How many processes share the ranks, in contiguous ranges, with --layout processes. [default: one a
    /// rank]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    packs: Option<u32>,

    /// What the measured iterations of a case take, about, in seconds.
    #[arg(long, value_name = "S", default_value_t = 0.7, value_parser = seconds)]
    time: f64,

    /// Measured iterations. [default: what takes about --time, from 10 to 100,000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    iters: Option<u32>,

    /// Iterations before that. [default: about a seventh of --time, or a tenth of --iters]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=10_000_000))]
    warmup: Option<u32>,

    /// Print one line of JSON a case.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  fmi bench --op pingpong --bytes 1
  fmi bench --op pingpong --channel tcp --ranks 2 --bytes 1,64KiB,1MiB --layout processes
  fmi bench --op allreduce --channel local --layout threads --ranks 1000 --bytes 4
  fmi bench --op allreduce --algorithm ring,rabenseifner --channel tcp --ranks 4 --bytes 1MiB
  fmi bench --op all --channel tcp --ranks 4 --json > results.jsonl
  fmi bench --op alltoall --channel tcp --ranks 8 --packs 2 --bytes 20kB,1MB --algorithm pairwise,packed
  fmi bench --op allreduce --channel redis://127.0.0.1:6379 --ranks 8 --bytes 4

A line of --json:
  {\"op\":\"allreduce\",\"channel\":\"tcp\",\"layout\":\"processes\",\"ranks\":2,\"threads\":1,\
\"cores\":2,\"bytes\":4,\"iters\":300,\"median_us\":12.1,\"p99_us\":30.2,\"mb_per_s\":0.3}
With --algorithm there is \"algorithm\":\"ring\" after the op, with --packs \"packs\":2 after the ranks. threads are those of each process that run ranks, \
cores those of the machine; a megabyte is 10^6 bytes. `fmi model fit --from results.jsonl` makes a profile of them.";

/// An operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Op {
    Pingpong,
    Barrier,
    Bcast,
    Gather,
    Scatter,
    Allgather,
    Alltoall,
    Reduce,
    Allreduce,
    ReduceScatter,
    Scan,
    Exscan,
}

/// Where ranks live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Layout {
    /// In this process.
    Threads,
    /// Each in a process of its own.
    Processes,
}

/// One thing to measure.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Case {
    pub(crate) op: Op,
    pub(crate) bytes: usize,
    /// Among those of the operation; `None` for the one that is chosen.
    pub(crate) algorithm: Option<String>,
}

impl Case {
    /// Whether both are algorithms of one operation.
    fn is_compared_with(&self, other: &Self) -> bool {
        self.op == other.op && self.algorithm.is_some() && other.algorithm.is_some()
    }
}

/// All that the ranks must know. Travels to processes as JSON.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    cases: Vec<Case>,
    channel: String,
    /// The channel's, if it has one. Not on the command line of processes: a password may be in it.
    #[serde(skip)]
    url: Option<String>,
    layout: Layout,
    ranks: usize,
    /// Processes that share them, if that is the layout.
    packs: usize,
    /// That run ranks, of each process.
    threads: usize,
    /// What the iterations of a case should take.
    aim: Duration,
    iters: Option<usize>,
    warmup: Option<usize>,
}

impl Plan {
    /// To measure these cases there, in the layout that is usual, as long as this for each.
    pub(crate) fn new(
        channel: &ChannelSpec,
        ranks: usize,
        cases: Vec<Case>,
        aim: Duration,
    ) -> Self {
        let local = *channel == ChannelSpec::Local;
        let layout = if local { Layout::Threads } else { Layout::Processes };
        Self {
            cases,
            channel: channel.name().to_owned(),
            url: channel.url().map(str::to_owned),
            layout,
            ranks,
            packs: ranks,
            threads: threads(layout, channel, ranks, ranks),
            aim,
            iters: None,
            warmup: None,
        }
    }

    /// Measures all cases; `report` gets each result when it is there.
    pub(crate) fn measure(&self, report: impl FnMut(Row)) -> Result<(), Failure> {
        layout::run(self, report)
    }

    /// The channel, as a configuration has it.
    fn spec(&self) -> &str {
        self.url.as_deref().unwrap_or(&self.channel)
    }
}

/// A result.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) op: Op,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) algorithm: Option<String>,
    pub(crate) channel: String,
    pub(crate) layout: Layout,
    pub(crate) ranks: usize,
    /// Processes that share them, if there are fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) packs: Option<usize>,
    pub(crate) threads: usize,
    /// Of the machine. 0, if somebody has not said so.
    #[serde(default)]
    pub(crate) cores: usize,
    pub(crate) bytes: usize,
    pub(crate) iters: usize,
    pub(crate) median_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) mb_per_s: f64,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let plan = plan(args)?;
    let mut output = Output::new(args.json, plan.cases.len());
    output.next(plan.cases.first());
    let mut done = 0;
    let result = plan.measure(|row| {
        done += 1;
        output.row(&row);
        output.next(plan.cases.get(done));
    });
    output.end();
    result.map(|()| ExitCode::SUCCESS)
}

fn plan(args: &Args) -> Result<Plan, Failure> {
    let ranks = args.ranks as usize;
    let channel = &args.channel;
    if let Some(why) = channel.unavailable() {
        return Err(Failure::usage(crate::run::lacking("--channel", channel, why)));
    }
    let local = *channel == ChannelSpec::Local;
    let layout = args.layout.unwrap_or(if local { Layout::Threads } else { Layout::Processes });
    if local && layout == Layout::Processes {
        return Err(Failure::usage(
            "--channel local joins ranks of one process, so there is no --layout processes: use \
             --layout threads, or --channel tcp",
        ));
    }
    let packs = packs(args, layout, ranks)?;
    Ok(Plan {
        layout,
        packs,
        threads: threads(layout, channel, ranks, packs),
        iters: args.iters.map(|iters| iters as usize),
        warmup: args.warmup.map(|warmup| warmup as usize),
        ..Plan::new(channel, ranks, cases(args, ranks, packs)?, Duration::from_secs_f64(args.time))
    })
}

/// How many processes share the ranks.
fn packs(args: &Args, layout: Layout, ranks: usize) -> Result<usize, Failure> {
    let Some(packs) = args.packs.map(|packs| packs as usize) else { return Ok(ranks) };
    if layout != Layout::Processes {
        return Err(Failure::usage("--packs is for --layout processes"));
    }
    if packs > ranks {
        return Err(Failure::usage(format!("--packs {packs}: there are only {ranks} ranks")));
    }
    Ok(packs)
}

/// Threads of each process that run ranks.
fn threads(layout: Layout, channel: &ChannelSpec, ranks: usize, packs: usize) -> usize {
    match layout {
        Layout::Threads if *channel == ChannelSpec::Local => cores().min(ranks),
        // Each rank is a node of its own, with an arbiter of its own.
        Layout::Threads => ranks,
        Layout::Processes => (cores() / packs).max(1).min(ranks.div_ceil(packs)),
    }
}

/// Cores of this machine.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Reads a time.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|seconds| (0.001..=3600.0).contains(seconds));
    number.ok_or_else(|| format!("{text:?} is no time: write seconds, from 0.001 to 3600"))
}

/// Every operation with every algorithm and every length; a barrier has none.
fn cases(args: &Args, ranks: usize, packs: usize) -> Result<Vec<Case>, Failure> {
    algorithms::check(&args.algorithm, &args.op)?;
    let packing = if (2..ranks).contains(&packs) { Packing::Contiguous } else { Packing::None };
    let mut cases = Vec::new();
    for (choice, op) in
        args.op.iter().flat_map(|choice| choice.ops().into_iter().map(move |op| (choice, op)))
    {
        if op == Op::Pingpong && ranks < 2 {
            if *choice == OpChoice::All {
                continue;
            }
            return Err(Failure::usage("a pingpong takes two ranks: give --ranks 2 or more"));
        }
        let lengths: Vec<_> = match op {
            op if !op.has_bytes() => vec![0],
            _ => args.bytes.iter().flat_map(|list| &list.0).copied().collect(),
        };
        let wanted = algorithms::of(op, &args.algorithm, packing, ranks, &args.channel)?;
        for algorithm in wanted {
            let case = |bytes: &usize| Case { op, bytes: *bytes, algorithm: algorithm.clone() };
            cases.extend(lengths.iter().map(case));
        }
    }
    Ok(cases)
}
