//! A job's life: start all processes, watch them, end what is left.

use super::{
    children::{Child, Order, spawn},
    contract::{self, range_text, ranks_of},
};
use crate::{embedded::Embedded, failure::Failure};
use fmi::config::ChannelSpec;
use futures::{StreamExt, stream::FuturesUnordered};
use std::{ffi::OsString, os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc::UnboundedSender, watch},
    time::{Instant, sleep_until},
};

/// After the first failure, how long the other processes may take to end by themselves.
const GRACE: Duration = Duration::from_secs(2);
/// After SIGTERM, how long they may take.
const TERM: Duration = Duration::from_millis(500);
const LOOPBACK: &str = "127.0.0.1:0";

/// What to start.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) program: OsString,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) ranks: usize,
    /// Processes that host them.
    pub(crate) packs: usize,
    pub(crate) channel: Option<ChannelSpec>,
    /// Where the rendezvous listens, if not on a free port of the loopback.
    pub(crate) listen: Option<String>,
}

impl Job {
    /// How many processes that is.
    pub(crate) fn processes(&self) -> usize {
        self.packs
    }
}

/// Runs a job to its end; returns the exit code of the first process that failed, or 0.
///
/// With `lines`, what the process of rank 0 prints goes there, line by line; all else that
/// processes print goes where this program's output goes.
pub(crate) async fn launch(
    job: &Job,
    lines: Option<UnboundedSender<String>>,
) -> Result<u8, Failure> {
    // Before the first child: a signal must find us ready.
    let mut signals = Signals::listen()?;
    let rendezvous = if contract::meets_others(job) || job.listen.is_some() {
        Some(Embedded::start(job.listen.as_deref().unwrap_or(LOOPBACK)).await?)
    } else {
        None
    };
    let (orders, order) = watch::channel(Order::Run);
    let mut running = FuturesUnordered::new();
    let mut output = lines;
    for pack in 0..job.packs {
        let ranks = ranks_of(pack, job.packs, job.ranks);
        let variables = contract::environment(job, &ranks, rendezvous.as_ref());
        // Dropping those that run already kills them, should this one not start.
        let child: Child = spawn(job, &variables, output.take())?;
        let order = order.clone();
        running.push(async move { (ranks, child.watch(order).await) });
    }

    let mut code = None;
    let mut end_by = None;
    while !running.is_empty() {
        tokio::select! {
            Some((ranks, status)) = running.next() => {
                let status = status?;
                if status.success() || code.is_some() {
                    continue;
                }
                code = Some(exit_code(status));
                end_by = Some(Instant::now() + GRACE);
                // Ctrl-C goes to the children too, and they may be faster.
                if status.signal() != Some(libc::SIGINT) {
                    eprintln!("fmi run: {} {}", named(&range_text(&ranks)), describe(status));
                }
            }
            number = signals.next() => {
                let again = *orders.borrow() != Order::Run;
                code.get_or_insert(128 + number as u8);
                orders.send_replace(if again { Order::Kill } else { Order::Terminate });
                end_by = Some(Instant::now() + TERM);
            }
            () = sleep_until(end_by.unwrap_or_else(Instant::now)), if end_by.is_some() => {
                orders.send_replace(Order::Kill);
                end_by = None;
            }
        }
    }
    Ok(code.unwrap_or(0))
}

/// The signals that end a job.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next one's number. Cancel-safe.
    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => libc::SIGINT,
            _ = self.terminate.recv() => libc::SIGTERM,
            _ = self.hangup.recv() => libc::SIGHUP,
        }
    }
}

/// As a shell has it: 128 and the signal's number.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    u8::try_from(code).unwrap_or(u8::MAX)
}

fn named(ranks: &str) -> String {
    match ranks.contains('-') {
        true => format!("the process of ranks {ranks}"),
        false => format!("rank {ranks}"),
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}{}", signal_name(signal)),
        (None, None) => "ended".to_owned(),
    }
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        libc::SIGABRT => " (SIGABRT)",
        libc::SIGBUS => " (SIGBUS)",
        libc::SIGFPE => " (SIGFPE)",
        libc::SIGILL => " (SIGILL)",
        libc::SIGKILL => " (SIGKILL; out of memory?)",
        libc::SIGSEGV => " (SIGSEGV)",
        libc::SIGTERM => " (SIGTERM)",
        _ => "",
    }
}
