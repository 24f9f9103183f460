//! `fmi explain`: which algorithm runs a collective, why, and what happens in it.

mod case;
mod json;
mod model;
mod svg;
mod table;
mod text;
mod traffic;

use crate::{failure::Failure, units};
use case::Case;
use clap::{ValueEnum, builder::PossibleValue};
use fmi::{
    Config,
    plan::{Collective, Demand, Shelf},
};
use fmi_model::Objective;
use std::{fs, io::Write, path::PathBuf, process::ExitCode};

/// Shows which algorithm runs a collective and why, and its plan round by round.
///
/// Without OP: by which table algorithms are chosen. With --profile the model of time and money chooses. Algorithms that fmi.toml or FMI_ALGORITHMS
/// prefer are, here too. Each plan is checked before it is shown.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The collective.
    #[arg(value_enum, value_name = "OP")]
    op: Option<Op>,

    /// How many ranks.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    ranks: u32,

    /// Bytes a rank contributes (gather, allgather, reduce kinds), sends (bcast) or receives
    /// (scatter); of alltoall and reduce_scatter in total over its N values.
    #[arg(long, value_name = "B", default_value = "1KiB", value_parser = units::bytes)]
    bytes: usize,

    /// An algorithm instead of the one that the table chooses: ring, allreduce/ring.
    #[arg(long, value_name = "NAME", requires = "op")]
    algorithm: Option<String>,

    /// The root, of bcast, gather, scatter and reduce.
    #[arg(long, value_name = "RANK", default_value_t = 0)]
    root: u32,

    /// What the reduce operation allows.
    #[arg(long, value_enum, value_name = "KIND", default_value = "commutative")]
    op_kind: OpKind,

    /// Values are serialised, and so cannot be cut. [default: vectors of numbers]
    #[arg(long)]
    opaque: bool,

    /// All ranks live in one process. [default: each in its own]
    #[arg(long)]
    together: bool,

    /// How many processes share the ranks, in contiguous ranges. [default: one a rank]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "together")]
    packs: Option<u32>,

    /// How many machines share the processes. [default: one a process; with a profile of one machine, that]
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "together")]
    machines: Option<u32>,

    /// What a store (Redis, S3) is to the processes: none, beside links, or alone, without any
    /// (Redis, which pushes messages: pushed).
    #[arg(long, value_enum, default_value = "none", conflicts_with = "together")]
    store: StoreIs,

    /// Ask the model of time and money instead of the table: what all plans take and cost by this profile, one
    /// that comes with this program, or a file.
    #[arg(long, value_name = "NAME|FILE", requires = "op")]
    profile: Option<String>,

    /// The profile's channels that join the processes: tcp, s3, tcp+s3. [default: tcp; as --store says, s3
    /// or redis]
    #[arg(long, value_name = "NAME", requires = "profile", conflicts_with_all = ["store", "together"])]
    channel: Option<String>,

    /// What is wanted: fast, cheap, "fast within $0.001", "cheap within 20 ms".
    #[arg(long, value_name = "WHAT", requires = "profile", default_value = "fast")]
    objective: Objective,

    /// Draw the plan into this file, as a message diagram.
    #[arg(long, value_name = "FILE", requires = "op")]
    svg: Option<PathBuf>,

    /// Print the table by which algorithms are chosen.
    #[arg(long, conflicts_with_all = ["op", "list"])]
    table: bool,

    /// List all algorithms, with their rounds on N ranks.
    #[arg(long)]
    list: bool,

    /// Print one line of JSON, with the whole plan in it.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  fmi explain                                              the table of choice
  fmi explain allreduce -n 8 --bytes 4MiB                  what runs there, and why
  fmi explain allreduce -n 4 --algorithm ring --svg ring.svg
  fmi explain reduce -n 5 --root 2 --op-kind ordered --opaque
  fmi explain alltoall -n 8 --packs 2 --bytes 1MB           what is sent inside of packs, and what between
  fmi explain bcast -n 16 --store alone                    where only Redis or S3 joins them
  fmi explain allreduce -n 8 --bytes 4MiB --profile aws-lambda   what the model says of all plans
  fmi explain --list -n 1000                               all algorithms on 1000 ranks
  fmi explain bcast -n 8 --json
      {\"op\":\"bcast\",\"algorithm\":\"bcast/binomial\",\"ranks\":8,…,\"rounds\":3,…}

A round: each rank sends at most one message and receives at most one.";

/// A collective, by its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Op(pub(crate) Collective);

impl ValueEnum for Op {
    fn value_variants<'a>() -> &'a [Self] {
        const VARIANTS: [Op; Collective::ALL.len()] = {
            let mut variants = [Op(Collective::Barrier); Collective::ALL.len()];
            let mut at = 0;
            while at < variants.len() {
                variants[at] = Op(Collective::ALL[at]);
                at += 1;
            }
            variants
        };
        &VARIANTS
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()))
    }
}

/// What a store is to the processes.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum StoreIs {
    None,
    Beside,
    Alone,
    /// As alone, and messages through it are pushed: Redis.
    Pushed,
}

impl From<StoreIs> for Shelf {
    fn from(store: StoreIs) -> Self {
        match store {
            StoreIs::None => Self::None,
            StoreIs::Beside => Self::Beside,
            StoreIs::Alone => Self::Alone,
            StoreIs::Pushed => Self::Pushed,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum OpKind {
    /// Any order and bracketing: op::sum, op::commutative.
    Commutative,
    /// Rank order, any bracketing: op::associative.
    Associative,
    /// The left fold in rank order: op::ordered.
    Ordered,
}

impl From<OpKind> for Demand {
    fn from(kind: OpKind) -> Self {
        match kind {
            OpKind::Commutative => Self::Commutative,
            OpKind::Associative => Self::Associative,
            OpKind::Ordered => Self::Ordered,
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let table = Config::from_env()?.table();
    let ranks = args.ranks as usize;
    let output = match args.op {
        _ if args.list => table::list(args.op.map(|op| op.0), ranks, args.json)?,
        None => table::table(&table, args.json)?,
        Some(Op(collective)) => {
            let case = Case::new(args, collective, &table)?;
            if let Some(file) = &args.svg {
                let picture = svg::draw(&case)?;
                fs::write(file, picture)
                    .map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
            }
            if args.json { json::case(&case)? } else { text::case(&case) }
        }
    };
    // Nobody may be reading any more: `fmi explain … | head`.
    let _ = std::io::stdout().lock().write_all(output.as_bytes());
    Ok(ExitCode::SUCCESS)
}

/// One line.
fn line(value: &impl serde::Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string(value).map_err(|error| Failure::new(error.to_string()))?;
    Ok(text + "\n")
}
