//! Rank 0 of a group that serves.

use super::{
    Protocol, Request,
    call::perform,
    line::{Line, Outbound},
    name, request,
    stage::Stage,
    worker::{SERVICE, Served},
};
use crate::{
    Communicator,
    operation::{Operation, Trouble, WaitsFor},
};
use fmi_actors::{
    Error, Reason, Result, actor::panic_text, endpoint::Collective, frame::Space, mailbox::Failure,
};
use futures::FutureExt;
use parking_lot::Mutex;
use std::{any::type_name, fmt, future::Future, panic::AssertUnwindSafe, sync::Arc};
use tokio::sync::{Mutex as Turn, Semaphore};

/// Asks protocols of a group whose other ranks [serve](super::Worker).
///
/// Cheap to clone, and usable from any task and thread: asks of many callers run side by side,
/// each in a scope of its own. Any runtime will do; nothing is spawned.
///
/// `docs/protocols.md` has a whole service.
///
/// ```no_run
/// # use fmi_collectives::{Communicator, Driver, Protocol, Result};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize)] struct Lookup { key: u64 }
/// # impl Protocol<Vec<u64>> for Lookup {
/// #     type Output = Option<u64>;
/// #     async fn enact(self, state: &Vec<u64>, comm: &Communicator) -> Result<Option<u64>> {
/// #         Ok(None)
/// #     }
/// # }
/// # async fn example(comm: Communicator, shard: Vec<u64>) -> Result<()> {
/// let driver = Driver::new(&comm, shard)?;
/// let found = driver.ask(Lookup { key: 7 }).await?;
/// driver.stop().await?; // the workers' `serve` returns
/// # Ok(()) }
/// ```
pub struct Driver<S> {
    shared: Arc<Shared<S>>,
}

struct Shared<S> {
    state: S,
    /// Where requests travel.
    service: Communicator,
    /// Which of them come first.
    turn: Turn<(Line, Outbound)>,
    /// One for each ask in progress.
    permits: Semaphore,
    limit: usize,
    /// The service itself: a collective that lasts.
    group: Mutex<Option<Collective>>,
    space: Space,
    /// Of the group, for its errors.
    comm: Communicator,
}

