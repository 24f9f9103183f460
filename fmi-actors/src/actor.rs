//! The actors: one for each rank, and the supervisor that watches the ranks of a process.

use crate::{Endpoint, Reason, now};
use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, Recipient,
    fut::wrap_future,
};
use futures::{FutureExt, channel::oneshot, future::LocalBoxFuture};
use std::{any::Any, panic::AssertUnwindSafe, time::Duration};

/// How a rank's `main` ended.
pub type Outcome = Result<(), Reason>;

/// What a process does when a rank of it fails: tell the other processes.
pub type OnFailure = Box<dyn Fn(u32, &Reason) + Send>;

/// The world rank that failed first, and why.
pub type FirstFailure = (u32, Reason);

/// Where a supervisor reports to.
pub type Report = oneshot::Receiver<Result<(), FirstFailure>>;

/// After the first failure, how long the other ranks have to end by themselves.
pub const GRACE: Duration = Duration::from_secs(1);

/// A rank: runs the user's future on its arbiter, then waits until everything sent has arrived.
pub struct RankActor {
    endpoint: Endpoint,
    main: Option<LocalBoxFuture<'static, Outcome>>,
    supervisor: Recipient<Ended>,
}

/// A rank has ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// World rank.
    pub rank: u32,
    /// How.
    pub outcome: Outcome,
}

impl Message for Ended {
    type Result = ();
}

/// The time of a process's ranks is over.
#[derive(Debug, Clone, Copy)]
pub struct Expired {
    /// World rank that is named as the first to fail.
    pub rank: u32,
}

impl Message for Expired {
    type Result = ();
}

impl std::fmt::Debug for RankActor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RankActor").field("rank", &self.endpoint.rank()).finish_non_exhaustive()
    }
}

impl RankActor {
    /// A rank that will run `main` and report to `supervisor`.
    #[must_use]
    pub fn new(
        endpoint: Endpoint,
        main: LocalBoxFuture<'static, Outcome>,
        supervisor: Recipient<Ended>,
    ) -> Self {
        Self { endpoint, main: Some(main), supervisor }
    }
}

impl Actor for RankActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let Some(main) = self.main.take() else { return };
        let endpoint = self.endpoint.clone();
        let supervisor = self.supervisor.clone();
        let life = async move {
            let outcome = match AssertUnwindSafe(main).catch_unwind().await {
                Ok(Ok(())) => flush(&endpoint).await,
                Ok(failed) => failed,
                Err(panic) => Err(Reason::Panicked(panic_text(&*panic))),
            };
            // Before the other ranks learn of it and fail, too: this is the first cause.
            let reason = outcome.as_ref().err().cloned().unwrap_or(Reason::Left);
            supervisor.do_send(Ended { rank: endpoint.rank(), outcome });
            endpoint.shut(&reason);
        };
        // A task of its own: what wakes it does not go through the actor's context each time.
        let life = tokio::task::spawn_local(life);
        context.spawn(wrap_future::<_, Self>(life).map(|_, actor, context| {
            if let Some(home) = actor.endpoint.home() {
                home.depart();
            }
            context.stop();
        }));
    }
}

async fn flush(endpoint: &Endpoint) -> Outcome {
    let patience = endpoint.node().map_or(GRACE, |node| node.settings().operation);
    let flush = endpoint.flush();
    match tokio::time::timeout(patience, flush).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err((rank, reason))) => {
            Err(Reason::Failed(format!("not everything sent to rank {rank} has arrived: {reason}")))
        }
        Err(_) => {
            let behind = endpoint.flush().behind();
            Err(Reason::Failed(format!(
                "what was sent to rank {} has not arrived within {patience:?}",
                behind.unwrap_or_default()
            )))
        }
    }
}

/// What a panic said.
#[must_use]
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "with a value that is not text".to_owned())
}

/// Watches the ranks of a process. When one fails, the others here and elsewhere are told;
/// when all have ended, or the grace after a failure is over, it reports.
pub struct Supervisor {
    waiting: usize,
    first_failure: Option<FirstFailure>,
    on_failure: OnFailure,
    report: Option<oneshot::Sender<Result<(), FirstFailure>>>,
}

impl std::fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervisor").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl Supervisor {
    /// Watches `ranks` ranks. The receiver gets the first failure, if there was one.
    pub fn new(ranks: usize, on_failure: OnFailure) -> (Self, Report) {
        let (send, receive) = oneshot::channel();
        (Self { waiting: ranks, first_failure: None, on_failure, report: Some(send) }, receive)
    }

    fn failed(&mut self, rank: u32, reason: Reason, context: &mut Context<Self>) {
        if self.first_failure.is_none() {
            (self.on_failure)(rank, &reason);
            self.first_failure = Some((rank, reason));
            context.run_later(GRACE, |supervisor, context| supervisor.finish(context));
        }
    }

    fn finish(&mut self, context: &mut Context<Self>) {
        if let Some(report) = self.report.take() {
            let _ = report.send(self.first_failure.take().map_or(Ok(()), Err));
        }
        context.stop();
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;
}

impl Handler<Ended> for Supervisor {
    type Result = ();

    fn handle(&mut self, ended: Ended, context: &mut Self::Context) {
        self.waiting -= 1;
        tracing::debug!(rank = ended.rank, outcome = ?ended.outcome, at = now().0, "rank ended");
        if let Err(reason) = ended.outcome {
            self.failed(ended.rank, reason, context);
        }
        if self.waiting == 0 {
            self.finish(context);
        }
    }
}

impl Handler<Expired> for Supervisor {
    type Result = ();

    fn handle(&mut self, expired: Expired, context: &mut Self::Context) {
        self.failed(expired.rank, Reason::Deadline, context);
    }
}
