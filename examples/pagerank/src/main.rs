//! PageRank: which packages of Debian all others lean on; or of any edge list.
//!
//! ```text
//! pagerank debian > debian.edges                                          # from apt-cache dumpavail
//! fmi run -n 64 --packs 8 -- pagerank rank debian.edges --check           # 8 processes of 8 ranks
//! ```
//!
//! `debian` makes a graph, `graph` reads one, `power` is the arithmetic, and `rank` the program of a rank.

use clap::{Parser, Subcommand};
use std::{io, path::PathBuf, process::ExitCode, sync::Arc};

mod debian;
mod graph;
mod power;
mod rank;

const EXAMPLES: &str = "\
Examples:
  pagerank debian > debian.edges                                  which package needs which
  fmi run -n 8 --packs 2 -- pagerank rank debian.edges --check
  fmi run -n 64 --packs 2 -- pagerank rank debian.edges --exchange whole --json
  zcat web.gz | fmi run -n 4 -- pagerank rank -                   any list of edges, a pair a line";

/// `PageRank` over ranks that own ranges of vertices
#[derive(Debug, Parser)]
#[command(name = "pagerank", after_help = EXAMPLES)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Debian(debian::Args),
    Rank(rank::Args),
}

/// Everything that can go wrong.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}:{line}: {text:?} is no edge: write two names with a space between them", path.display())]
    NoEdge { path: PathBuf, line: usize, text: String },
    #[error("{}: there are no edges in it", .0.display())]
    Empty(PathBuf),
    #[error("{}: more than {} vertices", .0.display(), u32::MAX)]
    TooMany(PathBuf),
    #[error("there are no packages: neither apt-cache dumpavail nor {} knows any; give a file with --from", .0.display())]
    NoPackages(PathBuf),
    #[error("cannot write the edges: {0}")]
    Output(io::Error),
    #[error("check: {0}: FAILED")]
    Check(String),
    #[error(transparent)]
    Report(#[from] app_report::Failure),
    #[error(transparent)]
    Fmi(#[from] fmi::Error),
}

fn main() -> ExitCode {
    match app_report::parse::<Args>().command {
        Command::Rank(args) => {
            let args = Arc::new(args);
            fmi::run(move |ctx| rank::run(ctx, Arc::clone(&args)))
        }
        Command::Debian(args) => match debian::run(&args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                eprintln!("pagerank: {failure}");
                ExitCode::FAILURE
            }
        },
    }
}
