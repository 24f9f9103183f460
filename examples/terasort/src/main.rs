//! TeraSort: the sort benchmark's 100-byte records, generated, sorted by many ranks, and validated.
//!
//! ```text
//! terasort gen 20000000 in                                                # 2 GB
//! fmi run -n 8 --packs 2 -- terasort sort in out --check                  # two processes of four ranks
//! fmi run -n 8 --packs 2 -- terasort sort in out --memory 512MiB          # neither above 512 MiB
//! terasort validate out
//! terasort serial in out                                                  # one process without ranks
//! fmi run -n 8 -- terasort sort s3://bucket/in s3://bucket/out            # with the feature s3
//! ```
//!
//! `generate` and `validate` do what gensort and valsort do. What ranks say to each other is in `sort`.

use app_report::Output;
use clap::{Parser, Subcommand};
use place::Place;
use std::{io, path::PathBuf, process::ExitCode, sync::Arc};

mod files;
mod generate;
#[cfg(feature = "s3")]
mod objects;
mod order;
mod place;
mod random;
mod record;
mod serial;
mod sort;
mod throttle;
mod validate;

const EXAMPLES: &str = "\
Examples:
  terasort gen 20000000 in                                       2 GB of records
  fmi run -n 8 --packs 2 -- terasort sort in out --check         sort them with 8 ranks in 2 processes
  fmi run -n 8 --packs 2 -- terasort sort in out --memory 512MiB --spill /tmp
  fmi run -n 16 --packs 2 -- terasort sort in out --throttle 70MB/s
  terasort validate out                                          what valsort says
  terasort gen 20000000 's3://bucket/in?region=eu-west-1'        an object instead of a file, for all of these
  terasort serial in out                                         one process without ranks, for comparison";

/// The sort benchmark's 100-byte records: generated, sorted by many ranks, and validated
#[derive(Debug, Parser)]
#[command(name = "terasort", after_help = EXAMPLES)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Gen(generate::Args),
    Sort(sort::Args),
    Serial(SerialArgs),
    Validate(validate::Args),
}

/// Sort in one process, on all its cores: read, sort by key, write
#[derive(Debug, clap::Args)]
struct SerialArgs {
    /// The records: a file, or s3://BUCKET/KEY
    input: Place,

    /// The file to write, or s3://BUCKET/KEY
    output: Place,

    #[command(flatten)]
    report: Output,
}

/// Everything that can go wrong.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} is no file", .0.display())]
    NoFile(PathBuf),
    #[cfg(feature = "s3")]
    #[error("there is no object {0}")]
    NoObject(String),
    #[error("{}: {bytes} bytes are no whole number of 100-byte records: is it a file of records?", path.display())]
    Torn { path: PathBuf, bytes: u64 },
    #[error("so many records cannot be numbered")]
    TooMany,
    #[error("--memory is too small for these ranks: give each process {} at least", app_report::human(*.0))]
    Memory(u64),
    #[error("ERROR - {0}")]
    Invalid(String),
    #[error("check: the output has {found}, the input has {expected}: FAILED")]
    Check { found: String, expected: String },
    #[error(transparent)]
    Report(#[from] app_report::Failure),
    #[error(transparent)]
    Fmi(#[from] fmi::Error),
}

fn main() -> ExitCode {
    let result = match app_report::parse::<Args>().command {
        Command::Gen(args) => generate::run(&args),
        Command::Serial(args) => serial::run(&args),
        Command::Validate(args) => validate::run(&args),
        Command::Sort(args) => {
            let process = Arc::new(sort::Process::new(args));
            return fmi::run(move |ctx| sort::run(ctx, Arc::clone(&process)));
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("terasort: {failure}");
            ExitCode::FAILURE
        }
    }
}