impl<S: Send + Sync + 'static> Driver<S> {
    /// Asks that are in progress at a time, if nothing else is said.
    pub const LIMIT: usize = 64;

    /// The driver of a group, on its rank 0, with that rank's own state. A collective with the
    /// others' [`serve`](super::Worker::serve): it takes a number, and waits for nobody.
    ///
    /// # Errors
    /// [`Error::Argument`] on another rank; [`Error::Mismatch`] when another calls something
    /// else, [`Error::RankLost`] when one is gone already.
    pub fn new(comm: &Communicator, state: S) -> Result<Self> {
        Self::with_limit(comm, state, Self::LIMIT)
    }

    /// As [`new`](Self::new), with at most `limit` asks in progress; more wait for their turn.
    ///
    /// # Errors
    /// As [`new`](Self::new); [`Error::Argument`] when the limit is 0.
    pub fn with_limit(comm: &Communicator, state: S, limit: usize) -> Result<Self> {
        let refuse = |message: String| Err(Error::Argument { operation: "Driver::new", message });
        if comm.rank() != 0 {
            return refuse(format!("rank 0 drives, rank {} serves: Worker::serve", comm.rank()));
        }
        if limit == 0 || limit > Semaphore::MAX_PERMITS.min(u32::MAX as usize) {
            return refuse(format!("a limit of {limit} asks in progress"));
        }
        let Stage { collective, failed, inside: service, .. } = Stage::enter(comm, SERVICE);
        if let Some(failure) = failed {
            collective.fail(&failure);
            return Err(comm.error(SERVICE, &failure));
        }
        Ok(Self {
            shared: Arc::new(Shared {
                state,
                turn: Turn::new((Line::new(&service), Outbound::default())),
                service,
                permits: Semaphore::new(limit),
                limit,
                space: collective.space(),
                group: Mutex::new(Some(collective)),
                comm: comm.clone(),
            }),
        })
    }

    /// Runs a protocol on all ranks: the message travels to the workers, each runs it with its
    /// own state, and this rank with its. Ends when all have ended.
    ///
    /// Begins when awaited. Dropped, it ends on the workers too. `.deadline(d)` counts from the
    /// call and includes the wait for a turn.
    ///
    /// # Errors
    /// What the protocol returns here. [`Error::Abandoned`] with the rank that failed first and
    /// why: its error, a panic, a protocol that it does not serve, a message that it cannot
    /// read. The group stays usable after these. [`Error::RankLost`] when a rank is gone, and
    /// then for all asks: the group is over. [`Error::Closed`] after [`stop`](Self::stop);
    /// [`Error::Timeout`]; [`Error::Codec`] when the protocol cannot be encoded.
    pub fn ask<P>(
        &self,
        protocol: P,
    ) -> Operation<impl Future<Output = Result<P::Output, Trouble>> + Send + use<P, S>>
    where
        P: Protocol<S> + Request,
    {
        let shared = Arc::clone(&self.shared);
        Operation::new(&self.shared.comm, name::<P>(), WaitsFor::Nobody, async move {
            if shared.permits.is_closed() {
                return Err(Error::Closed { operation: "ask" }.into());
            }
            let alarm = shared.comm.endpoint().alarm(shared.space);
            let ask = AssertUnwindSafe(shared.ask(protocol)).catch_unwind();
            tokio::select! {
                biased;
                failure = alarm => Err(shared.over(&failure)),
                end = ask => end.unwrap_or_else(|panic| {
                    let reason = Reason::Panicked(panic_text(&*panic));
                    Err(Error::Abandoned { rank: 0, operation: name::<P>(), reason }.into())
                }),
            }
        })
    }

    /// Waits for the asks in progress, then lets the workers' `serve` return. Later asks are
    /// refused. Dropping the last clone does it, too, without a word about failures.
    ///
    /// # Errors
    /// Why the group is over already, if it is; [`Error::Timeout`].
    pub fn stop(&self) -> Operation<impl Future<Output = Result<(), Trouble>> + Send + use<S>> {
        let shared = Arc::clone(&self.shared);
        Operation::new(&self.shared.comm, "stop", WaitsFor::Nobody, async move {
            // A second stop finds it closed: then all is done.
            let Ok(_all) = shared.permits.acquire_many(shared.limit as u32).await else {
                return Ok(());
            };
            shared.permits.close();
            let failed = shared.comm.endpoint().alarm(shared.space).now_or_never();
            let group = shared.group.lock().take();
            match (group, failed) {
                (Some(group), Some(failure)) => {
                    group.fail(&failure);
                    Err(shared.over(&failure))
                }
                (Some(group), None) => {
                    group.abandon(Reason::Left);
                    Ok(())
                }
                (None, _) => Ok(()),
            }
        })
    }

    /// The group's communicator.
    #[must_use]
    pub fn communicator(&self) -> &Communicator {
        &self.shared.comm
    }

    /// This rank's state.
    #[must_use]
    pub fn state(&self) -> &S {
        &self.shared.state
    }
}

impl<S: Send + Sync> Shared<S> {
    async fn ask<P>(&self, protocol: P) -> Result<P::Output, Trouble>
    where
        P: Protocol<S> + Request,
    {
        let closed = |_| Error::Closed { operation: "ask" };
        let _permit = self.permits.acquire().await.map_err(closed)?;
        let request = request::encode(&protocol)?;
        let call = {
            let (line, outbound) = &mut *self.turn.lock().await;
            outbound.room(self.limit).await?;
            // No await between these: what is posted has its number, and the other way round.
            outbound.post(&self.service, request)?;
            let comm = line.next();
            let stage = Stage::open(comm, Some(type_name::<P>()));
            perform(comm, stage, name::<P>(), Served(protocol), &self.state)
        };
        Ok(call.await?)
    }

    /// The error of all asks when the group has failed.
    fn over(&self, failure: &Failure) -> Trouble {
        self.comm.error(SERVICE, failure).into()
    }
}

impl<S> Drop for Shared<S> {
    fn drop(&mut self) {
        if let Some(group) = self.group.get_mut().take() {
            group.abandon(Reason::Left);
        }
    }
}

impl<S> Clone for Driver<S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<S> fmt::Debug for Driver<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Driver of {:?}", self.shared.comm)
    }
}
