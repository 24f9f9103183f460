//! What a wire does to frames: how long they take, and what goes wrong.

use super::{
    calendar::Calendar,
    depot::Depot,
    dice::Dice,
    modelled::{Load, Modelled},
};
use fmi_actors::{channel::Rung, clock::Time, pair::Path};
use fmi_model::channel::Channel;
use std::{sync::Arc, time::Duration};

/// The wire between any two simulated processes. Each process has a port of its own, which
/// sends one frame at a time and receives one at a time.
///
/// A frame of `b` bytes (header included) leaves after `overhead + b / bandwidth`, is on its way
/// for `latency`, and occupies the receiving port for the same time again while it comes in.
///
/// With a [channel](Self::channel) it takes what the model says of that instead, for the same code.
#[derive(Debug, Clone, PartialEq)]
pub struct Wire {
    /// A channel of a profile: frames take what it says, and `latency`, `bandwidth` and `overhead` do
    /// not count. What goes wrong still does.
    pub channel: Option<Arc<Channel>>,
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
            channel: None,
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
#[derive(Debug, Default)]
pub(super) struct Port {
    /// What was given to it has left, and what comes is in, by then.
    pub(super) sent: Time,
    received: Time,
    /// On a channel of a profile: when it receives what, so much side by side.
    pub(super) receiving: Vec<Calendar>,
    /// There, too: when all that was sent would be through, had it only the rate of its bucket.
    pub(super) paced: Time,
}

/// What all processes share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) dice: Dice,
    /// Of a store.
    pub(super) server: Calendar,
}

impl Shared {
    pub(super) fn new(seed: u64) -> Self {
        Self { dice: Dice::new(seed), server: Calendar::default() }
    }
}

/// What becomes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trip {
    /// When its last byte has left.
    pub(super) sent: Time,
    /// When it is there, unless it gets lost: on a channel of a profile, where it can be
    /// [received](Wire::receive).
    pub(super) arrives: Option<Time>,
    /// When a copy of it is there, too.
    pub(super) again: Option<Time>,
    /// It keeps its place behind the frames of its link.
    pub(super) in_order: bool,
}

impl Wire {
    /// The wire that a channel of a profile is, on which nothing goes wrong. Is it a store's, the links are its
    /// mailboxes, and [`Depot::of`] what else it holds: that is for you to add.
    #[must_use]
    pub fn of(channel: &Channel) -> Self {
        Self {
            channel: Some(Arc::new(channel.clone())),
            latency: channel.latency.into(),
            ..Self::default()
        }
    }

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

    /// How long anything takes at least.
    pub(super) fn latency(&self) -> Duration {
        self.channel.as_ref().map_or(self.latency, |channel| channel.latency.into())
    }

    /// Sends something from one port to another at `now`.
    pub(super) fn carry(
        &self,
        now: Time,
        (from, to): (&mut Port, &mut Port),
        load: &Load,
        shared: &mut Shared,
    ) -> Trip {
        let Shared { dice, server } = shared;
        let transfer = self.transfer(load.bytes);
        let mut modelled = self.channel.as_deref().map(|channel| Modelled { channel, server, now });
        let (sent, comes) = match &mut modelled {
            Some(modelled) => modelled.leave(from, load),
            None => {
                let start = now.max(from.sent) + self.overhead;
                from.sent = start + transfer;
                (from.sent, start + self.latency)
            }
        };
        if dice.hits(self.loss) {
            return Trip { sent, arrives: None, again: None, in_order: true };
        }
        let received = match &mut modelled {
            // Its port takes it when it comes.
            Some(modelled) => comes + modelled.unseen(load, dice) + modelled.late(load, dice),
            None => {
                to.received = comes.max(to.received) + self.overhead + transfer;
                to.received
            }
        };
        let in_order = !dice.hits(self.reordering);
        let most = 4 * (self.latency() + self.jitter);
        let mut late = dice.up_to(self.jitter);
        if !in_order {
            late += dice.up_to(most);
        }
        if dice.hits(self.delay.0) {
            late += dice.up_to(self.delay.1);
        }
        let arrives = received + late;
        let again = dice.hits(self.duplication).then(|| arrives + dice.up_to(most));
        Trip { sent, arrives: Some(arrives), again, in_order }
    }

    /// When something that has come now is received; `None` where its trip says so.
    pub(super) fn receive(
        &self,
        now: Time,
        to: &mut Port,
        load: &Load,
        shared: &mut Shared,
    ) -> Option<Time> {
        let server = &mut shared.server;
        let channel = self.channel.as_deref()?;
        Some(Modelled { channel, server, now }.receive(to, now, load))
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
        channel: None,
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
        let mut shared = Shared::new(0);
        let trip = NO_FAULTS.carry(Time(0), (&mut from, &mut to), &Load::whole(1000), &mut shared);
        // 1 µs + 1 µs for a thousand bytes; 10 µs; 1 µs on the other side, bytes still coming.
        assert_eq!((trip.sent, trip.arrives), (Time(2_000), Some(Time(13_000))));
        // The next leaves after it, and comes in after it.
        let next = NO_FAULTS.carry(Time(0), (&mut from, &mut to), &Load::whole(1000), &mut shared);
        assert_eq!((next.sent, next.arrives), (Time(4_000), Some(Time(15_000))));
    }

    #[test]
    fn many_senders_share_the_receivers_port() {
        let mut to = Port::default();
        let mut shared = Shared::new(0);
        let arrivals: Vec<_> = (0..100)
            .map(|_| {
                let mut from = Port::default();
                NO_FAULTS
                    .carry(Time(0), (&mut from, &mut to), &Load::whole(10_000), &mut shared)
                    .arrives
            })
            .collect();
        assert_eq!(arrivals.last(), Some(&Some(Time(1_000 + 10_000 + 100 * 11_000))));
    }

    #[test]
    fn an_endless_bandwidth_takes_no_time() {
        let wire = Wire { bandwidth: f64::INFINITY, overhead: Duration::ZERO, ..NO_FAULTS };
        let (mut from, mut to) = (Port::default(), Port::default());
        let trip =
            wire.carry(Time(5), (&mut from, &mut to), &Load::whole(1 << 30), &mut Shared::new(0));
        assert_eq!(trip.arrives, Some(Time(10_005)));
    }
}
