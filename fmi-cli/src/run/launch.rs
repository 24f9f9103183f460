//! A job's life: start all processes, watch them, end what is left.

use super::{
    children::{Child, Order, spawn},
    contract::{self, Meeting, range_text, ranks_of},
};
use crate::failure::Failure;
use fmi::config::{ChannelSpec, Rendezvous};
use futures::{StreamExt, stream::FuturesUnordered};
use std::{
    ffi::OsString, future::pending, ops::Range, os::unix::process::ExitStatusExt, path::PathBuf,
    process::ExitStatus, time::Duration,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc::UnboundedSender, watch},
    time::{Instant, sleep_until},
};

/// After the first failure, how long the other processes may take to end by themselves.
const GRACE: Duration = Duration::from_secs(2);
/// After SIGTERM, how long they may take.
const TERM: Duration = Duration::from_millis(500);
/// Failures so close together may have one cause.
const TOGETHER: Duration = Duration::from_millis(100);

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
    /// Where the processes meet, if not in this program.
    pub(crate) rendezvous: Option<Rendezvous>,
    /// The folder where the processes leave their bills.
    pub(crate) bills: Option<PathBuf>,
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
    let meeting = Meeting::arrange(job).await?;
    let (orders, order) = watch::channel(Order::Run);
    let mut running = FuturesUnordered::new();
    let mut output = lines;
    for pack in 0..job.packs {
        let ranks = ranks_of(pack, job.packs, job.ranks);
        let variables = contract::environment(job, &ranks, &meeting);
        // Dropping those that run already kills them, should this one not start.
        let child: Child = spawn(job, &variables, output.take())?;
        let order = order.clone();
        running.push(async move { (ranks, child.watch(order).await) });
    }

    let mut verdict = Verdict::default();
    let mut end_by = None;
    while !running.is_empty() {
        tokio::select! {
            Some((ranks, status)) = running.next() => {
                let status = status?;
                if !status.success() && verdict.failed(ranks, status) {
                    end_by = Some(Instant::now() + GRACE);
                }
            }
            number = signals.next() => {
                let again = *orders.borrow() != Order::Run;
                verdict.interrupted(number);
                orders.send_replace(if again { Order::Kill } else { Order::Terminate });
                end_by = Some(Instant::now() + TERM);
            }
            () = at(verdict.due()) => verdict.close(),
            () = at(end_by) => {
                orders.send_replace(Order::Kill);
                end_by = None;
            }
        }
    }
    verdict.close();
    Ok(verdict.code)
}

/// Which end was the first.
///
/// A process's connections close a moment before its parent learns that it has ended, and the
/// others react to that within microseconds: they may seem to have ended first. So all that end
/// within [`TOGETHER`] are looked at. Ranks that fail because another did end with exit code 1.
#[derive(Debug, Default)]
struct Verdict {
    failures: Vec<(Range<usize>, ExitStatus)>,
    since: Option<Instant>,
    closed: bool,
    code: u8,
}

impl Verdict {
    /// A process has failed. True for the first one.
    fn failed(&mut self, ranks: Range<usize>, status: ExitStatus) -> bool {
        if self.closed {
            return false;
        }
        self.failures.push((ranks, status));
        let first = self.since.is_none();
        self.since.get_or_insert_with(Instant::now);
        first
    }

    /// A signal ends the job.
    fn interrupted(&mut self, number: i32) {
        self.close();
        if self.code == 0 {
            self.code = u8::try_from(128 + number).unwrap_or(u8::MAX);
        }
    }

    /// When to [`close`](Self::close).
    fn due(&self) -> Option<Instant> {
        self.since.filter(|_| !self.closed).map(|since| since + TOGETHER)
    }

    /// Decides, and tells the user.
    fn close(&mut self) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let cause = self.failures.iter().find(|(_, status)| exit_code(*status) != 1);
        let Some((ranks, status)) = cause.or(self.failures.first()) else { return };
        self.code = exit_code(*status);
        // Ctrl-C goes to the children too, and they may be faster.
        if status.signal() != Some(libc::SIGINT) {
            eprintln!("fmi run: {} {}", named(&range_text(ranks)), describe(*status));
        }
    }
}

/// Ends then, or never.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A status with an exit code, as wait has it.
    fn exited(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    fn verdict(failures: &[(usize, ExitStatus)]) -> u8 {
        let mut verdict = Verdict::default();
        for (at, (rank, status)) in failures.iter().enumerate() {
            assert_eq!(verdict.failed(*rank..rank + 1, *status), at == 0);
        }
        verdict.close();
        assert!(!verdict.failed(9..10, exited(9)), "too late");
        verdict.code
    }

    #[test]
    fn the_cause_is_not_who_failed_in_consequence() {
        assert_eq!(verdict(&[]), 0);
        assert_eq!(verdict(&[(0, exited(1)), (1, exited(1))]), 1);
        assert_eq!(verdict(&[(0, exited(1)), (1, exited(3)), (2, exited(1))]), 3);
        assert_eq!(verdict(&[(0, exited(1)), (1, ExitStatus::from_raw(9))]), 137);
    }

    #[test]
    fn a_signal_counts_if_nothing_failed_before() {
        let mut verdict = Verdict::default();
        verdict.interrupted(2);
        verdict.interrupted(15);
        assert_eq!(verdict.code, 130);
        let mut verdict = Verdict::default();
        verdict.failed(0..1, exited(4));
        verdict.interrupted(15);
        assert_eq!(verdict.code, 4);
    }

    #[test]
    fn processes_and_their_ends_have_names() {
        assert_eq!(named("3"), "rank 3");
        assert_eq!(named("0-15"), "the process of ranks 0-15");
        assert_eq!(describe(exited(3)), "ended with exit code 3");
        assert_eq!(describe(ExitStatus::from_raw(11)), "was killed by signal 11 (SIGSEGV)");
    }
}
