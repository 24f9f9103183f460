//! What a wire does to frames: how long they take, and what goes wrong.

use super::{depot::Depot, dice::Dice};
use fmi_actors::{channel::Rung, clock::Time, pair::Path};
use std::time::Duration;

/// The wire between any two simulated processes. Each process has a port of its own, which
/// sends one frame at a time and receives one at a time.
///
/// A frame of `b` bytes (header included) leaves after `overhead + b / bandwidth`, is on its way
/// for `latency`, and occupies the receiving port for the same time again while it comes in.
#[derive(Debug, Clone, PartialEq)]
pub struct Wire {
    /// From one port to another.
    pub latency: Duration,
    /// Bytes a second that a port sends, and receives.
    pub bandwidth: f64,
    /// What each frame costs a port besides its bytes, on either side.
    pub overhead: Duration,
    /// How long it takes to bring up a link between two processes that have none.
    pub connect: Duration,
    /// Every frame takes up to so much longer, but none overtakes another of its link.
    pub jitter: Duration,
    /// Share of frames that get lost.
    pub loss: f64,
    /// Share of frames that arrive twice.
    pub duplication: f64,
    /// Share of frames that others may overtake: they take up to `4 × (latency + jitter)` longer.
    pub reordering: f64,
    /// Share of frames that are held up, with all behind them, and for how long at most.
    pub delay: (f64, Duration),
    /// A store that all processes reach.
    pub store: Option<Depot>,
}

impl Default for Wire {
    /// A good network of a data centre: 25 µs, 1.25 GB/s, 1 µs a frame, and nothing goes wrong.
    fn default() -> Self {
        Self {
            latency: Duration::from_micros(25),
            bandwidth: 1.25e9,
            overhead: Duration::from_micros(1),
            connect: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            duplication: 0.0,
            reordering: 0.0,
            delay: (0.0, Duration::ZERO),
            store: None,
        }
    }
}

/// Where one process meets the wire.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Port {
    /// What was given to it has left, and what comes is in, by then.
    pub(super) sent: Time,
    received: Time,
}

/// What becomes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trip {
    /// When its last byte has left.
    pub(super) sent: Time,
    /// When it is there, unless it gets lost.
    pub(super) arrives: Option<Time>,
    /// When a copy of it is there, too.
    pub(super) again: Option<Time>,
    /// It keeps its place behind the frames of its link.
    pub(super) in_order: bool,
}

impl Wire {
    /// What the pair layer has to know.
    pub(super) fn path(&self) -> Path {
        let stored = self.store.as_ref().map_or(usize::MAX, |store| store.stored);
        Path { lossy: self.loss > 0.0, stored, ..Path::STREAM }
    }

    /// How the links lead from one process to another.
    pub(super) fn rung(&self) -> Rung {
        let alone = self.store.as_ref().is_some_and(|store| store.alone);
        if alone { Rung::Store } else { Rung::Direct }
    }

    /// Sends `bytes` from one port to another at `now`.
    pub(super) fn carry(
        &self,
        now: Time,
        (from, to): (&mut Port, &mut Port),
        bytes: usize,
        dice: &mut Dice,
    ) -> Trip {
        let transfer = self.transfer(bytes);
        let start = now.max(from.sent);
        let sent = start + self.overhead + transfer;
        from.sent = sent;
        if dice.hits(self.loss) {
            return Trip { sent, arrives: None, again: None, in_order: true };
        }
        let comes = start + self.overhead + self.latency;
        to.received = comes.max(to.received) + self.overhead + transfer;
        let in_order = !dice.hits(self.reordering);
        let mut late = dice.up_to(self.jitter);
        if !in_order {
            late += dice.up_to(4 * (self.latency + self.jitter));
        }
        if dice.hits(self.delay.0) {
            late += dice.up_to(self.delay.1);
        }
        let arrives = to.received + late;
        let again = dice
            .hits(self.duplication)
            .then(|| arrives + dice.up_to(4 * (self.latency + self.jitter)));
        Trip { sent, arrives: Some(arrives), again, in_order }
    }

    fn transfer(&self, bytes: usize) -> Duration {
        let seconds = bytes as f64 / self.bandwidth;
        if seconds.is_finite() { Duration::from_secs_f64(seconds.max(0.0)) } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_FAULTS: Wire = Wire {
        latency: Duration::from_micros(10),
        bandwidth: 1e9,
        overhead: Duration::from_micros(1),
        connect: Duration::ZERO,
        jitter: Duration::ZERO,
        loss: 0.0,
        duplication: 0.0,
        reordering: 0.0,
        delay: (0.0, Duration::ZERO),
        store: None,
    };

    #[test]
    fn time_is_overhead_latency_and_bytes() {
        let (mut from, mut to) = (Port::default(), Port::default());
        let mut dice = Dice::new(0);
        let trip = NO_FAULTS.carry(Time(0), (&mut from, &mut to), 1000, &mut dice);
        // 1 µs + 1 µs for a thousand bytes; 10 µs; 1 µs on the other side, bytes still coming.
        assert_eq!((trip.sent, trip.arrives), (Time(2_000), Some(Time(13_000))));
        // The next leaves after it, and comes in after it.
        let next = NO_FAULTS.carry(Time(0), (&mut from, &mut to), 1000, &mut dice);
        assert_eq!((next.sent, next.arrives), (Time(4_000), Some(Time(15_000))));
    }

    #[test]
    fn many_senders_share_the_receivers_port() {
        let mut to = Port::default();
        let mut dice = Dice::new(0);
        let arrivals: Vec<_> = (0..100)
            .map(|_| {
                let mut from = Port::default();
                NO_FAULTS.carry(Time(0), (&mut from, &mut to), 10_000, &mut dice).arrives
            })
            .collect();
        assert_eq!(arrivals.last(), Some(&Some(Time(1_000 + 10_000 + 100 * 11_000))));
    }

    #[test]
    fn an_endless_bandwidth_takes_no_time() {
        let wire = Wire { bandwidth: f64::INFINITY, overhead: Duration::ZERO, ..NO_FAULTS };
        let (mut from, mut to) = (Port::default(), Port::default());
        let trip = wire.carry(Time(5), (&mut from, &mut to), 1 << 30, &mut Dice::new(0));
        assert_eq!(trip.arrives, Some(Time(10_005)));
    }
}
