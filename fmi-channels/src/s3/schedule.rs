//! When to look: what the model says, in time.

use fmi_actors::meter::{Meter, Operation};
use fmi_model::{
    Seconds,
    polling::{Poller, Wait},
};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep_until};

/// Plans looks: for each operation of the process by what was learnt of its waits.
#[derive(Debug, Clone)]
pub(super) struct Planner {
    pub(super) poller: Poller,
    /// Knows which operation it is that waits.
    pub(super) meter: Arc<Meter>,
}

impl Planner {
    fn begin(&self, of: Option<&'static str>) -> Wait {
        let operation = || self.meter.awaited().unwrap_or(Operation::MESSAGES).name();
        self.poller.begin(of.unwrap_or_else(operation))
    }
}

/// The looks of one who waits for one thing after the other.
#[derive(Debug)]
pub(super) struct Looks {
    planner: Planner,
    /// What it always looks for; else for whatever the process waits for.
    of: Option<&'static str>,
    wait: Option<(Wait, Instant)>,
    /// When the next look is due.
    due: Instant,
    /// How long a look takes.
    round_trip: Duration,
}

/// What is taken for a round trip before there was one.
const ROUND_TRIP: Duration = Duration::from_millis(10);

impl Looks {
    pub(super) fn new(planner: &Planner, of: Option<&'static str>) -> Self {
        let due = Instant::now();
        Self { planner: planner.clone(), of, wait: None, due, round_trip: ROUND_TRIP }
    }

    /// Begins to wait, or goes on after a look that found nothing: when the next one is due.
    pub(super) fn again(&mut self) -> Instant {
        let now = Instant::now();
        let begin = || (self.planner.begin(self.of), now);
        let (wait, since) = self.wait.get_or_insert_with(begin);
        let elapsed = Seconds::new(now.duration_since(*since).as_secs_f64());
        let pause = wait.next_look(elapsed, Seconds::new(self.round_trip.as_secs_f64()));
        let pause = Duration::try_from_secs_f64(pause.get()).unwrap_or_default();
        self.due = now + pause;
        self.due
    }

    /// When the next look is due; at once if nobody has waited yet.
    pub(super) fn due(&mut self) -> Instant {
        match &self.wait {
            Some(_) => self.due,
            None => self.again(),
        }
    }

    /// Waits until the next look is due.
    pub(super) async fn next(&mut self) {
        let due = self.again();
        sleep_until(due).await;
    }

    /// The look has found something.
    pub(super) fn found(&mut self) {
        if let Some((wait, since)) = self.wait.take() {
            wait.arrived(Seconds::new(since.elapsed().as_secs_f64()));
        }
    }

    /// Nobody waits any more; nothing is learnt.
    pub(super) fn give_up(&mut self) {
        self.wait = None;
    }

    /// The next look is due at once.
    pub(super) fn now(&mut self) {
        self.due = Instant::now();
        self.wait.get_or_insert_with(|| (self.planner.begin(self.of), self.due));
    }

    /// No look before so long from now.
    pub(super) fn put_off(&mut self, pause: Duration) {
        self.now();
        self.due += pause;
    }

    /// How long a look takes.
    pub(super) fn round_trip(&self) -> Duration {
        self.round_trip
    }

    /// A look took so long.
    pub(super) fn took(&mut self, span: Duration) {
        self.round_trip = (self.round_trip * 7 + span) / 8;
    }
}
