//! What a rank's `main` gets.

use crate::Communicator;
use fmi_actors::{Error, Result, meter::Bill};
use serde::Serialize;
use std::{
    ops::Deref,
    sync::Arc,
    time::{Duration, Instant},
};

/// A rank's view of its job. Derefs to the [`Communicator`] of all ranks.
#[derive(Clone)]
pub struct Context {
    world: Communicator,
    job: Arc<str>,
    until: Option<Instant>,
    arguments: Arc<[String]>,
    results: Option<Results>,
}

/// Takes what a rank finishes with, as JSON.
type Results = Arc<dyn Fn(usize, &str) -> Result<()> + Send + Sync>;

impl Context {
    /// The context of a rank in a job.
    #[must_use]
    pub fn new(world: Communicator, job: &str) -> Self {
        Self { world, job: job.into(), until: None, arguments: Arc::new([]), results: None }
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

    /// With further arguments, of this rank alone.
    #[must_use]
    pub fn with_arguments(self, arguments: Vec<String>) -> Self {
        Self { arguments: arguments.into(), ..self }
    }

    /// With somebody who takes what this rank [finishes](Self::finish) with: its number, and JSON.
    #[must_use]
    pub fn with_results(
        self,
        results: impl Fn(usize, &str) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self { results: Some(Arc::new(results)), ..self }
    }

    /// Hands in what this rank has come to, for whoever started the job: `fmi run --results` prints the
    /// values of all ranks in their order. The last one that a rank hands in counts. Where nobody
    /// collects, it does nothing.
    ///
    /// ```
    /// # use fmi_collectives::Context;
    /// # fn example(ctx: &Context, loss: f64) -> fmi_actors::Result<()> {
    /// ctx.finish(loss)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] if the value cannot be written as JSON, is larger than 64 MiB, or cannot be
    /// left.
    pub fn finish(&self, value: impl Serialize) -> Result<()> {
        let Some(results) = &self.results else { return Ok(()) };
        let json = serde_json::to_string(&value).map_err(|error| Error::Argument {
            operation: "finish",
            message: format!("the value cannot be written as JSON: {error}"),
        })?;
        results(self.world.rank(), &json)
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

    /// The program's arguments, without its name, and then those of this rank alone, if there are any.
    pub fn args(&self) -> impl Iterator<Item = String> + use<> {
        std::env::args().skip(1).chain(self.arguments.to_vec())
    }

    /// The communicator of all ranks.
    #[must_use]
    pub fn world(&self) -> &Communicator {
        &self.world
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("world", &self.world)
            .field("job", &self.job)
            .finish_non_exhaustive()
    }
}

impl Deref for Context {
    type Target = Communicator;
    fn deref(&self) -> &Communicator {
        &self.world
    }
}
