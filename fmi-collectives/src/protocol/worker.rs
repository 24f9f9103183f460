//! Ranks that run what the driver asks.

use super::{
    Protocol, Request,
    call::perform,
    line::{Line, inbound},
    name, request,
    stage::Stage,
};
use crate::Communicator;
use fmi_actors::{
    Error, Reason, Result, codec,
    mailbox::Failure,
    pair::{Arrival, Body},
};
use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, OptionFuture, ready},
    stream::FuturesUnordered,
};
use rustc_hash::FxHashMap;
use std::{any::type_name, fmt, future::Future, panic::AssertUnwindSafe};

/// How errors call a service.
pub(super) const SERVICE: &str = "serve";

/// A rank that runs protocols when rank 0 [asks](super::Driver::ask) them.
///
/// ```no_run
/// # use fmi_collectives::{Communicator, Protocol, Result, Worker};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize)] struct Lookup { key: u64 }
/// # impl Protocol<Vec<u64>> for Lookup {
/// #     type Output = Option<u64>;
/// #     async fn enact(self, state: &Vec<u64>, comm: &Communicator) -> Result<Option<u64>> {
/// #         Ok(None)
/// #     }
/// # }
/// # async fn example(comm: Communicator, shard: Vec<u64>) -> Result<()> {
/// Worker::new(shard).on::<Lookup>().serve(&comm).await?; // until the driver stops
/// # Ok(()) }
/// ```
pub struct Worker<S> {
    state: S,
    /// By the protocols' full names.
    handlers: FxHashMap<&'static str, Handler<S>>,
    limit: usize,
}

/// Reads a protocol and takes its number: a run, or why there is none.
type Handler<S> =
    for<'a> fn(&'a S, &Communicator, &[u8]) -> Result<BoxFuture<'a, Result<(), Error>>>;

impl<S: Send + Sync + 'static> Worker<S> {
    /// Protocols that are run at a time, if nothing else is said.
    pub const LIMIT: usize = 64;

    /// A worker with this rank's state, that serves nothing yet.
    #[must_use]
    pub fn new(state: S) -> Self {
        Self { state, handlers: FxHashMap::default(), limit: Self::LIMIT }
    }

    /// Serves this protocol, too.
    #[must_use]
    pub fn on<P>(mut self) -> Self
    where
        P: Protocol<S> + Request,
    {
        self.handlers.insert(type_name::<P>(), handle::<P, S>);
        self
    }

    /// Runs at most so many protocols at a time, at least one; more wait in the order asked.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit.max(1);
        self
    }

    /// Serves until the driver stops, or is dropped. A collective with rank 0's
    /// [`Driver::new`](super::Driver::new); all others serve. Ends the group when dropped.
    ///
    /// All protocols run in this future: on its thread, side by side where they await.
    ///
    /// # Errors
    /// [`Error::RankLost`] when a rank of the group is gone; [`Error::Abandoned`] when another
    /// stops serving; [`Error::Mismatch`] when one calls something else; [`Error::Argument`] on
    /// rank 0. A protocol that fails, or panics, is an error for its asker only.
    pub fn serve(self, comm: &Communicator) -> impl Future<Output = Result<()>> + Send + use<S> {
        let stage = (comm.rank() != 0).then(|| Stage::enter(comm, SERVICE));
        let comm = comm.clone();
        async move {
            let Some(Stage { collective, failed, alarm, inside, greetings, .. }) = stage else {
                let message = "rank 0 drives, the others serve: Driver::new".to_owned();
                return Err(Error::Argument { operation: SERVICE, message });
            };
            let _greetings = greetings;
            let end = tokio::select! {
                biased;
                Some(failure) = ready(failed) => failure,
                failure = alarm => failure,
                failure = self.answer(&inside) => failure,
            };
            if stopped(&comm, &end) {
                collective.finish();
                return Ok(());
            }
            collective.fail(&end);
            Err(comm.error(SERVICE, &end))
        }
    }

    /// Runs what is asked, until the driver is gone.
    async fn answer(&self, service: &Communicator) -> Failure {
        let mut line = Line::new(service);
        let mut running = FuturesUnordered::new();
        let mut next = None;
        loop {
            if running.len() < self.limit && next.is_none() {
                next = Some(inbound(service));
            }
            tokio::select! {
                biased;
                Some(()) = running.next(), if !running.is_empty() => {}
                Some(request) = OptionFuture::from(next.as_mut()) => {
                    next = None;
                    match request {
                        Ok(request) => running.extend(self.start(line.next(), request)),
                        Err(failure) => return failure,
                    }
                }
            }
        }
    }

    /// Takes the request's number, and begins or refuses it.
    fn start<'a>(
        &'a self,
        comm: &Communicator,
        request: Arrival,
    ) -> Option<impl Future<Output = ()> + Send + use<'a, S>> {
        let Body::Here(request) = request.body else {
            unreachable!("receives end with the payload")
        };
        let run = request.into_wire().and_then(|request| {
            let (name, body) = request::split(request.bytes().unwrap_or_default())?;
            let handler = self.handlers.get(name).ok_or_else(|| {
                let name = crate::signature::without_modules(name);
                Error::failed(format_args!("it does not serve {name}: add `.on::<{name}>()`"))
            })?;
            handler(&self.state, comm, body)
        });
        match run {
            Ok(run) => Some(report(run)),
            Err(error) => {
                tracing::warn!(%error, "refused a request");
                let Stage { collective, .. } = Stage::open(comm, None);
                collective.abandon(Reason::Error(error.to_string()));
                None
            }
        }
    }
}

impl<S> fmt::Debug for Worker<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<_> = self.handlers.keys().collect();
        names.sort_unstable();
        f.debug_struct("Worker").field("serves", &names).finish_non_exhaustive()
    }
}

/// A protocol that ends on the driver when it has ended on all ranks: so its asker learns of any
/// failure, and no worker runs more than the driver asks at a time.
pub(super) struct Served<P>(pub(super) P);

impl<P: Protocol<S>, S: Sync> Protocol<S> for Served<P> {
    type Output = P::Output;

    async fn enact(self, state: &S, comm: &Communicator) -> Result<P::Output> {
        let inside = comm.dup();
        let output = self.0.enact(state, &inside).await?;
        comm.gather((), 0).await?;
        Ok(output)
    }
}

fn handle<'a, P, S>(
    state: &'a S,
    comm: &Communicator,
    body: &[u8],
) -> Result<BoxFuture<'a, Result<(), Error>>>
where
    P: Protocol<S> + Request,
    S: Sync,
{
    let protocol = Served(codec::decode::<P>(body)?);
    let stage = Stage::open(comm, Some(type_name::<P>()));
    let run = perform(comm, stage, name::<P>(), protocol, state);
    Ok(async move { run.await.map(drop) }.boxed())
}

/// What becomes of it is the asker's business; here it is only logged.
async fn report(run: impl Future<Output = Result<()>> + Send) {
    match AssertUnwindSafe(run).catch_unwind().await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an asked protocol failed"),
        Err(_) => tracing::warn!("an asked protocol panicked; its asker knows"),
    }
}

/// Whether the driver has ended the service in good order.
fn stopped(comm: &Communicator, end: &Failure) -> bool {
    let (Failure::Abandoned { rank, reason } | Failure::Lost { rank, reason }) = end else {
        return false;
    };
    *rank == comm.world_rank(0) && *reason == Reason::Left
}
