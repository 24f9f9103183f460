//! How fast links come up through address translations: fresh pairs of processes behind two of
//! them, one pair after the other, and full meshes. It prints a table, and a line of JSON a row.

use std::{collections::BTreeMap, env, io, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use nat_tests::{
    job::{Job, Rendezvous},
    lab::{Builder, Distance, How, Kind, Lab, missing},
    report::{Linked, Report},
};
use serde::Serialize;

/// How fast links come up through address translations.
///
/// Needs root, ip and nft. Each case is printed as soon as it is done.
#[derive(Debug, Parser)]
#[command(after_help = EXAMPLES)]
struct Args {
    /// As FMI_CHANNELS; may be given several times.
    #[arg(long = "channel", default_values = ["tcp", "quic"])]
    channels: Vec<String>,
    /// Milliseconds that a packet takes there and back; may be given several times.
    #[arg(long, default_values_t = [0.0, 40.0])]
    round_trip: Vec<f64>,
    /// One line of JSON a case, nothing else.
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Fresh pairs of processes, one after the other.
    Pairs {
        /// How many.
        #[arg(long, default_value_t = 100)]
        pairs: usize,
        /// How rank 0 is connected.
        #[arg(long, default_value = "restricted", value_parser = kind)]
        one: Kind,
        /// How rank 1 is connected.
        #[arg(long, default_value = "restricted", value_parser = kind)]
        other: Kind,
    },
    /// All links of many processes at once.
    Mesh {
        /// How many processes.
        #[arg(long, default_value_t = 32)]
        processes: usize,
        /// Behind how many address translations.
        #[arg(long, default_value_t = 4)]
        sites: usize,
    },
    /// A link that is cut for 2 s while it carries something.
    Cut {
        /// Bytes, in large messages; then 100,000 small ones.
        #[arg(long, default_value_t = 1_000_000_000)]
        bytes: u64,
    },
}

const EXAMPLES: &str = "\
Examples:
  nat-bench pairs                               100 pairs, tcp and quic, 0 and 40 ms
  nat-bench --channel tcp --round-trip 0 pairs --pairs 10 --other symmetric
  nat-bench mesh --processes 32 --sites 4
  nat-bench --channel tcp --round-trip 0 cut    1 GB, cut for 2 s";

/// What a case came to.
#[derive(Debug, Serialize)]
struct Outcome {
    case: String,
    channel: String,
    round_trip_ms: f64,
    /// How many there were.
    n: usize,
    /// How many of them have failed.
    failed: usize,
    median_ms: f64,
    p90_ms: f64,
    worst_ms: f64,
    /// How many links there are of each kind.
    links: BTreeMap<String, usize>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(missing) = missing() {
        eprintln!("no lab: {missing}");
        return ExitCode::FAILURE;
    }
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// True if nothing has failed.
fn run(args: &Args) -> io::Result<bool> {
    if !args.json {
        println!(
            "{:<44} {:<9} {:>5} {:>5} {:>6} {:>10} {:>10} {:>10}  links",
            "case", "channel", "rtt", "n", "failed", "median ms", "p90 ms", "worst ms"
        );
    }
    let mut well = true;
    for channel in &args.channels {
        for span in &args.round_trip {
            let outcomes = match &args.what {
                What::Pairs { pairs, one, other } => {
                    pairs_of(*pairs, (*one, *other), channel, *span)?
                }
                What::Mesh { processes, sites } => vec![mesh(*processes, *sites, channel, *span)?],
                What::Cut { bytes } => cuts(*bytes, channel, *span)?,
            };
            for outcome in outcomes {
                well &= outcome.failed == 0;
                show(args.json, &outcome)?;
            }
        }
    }
    Ok(well)
}

/// One row for the first link that comes up, one for the first answer, one for the last link.
fn pairs_of(
    pairs: usize,
    (one, other): (Kind, Kind),
    channel: &str,
    span: f64,
) -> io::Result<Vec<Outcome>> {
    let lab = far(Lab::pair(one, other), span).build()?;
    let rendezvous = Rendezvous::start(&lab);
    let mut reports: Vec<Linked> = Vec::new();
    let mut failed = 0;
    for number in 0..pairs {
        let mut job = Job::pair(peer()?, channel);
        job.name = format!("pair-{number}");
        job.quiet();
        let processes = job.start_all(&rendezvous, lab.hosts(), &["link"]);
        // Both have to have all before either is ended.
        let ends = processes.iter().map(|process| {
            process.report_or(|report| match report {
                Report::Linked(linked) => Some(linked.clone()),
                _ => None,
            })
        });
        match ends.collect::<Vec<_>>().remove(0) {
            Ok(linked) => reports.push(linked),
            Err(error) => {
                eprintln!("pair {number}: {error}");
                failed += 1;
            }
        }
    }
    let name = format!("{pairs} pairs, {one} to {other}");
    let row = |what: &str, ms: Vec<f64>, links| {
        outcome(format!("{name}: {what}"), channel, span, failed, ms, links)
    };
    let mut links = BTreeMap::new();
    for linked in &reports {
        if let Some(last) = linked.last() {
            *links.entry(format!("{} {}", last.channel, last.rung)).or_default() += 1;
        }
    }
    let first = reports.iter().filter_map(|linked| Some(linked.links.first()?.0)).collect();
    let answered = reports.iter().map(|linked| linked.answered_ms).collect();
    Ok(vec![row("link", first, links.clone()), row("first answer", answered, links)])
}

fn mesh(processes: usize, sites: usize, channel: &str, span: f64) -> io::Result<Outcome> {
    let mut builder = Lab::builder();
    for site in 0..sites {
        let hosts = processes / sites + usize::from(site < processes % sites);
        builder = builder.site(Kind::Restricted, u8::try_from(hosts).unwrap_or(u8::MAX));
    }
    let lab = far(builder, span).build()?;
    let rendezvous = Rendezvous::start(&lab);
    let mut job = Job::pair(peer()?, channel);
    job.size = processes;
    job.quiet();
    let started = job.start_all(&rendezvous, lab.hosts(), &["mesh"]);
    let mut links = BTreeMap::new();
    let (mut ms, mut failed) = (Vec::new(), 0);
    for process in &started {
        let report = process.report_or(|report| match report {
            Report::Mesh { ms, links } => Some((*ms, links.clone())),
            _ => None,
        });
        match report {
            Ok((took, others)) => {
                ms.push(took);
                for link in others {
                    *links.entry(format!("{} {}", link.channel, link.rung)).or_default() += 1;
                }
            }
            Err(error) => {
                eprintln!("{error}");
                failed += 1;
            }
        }
    }
    let case = format!("{processes} processes behind {sites} boxes: all links");
    Ok(outcome(case, channel, span, failed, ms, links))
}

/// Large and small messages, through silence and resets; how long each took.
fn cuts(bytes: u64, channel: &str, span: f64) -> io::Result<Vec<Outcome>> {
    let bytes = bytes.to_string();
    let large = (format!("{bytes} bytes"), ["stream", "--bytes", &bytes]);
    let small = ("100000 messages each way".to_owned(), ["messages", "--count", "100000"]);
    let mut outcomes = Vec::new();
    for (name, task) in [large, small] {
        for how in [None, Some(How::Silently), Some(How::Reset)] {
            let lab = far(Lab::pair(Kind::Restricted, Kind::Restricted), span).build()?;
            let rendezvous = Rendezvous::start(&lab);
            let mut job = Job::pair(peer()?, channel).with("FMI_LADDER", "direct,punched");
            job.quiet();
            let processes = job.start_all(&rendezvous, lab.hosts(), &task);
            if let Some(how) = how {
                let begun = |report: &Report| matches!(report, Report::Progress { .. });
                // If it fails, it is found to have failed below.
                let _ = processes[1].report_or(|report| begun(report).then_some(()));
                let cut = lab.cut(0, 1, how);
                std::thread::sleep(Duration::from_secs(2));
                cut.mend();
            }
            let mut ms = Vec::new();
            for process in &processes {
                let end = process.report_or(|report| match report {
                    Report::Transferred { ms } => Some(*ms),
                    _ => None,
                });
                match end {
                    Ok(took) => ms.push(took),
                    Err(error) => eprintln!("{error}"),
                }
            }
            let failed = 2 - ms.len();
            let how = how.map_or("not cut".to_owned(), |how| format!("{how:?}"));
            let case = format!("{name}, {how}");
            outcomes.push(outcome(case, channel, span, failed, ms, BTreeMap::new()));
        }
    }
    Ok(outcomes)
}

fn far(builder: Builder, span: f64) -> Builder {
    match span > 0.0 {
        true => builder.distance(Distance::round_trip(Duration::from_secs_f64(span / 1e3))),
        false => builder,
    }
}

fn outcome(
    case: String,
    channel: &str,
    round_trip_ms: f64,
    failed: usize,
    mut ms: Vec<f64>,
    links: BTreeMap<String, usize>,
) -> Outcome {
    ms.sort_by(f64::total_cmp);
    // The smallest value that so many are not above.
    let at = |part: f64| {
        let place = (part * ms.len() as f64).ceil() as usize;
        ms.get(place.max(1) - 1).copied().unwrap_or(f64::NAN)
    };
    Outcome {
        case,
        channel: channel.to_owned(),
        round_trip_ms,
        n: ms.len() + failed,
        failed,
        median_ms: at(0.5),
        p90_ms: at(0.9),
        worst_ms: at(1.0),
        links,
    }
}

fn show(json: bool, outcome: &Outcome) -> io::Result<()> {
    if json {
        println!("{}", serde_json::to_string(outcome)?);
        return Ok(());
    }
    let links: Vec<String> =
        outcome.links.iter().map(|(link, number)| format!("{number} {link}")).collect();
    println!(
        "{:<44} {:<9} {:>5} {:>5} {:>6} {:>10.1} {:>10.1} {:>10.1}  {}",
        outcome.case,
        outcome.channel,
        outcome.round_trip_ms,
        outcome.n,
        outcome.failed,
        outcome.median_ms,
        outcome.p90_ms,
        outcome.worst_ms,
        links.join(", ")
    );
    Ok(())
}

fn kind(name: &str) -> Result<Kind, String> {
    let known = || Kind::ALL.map(Kind::name).join(", ");
    let found = Kind::ALL.into_iter().find(|kind| kind.name() == name);
    found.ok_or_else(|| format!("the kinds are {}", known()))
}

/// The program that stands beside this one.
fn peer() -> io::Result<PathBuf> {
    Ok(env::current_exe()?.with_file_name("nat-peer"))
}
