//! Who keeps time for a process: its service thread, or a simulator.

use crate::{clock::Clock, clock::Time, home::HomeHandle};
use futures::future::{self, BoxFuture, Either};
use std::{future::Future, pin::pin, time::Duration};

/// Looks after one [`Node`](crate::Node): tells it the time and calls it when time has passed.
///
/// The process's [`Service`](crate::service::Service) is one, on the machine's clock and a thread
/// of its own. A simulator is another, on a clock of events; then nothing of a node asks the
/// machine for the time, and the same calls give the same run.
pub trait Keeper: Clock {
    /// There is something to look at: [`Node::tick`](crate::Node::tick) is to be called within
    /// [`TICK`](crate::service::TICK), and then again as long as it says so. From any thread.
    fn kick(&self);

    /// [`Node::expire`](crate::Node::expire) is to be called at `at`, and then when it says.
    fn deadline(&self, at: Time);

    /// Runs a future, beside everything else.
    fn spawn(&self, future: BoxFuture<'static, ()>);

    /// Waits for `span` of this keeper's time. Polled within [`spawn`](Self::spawn).
    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()>;

    /// Where links are driven that belong to no arbiter of ours; `None` if nobody need drive
    /// them, because frames move by themselves.
    fn home(&self) -> Option<&HomeHandle>;
}

/// The result of `future`, unless `span` passes first.
pub(crate) async fn within<F: Future>(
    keeper: &dyn Keeper,
    span: Duration,
    future: F,
) -> Option<F::Output> {
    match future::select(pin!(future), keeper.sleep(span)).await {
        Either::Left((value, _)) => Some(value),
        Either::Right(_) => None,
    }
}
