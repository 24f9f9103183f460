//! `fmi run`: starts a job, as one thing, where it is to run.

mod bills;
mod children;
mod contract;
mod engine;
mod group;
mod job;
mod output;
mod progress;
mod reports;
mod verdict;

pub(crate) use children::Pipes;
pub(crate) use engine::local::launch;
pub(crate) use job::Job;
pub(crate) use output::{News, WAITING};

use crate::{failure::Failure, units};
use bills::{Bills, Format};
use engine::{Engine, On};
use fmi::{
    Config,
    config::{ChannelSpec, Rendezvous},
    meter::Bill,
};
use reports::{Reports, Start};
use serde::Serialize;
use serde_json::value::RawValue;
use std::{
    ffi::OsString,
    path::PathBuf,
    pin::pin,
    process::ExitCode,
    time::{Duration, Instant},
};
use tokio::{signal::ctrl_c, sync::mpsc::channel, time::sleep};

/// Starts a program as a job of N ranks.
///
/// All its processes start, or none does. They find each other through a rendezvous inside this
/// program. When one fails, the others learn it and get 2 s to end by themselves; the exit code is
/// that of the first failure. Ctrl-C ends all of them, and so does the end of this program. What is
/// not said here may stand in the section [job] of fmi.toml.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// How many ranks the job has.
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    ranks: Option<u32>,

    /// Where it runs. [default: local]
    #[arg(long, value_name = "ENGINE")]
    on: Option<On>,

    /// The channel: local (all ranks in one process), tcp, quic, redis://HOST:PORT or
    /// s3://BUCKET/PREFIX. A URL with a password rather goes to FMI_CHANNELS: a command line can
    /// be read by others. [default: what the library chooses]
    #[arg(short, long)]
    channel: Option<ChannelSpec>,

    /// How many processes host the ranks, in contiguous ranges. [default: one a rank]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    packs: Option<u32>,

    /// The same, said by how many ranks each process hosts.
    #[arg(long, value_name = "R", conflicts_with = "packs", value_parser = clap::value_parser!(u32).range(1..))]
    ranks_per_pack: Option<u32>,

    /// Memory of each process, as 512MiB: Slurm and Kubernetes grant that much, and bills count it.
    #[arg(long, value_name = "SIZE", value_parser = units::bytes)]
    memory: Option<usize>,

    /// A variable for all processes; may be given several times.
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,

    /// A file with a line of further arguments for each rank: Context::args has them.
    #[arg(long, value_name = "FILE")]
    rank_args: Option<PathBuf>,

    /// End the job when it has not ended after so long, as "10 min", with exit code 124.
    #[arg(long, value_name = "TIME")]
    deadline: Option<String>,

    /// Let the others go on when a process fails. The exit code is that of the first one still.
    #[arg(long)]
    keep_going: bool,

    /// How to show what the processes print. [default: prefixed on a terminal, else raw]
    #[arg(long, value_name = "FORMAT")]
    output: Option<output::Format>,

    /// Print at the end what each rank has handed in by Context::finish, in their order, as JSON.
    #[arg(long)]
    results: bool,

    /// Print what would be done, and do nothing: the commands, Slurm's script, Kubernetes' manifest.
    #[arg(long)]
    dry_run: bool,

    /// The image of the containers, on Kubernetes: the program is in it.
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,

    /// What the handlers of functions get instead of arguments: JSON, or @FILE with it.
    #[cfg(feature = "lambda")]
    #[arg(long, value_name = "JSON")]
    payload: Option<String>,

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
    #[arg(trailing_var_arg = true, value_name = "PROGRAM")]
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
  fmi run -n 4 --output json -- ./prog               who says what, for programs
  fmi run                                            as [job] of fmi.toml describes it
  fmi run --on slurm -n 64 --packs 8 -- ./prog       by srun or sbatch
  fmi run --on kubernetes -n 4 --image IMAGE --dry-run -- prog | kubectl apply -f -
  fmi run --on lambda -n 64 --packs 8 --rendezvous redis://cache:6379 -- my-function --epochs 3
                                                     eight invocations (built with the feature lambda)
  fmi run -n 4 --bill -- ./prog                      what it has sent, waited for and cost
  fmi run -n 4 --bill-file job.prom -- ./prog        the same, for Prometheus
  fmi run -n 4 --json -- ./prog | tail -1
      {\"ranks\":4,\"processes\":4,\"exit_code\":0,\"seconds\":1.25,\"start\":{\"first_ms\":9.1,…}}";

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Summary {
    ranks: usize,
    processes: usize,
    exit_code: u8,
    seconds: f64,
    /// If all ranks of the job have begun, as the library's programs say.
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<Start>,
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<Vec<Box<RawValue>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bill: Option<Bill>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let (mut job, on) = Job::read(args, Config::from_env()?)?;
    let engine = on.engine();
    if args.dry_run {
        print!("{}", engine.describe(&job)?);
        return Ok(ExitCode::SUCCESS);
    }
    let bills = Bills::new(engine.folder()?)?;
    job.folder = Some(bills.folder());
    let reports = Reports::new(&bills.folder());
    let start = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(conduct(&*engine, &job, &reports));
    // One of its threads may still hold our output, for somebody who does not read it.
    runtime.shutdown_background();
    let (exit_code, shown) = ended?;
    if engine.stays() && shown {
        let seconds = (start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        conclude(args, &job, &bills, &reports, exit_code, seconds)?;
    }
    Ok(ExitCode::from(exit_code))
}

/// Runs the job, and shows what it says meanwhile. False: not all of it could be shown.
async fn conduct(engine: &dyn Engine, job: &Job, reports: &Reports) -> Result<(u8, bool), Failure> {
    let (news, heard) = channel(WAITING);
    let width = (0..job.packs).map(|pack| contract::range_text(&job.ranks_of(pack)).len()).max();
    let mut show = pin!(output::show(heard, job.output, width.unwrap_or(1)));
    let mut shown = false;
    let code = {
        let mut run = pin!(engine.run(job, news));
        let mut display = pin!(progress::display(job, reports));
        loop {
            tokio::select! {
                code = &mut run => break code?,
                () = &mut display => {}
                () = &mut show, if !shown => shown = true,
            }
        }
    };
    if !shown {
        // Whoever reads us may have stopped to. Who wants the end waits for nobody.
        let told_to_end = matches!(code, 124 | 129 | 130 | 143);
        let patience = if told_to_end { LAST_WORDS } else { Duration::MAX };
        tokio::select! {
            () = &mut show => shown = true,
            () = sleep(patience) => {}
            _ = ctrl_c() => {}
        }
    }
    Ok((code, shown))
}

/// After Ctrl-C or the deadline, how long what was said may take to be shown.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// What is told at the end.
fn conclude(
    args: &Args,
    job: &Job,
    bills: &Bills,
    reports: &Reports,
    exit_code: u8,
    seconds: f64,
) -> Result<(), Failure> {
    let (ranks, processes) = (job.ranks, job.packs);
    let results = reports.results(ranks);
    if args.results && !args.json {
        for (rank, result) in results.iter().flatten().enumerate() {
            println!("{{\"rank\":{rank},\"result\":{result}}}");
        }
    }
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
        let start = reports.start(ranks);
        let summary = Summary { ranks, processes, exit_code, seconds, start, results, bill };
        println!("{}", serde_json::to_string(&summary).map_err(|e| Failure::new(e.to_string()))?);
    }
    Ok(())
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
