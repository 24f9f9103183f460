//! When a connection counts as dead. Without a clock of its own.

use std::time::{Duration, Instant};

/// Watches one connection: the peer must say something, and take what it is sent, every `silent`.
#[derive(Debug)]
pub(super) struct Pulse {
    silent: Duration,
    heard: Instant,
    /// Since when bytes wait without any being taken.
    stalled: Option<Instant>,
}

/// What is wrong with a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    /// It says nothing.
    Silent,
    /// It does not read.
    Stalled,
}

/// A usable term: whatever is asked for, neither a busy loop nor an overflowing clock.
pub(super) fn term(silent: Duration) -> Duration {
    silent.clamp(Duration::from_millis(20), Duration::from_secs(3600))
}

impl Pulse {
    pub(super) fn new(silent: Duration, now: Instant) -> Self {
        Self { silent, heard: now, stalled: None }
    }

    /// How often the peer wants to hear something.
    pub(super) fn beat(&self) -> Duration {
        self.silent / 4
    }

    /// Something arrived.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// Bytes wait to be sent from now on, unless some wait already.
    pub(super) fn waiting(&mut self, now: Instant) {
        self.stalled.get_or_insert(now);
    }

    /// Bytes were taken; `rest` says whether some still wait.
    pub(super) fn taken(&mut self, rest: bool, now: Instant) {
        self.stalled = rest.then_some(now);
    }

    /// When to [`check`](Self::check).
    pub(super) fn due(&self) -> Instant {
        self.stalled.map_or(self.heard, |stalled| stalled.min(self.heard)) + self.silent
    }

    /// Whether the peer is dead. To be called at [`due`](Self::due), after reading what is there.
    pub(super) fn check(&mut self, now: Instant) -> Option<Death> {
        let due = self.due();
        if now < due {
            return None;
        }
        if now > due + self.silent / 2 {
            // We did not run ourselves (a stopped process, a starved machine): the peer's signs
            // of life may be on their way, so it gets another term.
            self.heard = now;
            self.stalled = self.stalled.map(|_| now);
            return None;
        }
        Some(if now >= self.heard + self.silent { Death::Silent } else { Death::Stalled })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENT: Duration = Duration::from_secs(8);

    fn seconds(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn silence_kills_and_a_sign_of_life_does_not() {
        let start = Instant::now();
        let mut pulse = Pulse::new(SILENT, start);
        assert_eq!(pulse.check(seconds(start, 7)), None);
        pulse.heard(seconds(start, 7));
        assert_eq!(pulse.due(), seconds(start, 15));
        assert_eq!(pulse.check(seconds(start, 8)), None);
        assert_eq!(pulse.check(seconds(start, 15)), Some(Death::Silent));
    }

    #[test]
    fn who_does_not_read_is_dead_though_it_talks() {
        let start = Instant::now();
        let mut pulse = Pulse::new(SILENT, start);
        pulse.waiting(seconds(start, 1));
        pulse.waiting(seconds(start, 5));
        pulse.heard(seconds(start, 8));
        assert_eq!(pulse.check(seconds(start, 9)), Some(Death::Stalled));
    }

    #[test]
    fn slow_progress_is_progress() {
        let start = Instant::now();
        let mut pulse = Pulse::new(SILENT, start);
        for second in (0..60).step_by(6) {
            pulse.heard(seconds(start, second));
            pulse.waiting(seconds(start, second));
            pulse.taken(true, seconds(start, second));
            assert_eq!(pulse.check(seconds(start, second + 5)), None);
        }
        pulse.taken(false, seconds(start, 60));
        pulse.heard(seconds(start, 61));
        assert_eq!(pulse.due(), seconds(start, 69));
    }

    #[test]
    fn own_sleep_is_not_the_peers_silence() {
        let start = Instant::now();
        let mut pulse = Pulse::new(SILENT, start);
        assert_eq!(pulse.check(seconds(start, 100)), None);
        assert_eq!(pulse.check(seconds(start, 107)), None);
        assert_eq!(pulse.check(seconds(start, 108)), Some(Death::Silent));
    }
}
