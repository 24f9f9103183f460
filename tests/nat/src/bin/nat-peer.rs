//! A process of a job, started inside a namespace. The environment says which job; the arguments
//! what it does. It prints a line of JSON for each thing that happens ([`Report`]), and ends when
//! it is told to leave, or when who started it has ended.

use std::{
    io::{BufRead, Write},
    process::ExitCode,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use clap::{Parser, Subcommand};
use fmi::{Buf, Communicator, Config, Error};
use futures::channel::oneshot;
use nat_tests::report::{Ended, Linked, Report};

/// A process of a job in a lab.
#[derive(Debug, Parser)]
struct Args {
    /// After how many seconds a peer counts as lost.
    #[arg(long, default_value_t = 10.0)]
    silent: f64,
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Two ranks: a message and its answer, and how they went.
    Link {
        /// Wait until the link is on this rung.
        #[arg(long)]
        rung: Option<String>,
        /// Wait no longer than that.
        #[arg(long, default_value_t = 20.0)]
        seconds: f64,
    },
    /// Two ranks: rank 0 sends so many bytes in large messages.
    Stream {
        /// How many.
        #[arg(long)]
        bytes: u64,
    },
    /// Two ranks: each sends so many small messages to the other.
    Messages {
        /// How many.
        #[arg(long)]
        count: u64,
    },
    /// Every rank links to every other.
    Mesh {
        /// Wait until no link leads through the relay, but no longer than that.
        #[arg(long, default_value_t = 0.0)]
        seconds: f64,
    },
    /// Two ranks: a message and its answer, then both wait for one that never comes.
    Wait,
}

/// Bytes of a large message.
const CHUNK: u64 = 1 << 20;

fn main() -> ExitCode {
    let args = Args::parse();
    let filter = tracing_subscriber::EnvFilter::from_env("FMI_LOG");
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(life(&args)).map_err(|error| error.to_string()));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn life(args: &Args) -> fmi::Result<()> {
    let told = listen();
    let config = Config::from_env()?.silent_deadline(Duration::from_secs_f64(args.silent));
    let comm = config.join().await?;
    say(&Report::Joined { rank: comm.rank() });
    let done = match &args.task {
        Task::Link { rung, seconds } => {
            link(&comm, rung.as_deref(), Duration::from_secs_f64(*seconds)).await
        }
        Task::Stream { bytes } => stream(&comm, *bytes).await,
        Task::Messages { count } => messages(&comm, *count).await,
        Task::Mesh { seconds } => mesh(&comm, Duration::from_secs_f64(*seconds)).await,
        Task::Wait => wait(&comm).await,
    };
    if let Err(error) = done {
        say(&failed(&error));
    }
    // Not before all are done: some may still need this process.
    let _ = told.await;
    match comm.close().await {
        Err(error) if comm.size() > 1 => {
            eprintln!("closing: {error}");
            Ok(())
        }
        closed => closed,
    }
}

/// A message and its answer; then waits until the link is on a rung.
async fn link(comm: &Communicator, rung: Option<&str>, patience: Duration) -> fmi::Result<()> {
    let other = 1 - comm.rank();
    let watch = Watch::begin(comm, other);
    ping(comm).await?;
    let answered = watch.begun.elapsed();
    // Links that are there are bettered while others are awaited.
    let until = Instant::now() + patience;
    while Instant::now() < until
        && rung.is_some_and(|rung| watch.last().is_none_or(|link| link.rung != rung))
    {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Over the link that is there now.
    ping(comm).await?;
    let links = watch.end();
    let attempts = attempts(comm, other);
    say(&Report::Linked(Linked { answered_ms: ms(answered), links, attempts }));
    Ok(())
}

/// Rank 0 asks, rank 1 answers.
async fn ping(comm: &Communicator) -> fmi::Result<()> {
    if comm.rank() == 0 {
        comm.send(1u64, 1, 0).await?;
        let _: u64 = comm.recv(1, 0).await?;
    } else {
        let _: u64 = comm.recv(0, 0).await?;
        comm.send(2u64, 0, 0).await?;
    }
    Ok(())
}

/// Rank 0 sends, rank 1 compares every byte with what was sent.
async fn stream(comm: &Communicator, bytes: u64) -> fmi::Result<()> {
    let begun = Instant::now();
    let chunks = bytes.div_ceil(CHUNK);
    for chunk in 0..chunks {
        if comm.rank() == 0 {
            comm.send(content(chunk), 1, 0).await?;
            continue;
        }
        let got: Buf<u64> = comm.recv(0, 0).await?;
        if got[..] != content(chunk)[..] {
            return Err(wrong(format!(
                "message {chunk} is another: it begins with {:?}",
                &got[..4]
            )));
        }
        progress(chunk, chunks);
    }
    // Only now it has all arrived.
    ping(comm).await?;
    say(&Report::Transferred { ms: ms(begun.elapsed()) });
    Ok(())
}

/// What the message with this number has in it.
fn content(chunk: u64) -> Vec<u64> {
    let mut state = chunk;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(chunk | 1);
        state
    };
    std::iter::repeat_with(next).take(CHUNK as usize / 8).collect()
}

/// Both ranks send and receive, each its own row of numbers.
async fn messages(comm: &Communicator, count: u64) -> fmi::Result<()> {
    let begun = Instant::now();
    let other = 1 - comm.rank();
    let sending = async {
        for number in 0..count {
            comm.send(number, other, 0).await?;
        }
        Ok(())
    };
    let receiving = async {
        for number in 0..count {
            let got: u64 = comm.recv(other, 0).await?;
            if got != number {
                return Err(wrong(format!("message {got} where {number} was due")));
            }
            progress(number, count);
        }
        Ok(())
    };
    futures::future::try_join(sending, receiving).await?;
    ping(comm).await?;
    say(&Report::Transferred { ms: ms(begun.elapsed()) });
    Ok(())
}

/// Says each tenth once.
fn progress(number: u64, of: u64) {
    let percent = |number: u64| number * 10 / of * 10;
    if number > 0 && percent(number) != percent(number - 1) {
        say(&Report::Progress { percent: percent(number) });
    }
}

/// All links at once; then each of them carries something.
async fn mesh(comm: &Communicator, patience: Duration) -> fmi::Result<()> {
    let begun = Instant::now();
    comm.connect_all().await?;
    let took = begun.elapsed();
    let sum: u64 = comm.alltoall(vec![1u64; comm.size()]).await?.iter().sum();
    if sum != comm.size() as u64 {
        return Err(wrong(format!("{} ranks say {sum}", comm.size())));
    }
    let links = || -> Vec<Ended> {
        let others = (0..comm.size()).filter(|rank| *rank != comm.rank());
        others.filter_map(|rank| seen(comm, rank)).collect()
    };
    // Better links take the place of those that were there first.
    let until = Instant::now() + patience;
    while Instant::now() < until
        && (links().len() + 1 < comm.size() || links().iter().any(|link| link.rung == "relay"))
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let links = links();
    say(&Report::Mesh { ms: ms(took), links });
    Ok(())
}

/// For tests that cut links for good.
async fn wait(comm: &Communicator) -> fmi::Result<()> {
    ping(comm).await?;
    let links = seen(comm, 1 - comm.rank()).map(|link| (0.0, link)).into_iter().collect();
    say(&Report::Linked(Linked { answered_ms: 0.0, links, attempts: Vec::new() }));
    let _: u64 = comm.recv(1 - comm.rank(), 1).await?;
    Ok(())
}

/// Looks at a link until told to end, and notes when it becomes another.
struct Watch {
    begun: Instant,
    seen: Arc<Mutex<Vec<(f64, Ended)>>>,
    end: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Watch {
    fn begin(comm: &Communicator, rank: usize) -> Self {
        let (begun, comm) = (Instant::now(), comm.clone());
        let (seen, end) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (notes, ended) = (Arc::clone(&seen), Arc::clone(&end));
        let thread = thread::spawn(move || {
            while !ended.load(Ordering::Acquire) {
                note(&notes, begun, &comm, rank);
                thread::sleep(Duration::from_micros(200));
            }
            note(&notes, begun, &comm, rank);
        });
        Self { begun, seen, end, thread }
    }

    fn last(&self) -> Option<Ended> {
        self.seen.lock().ok()?.last().map(|(_, link)| link.clone())
    }

    fn end(self) -> Vec<(f64, Ended)> {
        self.end.store(true, Ordering::Release);
        let _ = self.thread.join();
        self.seen.lock().map(|seen| seen.clone()).unwrap_or_default()
    }
}

fn note(notes: &Mutex<Vec<(f64, Ended)>>, begun: Instant, comm: &Communicator, rank: usize) {
    if let (Some(link), Ok(mut notes)) = (seen(comm, rank), notes.lock())
        && notes.last().is_none_or(|(_, last)| *last != link)
    {
        notes.push((ms(begun.elapsed()), link));
    }
}

fn seen(comm: &Communicator, rank: usize) -> Option<Ended> {
    let peer = comm.peer(rank).ok()?;
    let (channel, rung) = (peer.channel?.to_owned(), peer.rung?.name().to_owned());
    Some(Ended { rank, channel, rung })
}

fn attempts(comm: &Communicator, rank: usize) -> Vec<String> {
    let tried = comm.peer(rank).map(|peer| peer.attempts).unwrap_or_default();
    let tried = tried.into_iter().map(|attempt| match attempt.outcome {
        Ok(took) => format!("{}: up after {:.1} ms", attempt.way, ms(took)),
        Err(error) => format!("{}: {error}", attempt.way),
    });
    tried.collect()
}

fn failed(error: &Error) -> Report {
    let names = match error {
        Error::RankLost { rank, .. } | Error::Abandoned { rank, .. } => Some(*rank),
        _ => None,
    };
    Report::Failed { error: error.to_string(), names }
}

fn wrong(message: String) -> Error {
    Error::Argument { operation: "recv", message }
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

fn say(report: &Report) {
    let line = serde_json::to_string(report).expect("a report is plain data");
    let mut out = std::io::stdout().lock();
    // Nobody may be there any more to read it.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Waits to be told to leave. The end of the input is the end of who started this, and the end.
fn listen() -> oneshot::Receiver<()> {
    let (tell, told) = oneshot::channel();
    thread::spawn(move || {
        let mut line = String::new();
        if std::io::stdin().lock().read_line(&mut line).is_ok_and(|length| length > 0) {
            let _ = tell.send(());
        } else {
            std::process::exit(2);
        }
    });
    told
}
