//! What runs the tasks of a test and tells it the time: tokio, or the simulator.

use futures::future::{self, BoxFuture, Either};
use std::{fmt::Debug, future::Future, pin::pin, time::Duration};

/// Runs tasks, on a clock of its own.
pub trait Runtime: Debug + Send + Sync {
    /// Starts a task.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// Waits.
    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()>;

    /// Lets others have their turn.
    fn pause(&self) -> BoxFuture<'static, ()>;

    /// After this a test counts as hanging.
    fn patience(&self) -> Duration {
        Duration::from_secs(20)
    }
}

/// The runtime that the test runs on.
#[derive(Debug)]
pub struct Tokio;

impl Runtime for Tokio {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(span))
    }

    fn pause(&self) -> BoxFuture<'static, ()> {
        Box::pin(tokio::task::yield_now())
    }
}

/// The simulation that runs on this thread, with [`Scenario::host`](crate::sim::Scenario::host).
#[derive(Debug)]
pub struct Simulated;

impl Runtime for Simulated {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        crate::sim::spawn(task);
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        Box::pin(crate::sim::sleep(span))
    }

    /// Time stands still while anything can go on.
    fn pause(&self) -> BoxFuture<'static, ()> {
        self.sleep(Duration::from_micros(20))
    }

    /// Costs nothing here, and lost frames are sent again after 200 ms at the earliest.
    fn patience(&self) -> Duration {
        Duration::from_secs(3600)
    }
}

/// The result of a future, unless patience ends before.
pub(super) async fn patient<F: Future>(runtime: &dyn Runtime, future: F) -> Option<F::Output> {
    match future::select(pin!(future), runtime.sleep(runtime.patience())).await {
        Either::Left((value, _)) => Some(value),
        Either::Right(_) => None,
    }
}
