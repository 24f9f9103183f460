//! What a rank's `main` gets.

use crate::Communicator;
use fmi_actors::meter::Bill;
use std::{
    ops::Deref,
    sync::Arc,
    time::{Duration, Instant},
};

/// A rank's view of its job. Derefs to the [`Communicator`] of all ranks.
#[derive(Debug, Clone)]
pub struct Context {
    world: Communicator,
    job: Arc<str>,
    until: Option<Instant>,
}

impl Context {
    /// The context of a rank in a job.
    #[must_use]
    pub fn new(world: Communicator, job: &str) -> Self {
        Self { world, job: job.into(), until: None }
    }

    /// The same, where the rank will be given up at a point in time.
    #[must_use]
    pub fn with_end(self, until: Option<Instant>) -> Self {
        Self { until, ..self }
    }

    /// How long this rank has until it is given up: a function's time limit, less what its end takes;
    /// a job's deadline. `None` where there is no limit.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        Some(self.until?.saturating_duration_since(Instant::now()))
    }

    /// The job's name.
    #[must_use]
    pub fn job(&self) -> &str {
        &self.job
    }

    /// What this process has sent, asked of stores and waited for so far, and what that costs.
    ///
    /// ```
    /// # use fmi_collectives::Context;
    /// # fn show(ctx: &Context) {
    /// if let Some(bill) = ctx.meter() {
    ///     println!("{bill}");
    ///     println!("{} so far, for {} messages", bill.money(), bill.counts().messages);
    /// }
    /// # }
    /// ```
    ///
    /// `None` when this rank's process has left the job.
    #[must_use]
    pub fn meter(&self) -> Option<Bill> {
        Some(self.world.endpoint().node()?.bill())
    }

    /// The program's arguments, without its name.
    pub fn args(&self) -> impl Iterator<Item = String> + use<> {
        std::env::args().skip(1)
    }

    /// The communicator of all ranks.
    #[must_use]
    pub fn world(&self) -> &Communicator {
        &self.world
    }
}

impl Deref for Context {
    type Target = Communicator;
    fn deref(&self) -> &Communicator {
        &self.world
    }
}
