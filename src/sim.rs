//! Programs on simulated ranks: the same code, thousands of ranks in one thread, on a clock of
//! events in nanoseconds.
//!
//! Latency, bandwidth and faults are parameters, and all chance comes from a seed, so a run can
//! be repeated event for event: a failure under 5 % loss has a number that brings it back.
//!
//! ```
//! use fmi::{prelude::*, sim::Sim};
//! use std::time::Duration;
//!
//! let sim = Sim::new(1000).latency(Duration::from_micros(10)).seed(7);
//! let report = sim.run(|comm| async move { comm.allreduce(1u64, op::sum()).await });
//! println!("{} rounds, {:?}, {} frames", report.rounds, report.time, report.frames);
//! assert!(report.values().into_iter().all(|sum| sum == Ok(1000)));
//! ```
//!
//! Computing takes no time here. A body that is to take some waits with [`sleep`]; it must not
//! wait for anything outside, such as a socket or a timer of tokio's: the simulation would call
//! it hung.
//!
//! There is no feature for this: it needs no dependency that is not there already, compiles in
//! about a second, and is left out of programs that do not call it.

use crate::Communicator;
use fmi_channels::sim::Scenario;
pub use fmi_channels::sim::{Death, Depot, End, Report, Requests, Wire, now, sleep};
pub use fmi_model::{Profile, channel::Channel};
use std::{future::Future, sync::Arc, time::Duration};

/// A simulation to be run: so many ranks on a wire, and what goes wrong.
#[derive(Debug, Clone)]
pub struct Sim {
    scenario: Scenario,
}

impl Sim {
    /// So many ranks, each in a process of its own, on the wire that [`Wire::default`] is.
    #[must_use]
    pub fn new(ranks: usize) -> Self {
        Self { scenario: Scenario::new(ranks) }
    }

    /// Where all chance comes from; 0 unless set.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.scenario.seed = seed;
        self
    }

    /// So many ranks a process. Inside one they hand messages over, as on channel `local`.
    #[must_use]
    pub fn pack(mut self, ranks: usize) -> Self {
        self.scenario.pack = ranks;
        self
    }

    /// All parameters of the wire at once.
    #[must_use]
    pub fn wire(mut self, wire: Wire) -> Self {
        self.scenario.wire = wire;
        self
    }

    /// Frames take what the model says of a channel, instead of latency, bandwidth and overhead.
    ///
    /// ```
    /// use fmi::{prelude::*, sim::{Profile, Sim}};
    ///
    /// let lambda = Profile::shipped("aws-lambda").expect("it is one of them");
    /// let sim = Sim::new(64).channel(lambda.channel("tcp"));
    /// let report = sim.run(|comm| async move { comm.barrier().await });
    /// assert!(report.time > 6 * std::time::Duration::from_micros(450));
    /// ```
    #[must_use]
    pub fn channel(mut self, channel: &Channel) -> Self {
        self.scenario.wire.latency = channel.latency.into();
        self.scenario.wire.channel = Some(Arc::new(channel.clone()));
        self
    }

    /// The processes have one channel of a profile. Is it a store's, messages go through its mailboxes,
    /// and what many read is put there.
    #[must_use]
    pub fn profile(self, profile: &Profile, channel: &str) -> Self {
        let wire = profile.channel(channel);
        let is_store = wire.server.is_some() || wire.requests.is_some();
        let sim = self.channel(wire);
        if is_store { sim.store(Depot::of(profile.shelf(channel))) } else { sim }
    }

    /// Time from one process to another.
    #[must_use]
    pub fn latency(mut self, span: Duration) -> Self {
        self.scenario.wire.latency = span;
        self
    }

    /// Bytes a second that a process sends, and receives.
    #[must_use]
    pub fn bandwidth(mut self, bytes_a_second: f64) -> Self {
        self.scenario.wire.bandwidth = bytes_a_second;
        self
    }

    /// What each frame costs sender and receiver besides its bytes.
    #[must_use]
    pub fn overhead(mut self, span: Duration) -> Self {
        self.scenario.wire.overhead = span;
        self
    }

    /// Time to bring up a link between two processes.
    #[must_use]
    pub fn connect(mut self, span: Duration) -> Self {
        self.scenario.wire.connect = span;
        self
    }

    /// Every frame takes up to so much longer; the order on a link stays.
    #[must_use]
    pub fn jitter(mut self, span: Duration) -> Self {
        self.scenario.wire.jitter = span;
        self
    }

    /// Share of frames, `0.0..1.0`, that get lost.
    #[must_use]
    pub fn loss(mut self, share: f64) -> Self {
        self.scenario.wire.loss = share;
        self
    }

    /// Share of frames that arrive twice.
    #[must_use]
    pub fn duplication(mut self, share: f64) -> Self {
        self.scenario.wire.duplication = share;
        self
    }

    /// Share of frames that others of their link may overtake.
    #[must_use]
    pub fn reordering(mut self, share: f64) -> Self {
        self.scenario.wire.reordering = share;
        self
    }

    /// Share of frames that are held up, with those behind them, for up to `span`.
    #[must_use]
    pub fn delay(mut self, share: f64, span: Duration) -> Self {
        self.scenario.wire.delay = (share, span);
        self
    }

    /// A store that all processes reach, beside the wire or instead of it.
    #[must_use]
    pub fn store(mut self, depot: Depot) -> Self {
        self.scenario.wire.store = Some(depot);
        self
    }

    /// A rank dies, with its process.
    ///
    /// # Panics
    /// When there is no such rank.
    #[must_use]
    pub fn kill(mut self, rank: usize, death: Death) -> Self {
        assert!(rank < self.scenario.ranks, "rank {rank} of {}", self.scenario.ranks);
        self.scenario.deaths.push((rank as u32, death));
        self
    }

    /// How long it takes until the others have been told that a process died or left; the
    /// rendezvous does that in reality.
    #[must_use]
    pub fn detection(mut self, span: Duration) -> Self {
        self.scenario.detection = span;
        self
    }

    /// An operation ends after this, unless it has a deadline of its own: simulated time.
    #[must_use]
    pub fn operation(mut self, span: Duration) -> Self {
        self.scenario.settings.operation = span;
        self
    }

    /// Runs `body` for each rank, given the communicator of all, until every rank has ended.
    ///
    /// # Panics
    /// When a body does, and when there are no ranks, or none a process.
    pub fn run<T, B, F>(&self, mut body: B) -> Report<T>
    where
        B: FnMut(Communicator) -> F,
        F: Future<Output = T>,
    {
        self.scenario.run(|node, rank| body(Communicator::world(&node, rank, "sim")))
    }
}
