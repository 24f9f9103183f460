//! Who is to blame, and the exit code.

use std::{os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};
use tokio::time::Instant;

/// Failures so close together may have one cause.
const TOGETHER: Duration = Duration::from_millis(100);

/// Which end was the first.
///
/// A process's connections close a moment before its parent learns that it has ended, and the
/// others react to that within microseconds: they may seem to have ended first. So all that end
/// within [`TOGETHER`] are looked at. Ranks that fail because another did end with exit code 1.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    failures: Vec<(String, ExitStatus)>,
    since: Option<Instant>,
    closed: bool,
    code: u8,
}

impl Verdict {
    /// A process has failed. True for the first one.
    pub(super) fn failed(&mut self, ranks: String, status: ExitStatus) -> bool {
        if self.closed {
            return false;
        }
        self.failures.push((ranks, status));
        let first = self.since.is_none();
        self.since.get_or_insert_with(Instant::now);
        first
    }

    /// A signal ends the job. As [`close`](Self::close).
    pub(super) fn interrupted(&mut self, number: i32) -> Option<(String, String)> {
        let told = self.close();
        self.set(u8::try_from(128 + number).unwrap_or(u8::MAX));
        told
    }

    /// The exit code, if none was decided on.
    pub(super) fn set(&mut self, code: u8) {
        if self.code == 0 {
            self.code = code;
        }
    }

    /// The exit code.
    pub(super) fn code(&self) -> u8 {
        self.code
    }

    /// When to [`close`](Self::close).
    pub(super) fn due(&self) -> Option<Instant> {
        self.since.filter(|_| !self.closed).map(|since| since + TOGETHER)
    }

    /// Decides, once: whose failure it was, and what to tell of it.
    pub(super) fn close(&mut self) -> Option<(String, String)> {
        if std::mem::replace(&mut self.closed, true) {
            return None;
        }
        let cause = self.failures.iter().find(|(_, status)| exit_code(*status) != 1);
        let (ranks, status) = cause.or(self.failures.first())?;
        self.code = exit_code(*status);
        // Ctrl-C goes to the children too, and they may be faster.
        let told = status.signal() != Some(libc::SIGINT) && !ranks.is_empty();
        told.then(|| (ranks.clone(), format!("{} {}", named(ranks), describe(*status))))
    }
}

/// As a shell has it: 128 and the signal's number.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    u8::try_from(code).unwrap_or(u8::MAX)
}

fn named(ranks: &str) -> String {
    match ranks {
        _ if ranks.contains('-') => format!("the process of ranks {ranks}"),
        _ => format!("rank {ranks}"),
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
            assert_eq!(verdict.failed(rank.to_string(), *status), at == 0);
        }
        verdict.close();
        assert!(!verdict.failed("9".to_owned(), exited(9)), "too late");
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
        verdict.failed("0".to_owned(), exited(4));
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
