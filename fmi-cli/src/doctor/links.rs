//! `fmi doctor links`: on which rung each pair of processes of a job meets, and what became of
//! the other ways.

mod report;

use crate::failure::Failure;
use fmi::{Communicator, Config, Error, PeerInfo};
use indicatif::{ProgressBar, ProgressStyle};
use report::{Attempt, Row, Seen, Table};
use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

/// Links all processes of a job with each other and says over which rung.
///
/// Run it as each process of the job, in the same places and with the same environment as the
/// program; rank 0 prints the table. The job has a name of its own, so that one that runs is not
/// disturbed. The exit code is not 0 if two processes do not reach each other.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// How many processes take part, one rank each. [default: FMI_SIZE ranks, as configured]
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 16))]
    ranks: Option<u32>,

    /// For how long better ways may be tried after a link has come up.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = clap::value_parser!(u64).range(0..=600))]
    settle: u64,

    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  FMI_RENDEZVOUS=tcp://10.0.0.1:10000 FMI_TOKEN=… fmi doctor links --ranks 3
                                                     on each of three machines
  fmi run -n 4 -- fmi doctor links                   four processes of this machine
  FMI_LADDER=relay fmi run -n 2 -- fmi doctor links --json
      {\"ok\":true,\"processes\":2,\"links\":[{\"from\":[0],\"to\":[1],\"channel\":\"tcp\",\"rung\":\"relay\",…}]}";

/// How often it is looked whether better ways are still being tried.
const LOOK: Duration = Duration::from_millis(20);

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let config = configure(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ok = runtime.block_on(examine(args, config))?;
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn configure(args: &Args) -> Result<Config, Failure> {
    let mut config = Config::from_env()?;
    if let Some(ranks) = args.ranks {
        config.size = Some(ranks as usize);
    }
    if config.meeting().is_none() && config.size.is_none_or(|size| size > 1) {
        return Err(Failure::new(
            "no rendezvous is set, so this process has nobody to link to: set FMI_RENDEZVOUS and \
             FMI_TOKEN as the program has them, or start it as `fmi run -n 4 -- fmi doctor links`",
        ));
    }
    let name = std::mem::take(&mut config.job);
    Ok(config.job(format!("{name}-doctor-links")))
}

/// Whether all processes reach each other.
async fn examine(args: &Args, config: Config) -> Result<bool, Failure> {
    let bar = bar("waiting for the others");
    let ranks = config.join_all().await?;
    let (Some(first), own) = (ranks.first(), ranks.iter().map(Communicator::rank).collect()) else {
        return Err(Failure::new("this process has no rank"));
    };
    bar.set_message("linking");
    let shown = bar.clone();
    let linked = first.connect_all().progress(move |done, total| {
        shown.set_length(total as u64);
        shown.set_position(done as u64);
    });
    let linked = linked.await;
    if linked.is_ok() {
        bar.set_message("trying better ways");
        settle(first, Duration::from_secs(args.settle)).await;
    }
    let row = Row { ranks: own, seen: seen(first) };
    bar.set_message("comparing notes");
    let rows = match linked {
        Ok(()) => collect(&ranks, &row).await,
        Err(error) => Err(error),
    };
    bar.finish_and_clear();
    match rows {
        Ok(rows) => {
            let mut ok = true;
            if let Some(rows) = rows {
                let table = Table::new(rows);
                ok = table.ok;
                table.print(args.json)?;
            }
            for comm in &ranks {
                comm.close().await?;
            }
            Ok(ok)
        }
        // The others cannot be asked any more: what is known here must do.
        Err(error) => {
            eprintln!("fmi doctor: {}: {error}", who(first));
            Table::new(vec![row]).print(args.json)?;
            Ok(false)
        }
    }
}

/// Waits until no better way is being tried.
async fn settle(comm: &Communicator, patience: Duration) {
    let start = Instant::now();
    let climbs = || (0..comm.size()).any(|rank| comm.peer(rank).is_ok_and(|peer| peer.climbing));
    while climbs() && start.elapsed() < patience {
        tokio::time::sleep(LOOK).await;
    }
}

/// What this process knows of its links, by the lowest rank of each other process.
fn seen(comm: &Communicator) -> Vec<Seen> {
    let own = comm.peer(comm.rank()).map_or(0, |peer| peer.process);
    let mut seen: Vec<(u32, Seen)> = Vec::new();
    for rank in 0..comm.size() {
        let Ok(peer) = comm.peer(rank) else { continue };
        if peer.process != own && seen.iter().all(|(process, _)| *process != peer.process) {
            seen.push((peer.process, look(&peer)));
        }
    }
    seen.into_iter().map(|(_, seen)| seen).collect()
}

fn look(peer: &PeerInfo) -> Seen {
    Seen {
        rank: peer.rank,
        channel: peer.channel.map(str::to_owned),
        rung: peer.rung.map(|rung| rung.name().to_owned()),
        attempts: peer.attempts.iter().map(Attempt::from).collect(),
    }
}

/// All processes' rows, at rank 0. All ranks take part, and each process speaks once.
async fn collect(ranks: &[Communicator], row: &Row) -> fmi::Result<Option<Vec<Row>>> {
    let text = serde_json::to_string(row).unwrap_or_default();
    let gathers = ranks.iter().enumerate().map(|(at, comm)| {
        let text = if at == 0 { text.clone() } else { String::new() };
        comm.gather(text, 0)
    });
    let gathered = futures::future::try_join_all(gathers).await?;
    let Some(texts) = gathered.into_iter().flatten().next() else { return Ok(None) };
    let rows = texts.iter().filter(|text| !text.is_empty()).map(|text| serde_json::from_str(text));
    let rows = rows.collect::<Result<_, _>>().map_err(|error| Error::Codec {
        what: "what another process saw".to_owned(),
        reason: error.to_string(),
    })?;
    Ok(Some(rows))
}

fn who(comm: &Communicator) -> String {
    format!("rank {} of {}", comm.rank(), comm.size())
}

/// On stderr, and only on a terminal.
fn bar(message: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {pos}/{len} {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(message);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
