//! The `fmi` program: starts jobs, lets them meet, measures and explains them, and finds out what is
//! wrong.

mod bench;
mod doctor;
mod embedded;
mod explain;
mod failure;
mod model;
mod plot;
mod rendezvous;
mod run;
mod units;

use clap::{Parser, Subcommand};
use std::{io::IsTerminal, process::ExitCode};
use tracing_subscriber::EnvFilter;

/// Message passing for functions that cannot see each other.
#[derive(Debug, Parser)]
#[command(name = "fmi", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Rendezvous(rendezvous::Args),
    Bench(bench::Args),
    Explain(explain::Args),
    Model(model::Args),
    Doctor(doctor::Args),
    #[command(hide = true)]
    BenchRank(bench::RankArgs),
}

const EXAMPLES: &str = "\
Examples:
  fmi run -n 4 -- target/release/examples/hello      four processes that find each other
  fmi rendezvous --listen 0.0.0.0:10000              where processes of other machines meet
  fmi bench --op allreduce --channel tcp --ranks 4   how fast it is here
  fmi explain allreduce -n 4 --svg ring.svg          which algorithm runs, and a picture of it
  fmi model polling                                  what waiting for a store costs
  fmi doctor                                         what is wrong with this environment

Each command has a --help of its own. FMI_LOG=debug shows what the library does.";

fn main() -> ExitCode {
    let cli = Cli::parse();
    log(match cli.command {
        // It says itself what went wrong.
        Command::Doctor(_) | Command::Explain(_) | Command::Model(_) => "off",
        // The ranks say what happened to them; the rendezvous inside would say it again.
        Command::Run(_) | Command::Bench(_) => "error",
        Command::Rendezvous(_) | Command::BenchRank(_) => "warn",
    });
    let (name, result) = match cli.command {
        Command::Run(args) => ("fmi run", run::run(&args)),
        Command::Rendezvous(args) => ("fmi rendezvous", rendezvous::run(&args)),
        Command::Bench(args) => ("fmi bench", bench::run(&args)),
        Command::Explain(args) => ("fmi explain", explain::run(&args)),
        Command::Model(args) => ("fmi model", model::run(&args)),
        Command::Doctor(args) => ("fmi doctor", doctor::run(&args)),
        Command::BenchRank(args) => ("fmi bench", bench::run_rank(&args)),
    };
    result.unwrap_or_else(|failure| {
        eprintln!("{name}: {failure}");
        failure.exit_code()
    })
}

fn log(default: &str) {
    let filter = EnvFilter::try_from_env("FMI_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}
