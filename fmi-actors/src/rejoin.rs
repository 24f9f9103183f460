//! After a loss: the way from a broken group to the job's next epoch.
//!
//! The core does not know how processes find each other. Whoever made a [`Node`] says how its
//! process goes on ([`Node::on_rejoin`]); the node sees to it that this happens once, however
//! many ranks and clones ask, and that an attempt nobody awaits any more is not lost.

use crate::{Error, NoRejoin, Node, Reason, Result, service::Service};
use futures::{
    FutureExt,
    channel::oneshot,
    future::{BoxFuture, Shared},
};
use parking_lot::Mutex;
use std::{
    fmt,
    future::Future,
    sync::{Arc, Weak},
};
use tokio::sync::watch;

/// A process in its job's next epoch.
#[derive(Debug, Clone)]
pub struct Successor {
    /// Its new self.
    pub node: Arc<Node>,
    /// Its ranks, each with the number that it had and the one that it has now.
    pub ranks: Vec<(u32, u32)>,
}

/// How a process takes part in its job's next epoch. Awaited on the service thread; called again
/// after an attempt that failed.
pub type Regroup = Box<dyn Fn(Arc<Node>) -> BoxFuture<'static, Result<Successor>> + Send + Sync>;

impl Node {
    /// Says how this process goes on after a loss.
    pub fn on_rejoin(&self, regroup: Regroup) {
        self.rejoining.lock().regroup = Some(Arc::new(regroup));
    }

    /// The first rank of another process that was lost, and why.
    #[must_use]
    pub fn loss(&self) -> Option<(u32, Reason)> {
        self.loss.borrow().clone()
    }

    /// Waits until a rank of another process is lost.
    pub fn lost(self: &Arc<Self>) -> impl Future<Output = (u32, Reason)> + Send + use<> {
        let mut loss = self.loss.subscribe();
        async move {
            match loss.wait_for(Option::is_some).await.map(|loss| loss.clone()) {
                Ok(Some(loss)) => loss,
                // The process is gone, and with it everybody who could be lost.
                _ => std::future::pending().await,
            }
        }
    }

    /// Leaves the broken group and enters the job's next epoch. All that call this get the same
    /// successor, as long as it lives. `job` is for errors.
    ///
    /// # Errors
    /// [`Error::Rejoin`], [`Error::Closed`], and what the attempt gives.
    pub fn rejoin(
        self: &Arc<Self>,
        job: &str,
    ) -> impl Future<Output = Result<Successor>> + Send + use<> {
        let node = Arc::clone(self);
        let attempt = node.attempt(job);
        async move {
            let attempt = attempt?;
            let result = attempt.clone().await;
            node.rejoining.lock().settle(&attempt, &result);
            result
        }
    }

    /// The attempt that runs, or a new one.
    fn attempt(self: &Arc<Self>, job: &str) -> Result<Attempt> {
        let refuse = |reason| Err(Error::Rejoin { job: job.to_owned(), reason });
        let mut rejoining = self.rejoining.lock();
        let Some(regroup) = rejoining.regroup.clone() else {
            return refuse(NoRejoin::NoRendezvous);
        };
        match &rejoining.state {
            State::Running(attempt) => return Ok(attempt.clone()),
            State::Over { node, ranks } => {
                return match node.upgrade() {
                    Some(node) => {
                        let successor = Successor { node, ranks: ranks.clone() };
                        Ok(futures::future::ready(Ok(successor)).boxed().shared())
                    }
                    None => refuse(NoRejoin::Twice),
                };
            }
            // An attempt has closed this node before it failed; only the user's own word counts.
            State::Failed => {}
            State::Fresh if self.is_closing() => return Err(Error::Closed { operation: "rejoin" }),
            State::Fresh if self.loss().is_none() => return refuse(NoRejoin::NotBroken),
            State::Fresh => {}
        }
        let (send, receive) = oneshot::channel();
        let node = Arc::clone(self);
        Service::get().spawn(async move {
            node.end_group();
            let _ = send.send(regroup(node).await);
        });
        let closed = Error::Closed { operation: "rejoin" };
        let attempt = receive.map(|result| result.unwrap_or(Err(closed))).boxed().shared();
        rejoining.state = State::Running(attempt.clone());
        Ok(attempt)
    }

    /// Ends all ranks here and all links. The others learn it from whoever regroups.
    fn end_group(&self) {
        for rank in self.local_ranks() {
            if let Some(endpoint) = self.endpoint(rank) {
                endpoint.shut(&Reason::Left);
            }
        }
        self.close();
    }
}

type Attempt = Shared<BoxFuture<'static, Result<Successor>>>;

/// How far a process has come with its next epoch.
#[derive(Default)]
pub(crate) struct Rejoining {
    regroup: Option<Arc<Regroup>>,
    state: State,
}

#[derive(Default)]
enum State {
    #[default]
    Fresh,
    Running(Attempt),
    Failed,
    /// Weak: a group that was left must not keep the next one.
    Over {
        node: Weak<Node>,
        ranks: Vec<(u32, u32)>,
    },
}

impl Rejoining {
    fn settle(&mut self, attempt: &Attempt, result: &Result<Successor>) {
        let State::Running(running) = &self.state else { return };
        if !running.ptr_eq(attempt) {
            return;
        }
        self.state = match result {
            Ok(Successor { node, ranks }) => {
                State::Over { node: Arc::downgrade(node), ranks: ranks.clone() }
            }
            Err(_) => State::Failed,
        };
    }
}

impl fmt::Debug for Rejoining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rejoining")
    }
}

/// Where a node keeps its first loss.
pub(crate) type Loss = watch::Sender<Option<(u32, Reason)>>;

/// Where it keeps the way on.
pub(crate) type RejoinCell = Mutex<Rejoining>;
