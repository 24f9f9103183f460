//! What messages through a Redis server cost, beside what the server itself takes, in one run on one
//! machine: `cargo run --release -p redis-bench`.
//!
//! | case | what is measured |
//! |---|---|
//! | raw delivery | half of a `PUBLISH` to a subscriber in another process and one back, with the same crate as it comes |
//! | raw values | one process sets values and tells another, which gets and deletes them; 4 MiB under way |
//! | ping-pong | half of a message to another process and one back, as `fmi bench` counts |
//! | stream | 1 MiB messages one after the other, one way |
//! | allreduce | of 4 bytes; the longest of the ranks' durations after a barrier |
//! | idle | CPU time of a process whose rank waits for two seconds |
//!
//! Rounds run all cases in turn, so that what disturbs the machine disturbs all; what is printed is
//! the median over the rounds of each round's median, with the least and the largest.

mod bulk;
mod ranks;
mod raw;

use clap::{Parser, Subcommand};
use std::{
    collections::BTreeMap,
    error::Error,
    io::{BufRead, BufReader},
    process::{Child, Command, ExitCode, Stdio},
};
use test_servers::redis::Server;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Messages through a Redis server against what the server itself takes.
#[derive(Debug, Parser)]
struct Arguments {
    /// A server that runs; one is started otherwise (Debian: redis-server)
    #[arg(long, global = true)]
    url: Option<String>,
    /// How often all is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Processes of the allreduce
    #[arg(long, default_value_t = 8, global = true)]
    ranks: usize,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What this program starts itself with; not for people.
#[derive(Debug, Subcommand)]
#[command(hide = true)]
enum Part {
    /// Publishes back what it hears.
    Echo,
    /// Publishes, and measures until it hears the echo.
    Call,
    /// Gets the values that it hears of.
    Fetch,
    /// Sets values, and measures until all are read.
    Store,
    /// Rank so and so of the two that send to each other.
    Pair { rank: usize, job: String },
    /// Rank so and so of an allreduce.
    Group { rank: usize, job: String },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let url = arguments.url.clone().unwrap_or_default();
    let done = match &arguments.part {
        None => measure(&arguments),
        Some(Part::Echo) => raw::echo(&url),
        Some(Part::Call) => raw::call(&url),
        Some(Part::Fetch) => bulk::fetch(&url),
        Some(Part::Store) => bulk::store(&url),
        Some(Part::Pair { rank, job }) => ranks::pair(&url, job, *rank),
        Some(Part::Group { rank, job }) => ranks::group(&url, job, *rank, arguments.ranks),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("redis-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// All rounds, and what they come to.
fn measure(arguments: &Arguments) -> Outcome<()> {
    let own = match &arguments.url {
        Some(_) => None,
        None => Some(Server::start(&[]).ok_or("there is no redis-server")?),
    };
    let given = arguments.url.clone();
    let url = given.or_else(|| own.as_ref().map(Server::url)).unwrap_or_default();
    let size = arguments.ranks.to_string();
    let start = |words: &[&str]| part(&url, &size, words);
    let mut figures = BTreeMap::<String, Vec<f64>>::new();
    for round in 1..=arguments.rounds {
        eprintln!("round {round} of {}", arguments.rounds);
        let job = |name: &str| format!("bench-{name}-{}-{round}", std::process::id());
        let mut echo = start(&["echo"])?;
        let called = read(vec![start(&["call"])?], &mut figures);
        echo.kill()?;
        echo.wait()?;
        called?;
        read(vec![start(&["store"])?, start(&["fetch"])?], &mut figures)?;
        let (pair, group) = (job("pair"), job("group"));
        read(vec![start(&["pair", "0", &pair])?, start(&["pair", "1", &pair])?], &mut figures)?;
        let ranks = (0..arguments.ranks).map(|rank| start(&["group", &rank.to_string(), &group]));
        read(ranks.collect::<Outcome<_>>()?, &mut figures)?;
    }
    print(&figures, arguments);
    Ok(())
}

/// Starts this program as a part.
fn part(url: &str, ranks: &str, words: &[&str]) -> Outcome<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--url", url, "--ranks", ranks]).args(words).stdin(Stdio::null());
    Ok(command.stdout(Stdio::piped()).spawn()?)
}

/// Takes the figures, `NAME = NUMBER` a line, that the first of some processes prints.
fn read(mut children: Vec<Child>, figures: &mut BTreeMap<String, Vec<f64>>) -> Outcome<()> {
    if let Some(output) = children[0].stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line?;
            let (name, value) = line.split_once(" = ").ok_or_else(|| line.clone())?;
            figures.entry(name.to_owned()).or_default().push(value.parse()?);
        }
    }
    for child in &mut children {
        if !child.wait()?.success() {
            return Err("a part of the benchmark has failed".into());
        }
    }
    Ok(())
}

fn print(figures: &BTreeMap<String, Vec<f64>>, arguments: &Arguments) {
    let middle = |name: &str| {
        let mut values = figures.get(name).cloned().unwrap_or_default();
        median(&mut values)
    };
    println!("| case | median | least | largest |");
    println!("|---|---|---|---|");
    for (name, values) in figures {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let largest = values.iter().copied().fold(0.0, f64::max);
        println!("| {name} | {:.1} | {least:.1} | {largest:.1} |", middle(name));
    }
    let raw = middle(raw::DELIVERY);
    println!();
    for (what, name, deliveries) in [
        ("ping-pong 1 B, one way", ranks::SMALL, 1.0),
        ("ping-pong 1 B, there and back", ranks::SMALL, 2.0),
    ] {
        println!("{what}: {:.2} raw deliveries", middle(name) * deliveries / raw);
    }
    let allreduce = middle(ranks::ALLREDUCE) / raw;
    println!("allreduce 4 B, {} processes: {allreduce:.1} raw deliveries", arguments.ranks);
}

/// The middle one.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
