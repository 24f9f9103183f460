//! `fmi run`: starts a job's processes on this machine.

mod bills;
mod children;
mod contract;
mod launch;

pub(crate) use launch::{Job, launch};

use crate::failure::Failure;
use bills::{Bills, Format};
use fmi::{
    config::{ChannelSpec, Rendezvous},
    meter::Bill,
};
use serde::Serialize;
use std::{ffi::OsString, path::PathBuf, process::ExitCode, time::Instant};

/// Starts a program as a job of N ranks.
///
/// The processes find each other through a rendezvous inside this program. When one fails, the
/// others learn it and get 2 s to end by themselves; the exit code is that of the first failure.
/// Ctrl-C ends all of them, and so does the end of this program.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// How many ranks the job has.
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    ranks: u32,

    /// The channel: local (all ranks in one process), tcp, quic, redis://HOST:PORT or
    /// s3://BUCKET/PREFIX. A URL with a password rather goes to FMI_CHANNELS: a command line can
    /// be read by others. [default: what the library chooses]
    #[arg(short, long)]
    channel: Option<ChannelSpec>,

    /// How many processes host the ranks, in contiguous ranges. [default: one a rank]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    packs: Option<u32>,

    /// Where the rendezvous listens. [default: a free port on 127.0.0.1]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,

    /// Where the processes meet instead of in this program: a folder, file:///PATH, a store,
    /// redis://… or s3://…, or a server, tcp://HOST:PORT, whose token FMI_TOKEN has. [default: in
    /// this program; if the only channel is a store, there]
    #[arg(long, value_name = "URL", conflicts_with = "listen")]
    rendezvous: Option<Rendezvous>,

    /// Print at the end what the job has done, how long its collectives took, and what that cost: as a
    /// table after the program's messages, or as JSON or text for Prometheus after its output. Jobs that
    /// ask a store (redis, s3) always print the table.
    #[arg(
        long,
        value_name = "FORMAT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "table"
    )]
    bill: Option<Format>,

    /// Write the bill to a file instead, in the format of --bill; if it has none, as JSON to what ends
    /// with .json, for Prometheus to what ends with .prom, else as a table.
    #[arg(long, value_name = "FILE")]
    bill_file: Option<PathBuf>,

    /// Print one line of JSON at the end.
    #[arg(long)]
    json: bool,

    /// The program and its arguments.
    #[arg(trailing_var_arg = true, required = true, value_name = "PROGRAM")]
    command: Vec<OsString>,
}

const EXAMPLES: &str = "\
Examples:
  fmi run -n 4 -- target/release/examples/hello
  fmi run -n 4 --channel tcp -- target/release/examples/kmeans --check
  fmi run -n 8 --channel local -- ./prog             eight ranks in one process
  fmi run -n 32 --packs 2 -- ./prog                  two processes of sixteen ranks
  fmi run -n 4 --rendezvous file:///tmp -- ./prog    they meet in a folder
  fmi run -n 4 --channel redis://127.0.0.1:6379 -- ./prog
                                                     they meet and talk through a store alone
  fmi run -n 4 --bill -- ./prog                      what it has sent, waited for and cost
  fmi run -n 4 --bill-file job.prom -- ./prog        the same, for Prometheus
  fmi run -n 4 --json -- ./prog | tail -1
      {\"ranks\":4,\"processes\":4,\"exit_code\":0,\"seconds\":1.25}";

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Summary {
    ranks: usize,
    processes: usize,
    exit_code: u8,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bill: Option<Bill>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let mut job = job(args)?;
    let bills = Bills::new()?;
    job.bills = Some(bills.folder());
    let start = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exit_code = runtime.block_on(launch(&job, None))?;
    let (ranks, processes) = (job.ranks, job.processes());
    let seconds = (start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
    let wanted = args.bill.is_some() || args.bill_file.is_some();
    let bill = bills.sum().filter(|bill| wanted || bill.has_requests());
    if let Some(bill) = &bill {
        let table = bills::report(bill, ranks, processes, seconds);
        let format = args.bill.or_else(|| Format::of(args.bill_file.as_deref()?));
        let text = match format.unwrap_or(Format::Table) {
            Format::Table => table,
            format => format.text(bill)?,
        };
        match &args.bill_file {
            Some(file) => bills::write(file, &text)?,
            None if matches!(format, None | Some(Format::Table)) => eprintln!("{text}"),
            None => println!("{}", text.trim_end()),
        }
    } else if wanted {
        eprintln!(
            "fmi run: no process has left a bill: is the program one of fmi's, and did it end well?"
        );
    }
    if args.json {
        let summary = Summary { ranks, processes, exit_code, seconds, bill };
        println!("{}", serde_json::to_string(&summary).map_err(|e| Failure::new(e.to_string()))?);
    }
    Ok(ExitCode::from(exit_code))
}

/// What this build cannot use, and what to do.
pub(crate) fn lacking(setting: &str, what: impl std::fmt::Display, why: &str) -> String {
    match why.split('"').nth(1).filter(|_| why.contains("feature")) {
        Some(feature) => format!(
            "{setting} {what}: {why}: build it with `cargo build --release -p fmi-cli --features \
             {feature}`, or use local or tcp"
        ),
        None => format!("{setting} {what}: {why}: use local or tcp"),
    }
}

fn job(args: &Args) -> Result<Job, Failure> {
    let ranks = args.ranks as usize;
    if let Some(channel) = &args.channel
        && let Some(why) = channel.unavailable()
    {
        return Err(Failure::usage(lacking("--channel", channel, why)));
    }
    if let Some(url) = &args.rendezvous
        && let Some(why) = url.unavailable()
    {
        return Err(Failure::usage(lacking("--rendezvous", url, why)));
    }
    let local = args.channel == Some(ChannelSpec::Local);
    let packs = match args.packs {
        Some(packs) if local && packs > 1 => {
            return Err(Failure::usage(format!(
                "--channel local is one process with all ranks, and --packs asks for {packs}: \
                 leave one of them out"
            )));
        }
        Some(packs) if packs > args.ranks => {
            return Err(Failure::usage(format!(
                "--packs {packs} are more than the {ranks} ranks: give each process one at least"
            )));
        }
        Some(packs) => packs as usize,
        None if local => 1,
        None => ranks,
    };
    let (program, arguments) = args.command.split_first().expect("clap requires a program");
    Ok(Job {
        program: program.clone(),
        arguments: arguments.to_vec(),
        ranks,
        packs,
        channel: args.channel.clone(),
        listen: args.listen.clone(),
        rendezvous: args.rendezvous.clone(),
        bills: None,
    })
}
