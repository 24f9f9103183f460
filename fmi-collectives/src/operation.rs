//! The future that every operation returns: adds deadline, names and failure notices.

use crate::{Communicator, observe::Observed};
use fmi_actors::{
    Error, Reason, Result,
    actor::panic_text,
    endpoint::{Collective, SendFailure, Watch},
    mailbox::Failure,
    meter::{self, Waiting},
};
use pin_project_lite::pin_project;
use std::{
    future::Future,
    panic::resume_unwind,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

pin_project! {
    /// An operation in progress.
    ///
    /// It has begun when it was called: a collective has its number, a receive stands in the
    /// match queue, a send is posted (rule 3). Dropping it takes back what can be taken back; a
    /// dropped collective fails on the other ranks at once (rule 6).
    #[must_use = "operations end only when awaited"]
    pub struct Operation<F> {
        #[pin]
        inner: F,
        base: Base,
    }
}

/// Everything but the future itself.
#[derive(Debug)]
pub(crate) struct Base {
    communicator: Communicator,
    name: &'static str,
    waits_for: WaitsFor,
    after: Duration,
    watch: Option<Watch>,
    /// The meter measures how long it waits.
    waiting: Option<Waiting>,
    /// The group was told what this rank called.
    inquired: bool,
    collective: Option<Collective>,
    /// Somebody wants to know how long it takes.
    observed: Option<Arc<Observed>>,
    /// In a box, as few are.
    refused: Option<Box<Error>>,
}

/// A collective that takes longer asks whether all ranks called the same.
const INQUIRE: Duration = Duration::from_millis(500);
/// The same where each question is an object in a store, more expensive than the collective, and whoever
/// comes late has mostly computed.
const INQUIRE_DEARLY: Duration = Duration::from_secs(10);

/// Whom an operation waits for.
#[derive(Debug, Clone)]
pub(crate) enum WaitsFor {
    Nobody,
    Peer(usize),
    /// As the steps of a collective go on; `u32::MAX` for nobody.
    Changing(Arc<AtomicU32>),
}

/// Why an operation ended badly, before it has names.
#[derive(Debug)]
#[doc(hidden)]
pub enum Trouble {
    /// Of the mailbox or the pair layer; it has no names yet.
    Failure(Failure),
    /// Of this rank.
    Error(Error),
    /// What this rank's caller gets, and the root cause that the group is told.
    Traced(Error, Box<Failure>),
    /// Code inside panicked: the group is told, then the panic goes on.
    Panicked(Panic),
}

/// What a panic carries.
type Panic = Box<dyn std::any::Any + Send>;

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<SendFailure> for Trouble {
    fn from(failure: SendFailure) -> Self {
        match failure {
            SendFailure::Failure(failure) => Self::Failure(failure),
            SendFailure::Value(error) => Self::Error(error),
        }
    }
}

impl<F> Operation<F> {
    pub(crate) fn new(
        communicator: &Communicator,
        name: &'static str,
        waits_for: WaitsFor,
        inner: F,
    ) -> Self {
        Self { inner, base: Base::new(communicator, name, waits_for) }
    }

    /// With all else said before: whoever moves an operation moves all of it.
    pub(crate) fn of(base: Base, inner: F) -> Self {
        Self { inner, base }
    }

    /// What it does, before it is polled.
    pub(crate) fn inner_mut(&mut self) -> &mut F {
        &mut self.inner
    }

    /// One that ends with this error if there is one.
    pub(crate) fn refused(mut self, error: Option<Error>) -> Self {
        self.base.refused = error.map(Box::new);
        self
    }

    /// The same under another name, with its result made into something else.
    pub(crate) fn then<T, U, G>(
        self,
        name: &'static str,
        map: G,
    ) -> Operation<impl Future<Output = Result<U, Trouble>> + use<F, T, U, G>>
    where
        F: Future<Output = Result<T, Trouble>>,
        G: FnOnce(T) -> Result<U>,
    {
        let Self { inner, mut base } = self;
        base.name = name;
        let inner = async move { Ok(map(inner.await?)?) };
        Operation { inner, base }
    }

    /// Ends with [`Error::Timeout`] after `span` instead of the configured time.
    pub fn deadline(mut self, span: Duration) -> Self {
        self.base.after = span;
        self
    }
}

/// Whether nobody else knows a failure that a wait ended with.
fn of_this_rank(failure: &Failure) -> bool {
    matches!(failure, Failure::TooLarge { .. } | Failure::Store { .. } | Failure::Forgotten { .. })
}

impl<F> std::fmt::Debug for Operation<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operation").field("name", &self.base.name).finish_non_exhaustive()
    }
}

impl<T, F: Future<Output = Result<T, Trouble>>> Future for Operation<F> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        let this = self.project();
        let base = this.base;
        if let Some(error) = base.refused.take() {
            return Poll::Ready(Err(base.give_up(*error)));
        }
        // Whoever looks for it in a store wants to know for what.
        base.begin_to_wait();
        if let Some(observed) = &base.observed {
            observed.begin(|| base.communicator.endpoint().now());
        }
        let outcome = match this.inner.poll(context) {
            Poll::Ready(Ok(value)) => {
                if let Some(collective) = base.collective.take() {
                    if let Some(observed) = &base.observed {
                        observed.end(&base.communicator, collective.space());
                    }
                    collective.finish();
                }
                Poll::Ready(Ok(value))
            }
            Poll::Ready(Err(Trouble::Error(error))) => Poll::Ready(Err(base.give_up(error))),
            Poll::Ready(Err(Trouble::Failure(failure))) => {
                let error = base.communicator.error(base.name, &failure);
                match base.collective.take() {
                    // Of this rank: to the others it is a reason.
                    Some(collective) if of_this_rank(&failure) => {
                        collective.abandon(Reason::Error(error.to_string()));
                    }
                    Some(collective) => collective.fail(&failure),
                    None => {}
                }
                Poll::Ready(Err(error))
            }
            Poll::Ready(Err(Trouble::Traced(error, failure))) => {
                if let Some(collective) = base.collective.take() {
                    collective.fail(&failure);
                }
                if let Some(lineage) = base.communicator.lineage() {
                    lineage.note(&error, &failure);
                }
                Poll::Ready(Err(error))
            }
            Poll::Ready(Err(Trouble::Panicked(panic))) => {
                if let Some(collective) = base.collective.take() {
                    collective.abandon(Reason::Panicked(panic_text(&*panic)));
                }
                resume_unwind(panic)
            }
            Poll::Pending => return base.poll_deadline(context).map(Err),
        };
        base.end_waiting();
        outcome
    }
}

/// Inside a call, the call decides whether the group is told of a dropped collective.
impl Drop for Base {
    fn drop(&mut self) {
        self.end_waiting();
        if let (Some(collective), Some(lineage)) =
            (self.collective.take(), self.communicator.lineage())
        {
            lineage.dropped(&self.communicator, collective);
        }
    }
}

impl Base {
    #[inline]
    pub(crate) fn new(
        communicator: &Communicator,
        name: &'static str,
        waits_for: WaitsFor,
    ) -> Self {
        Self {
            communicator: communicator.clone(),
            name,
            waits_for,
            after: communicator.deadline(),
            watch: None,
            waiting: None,
            inquired: false,
            collective: None,
            observed: None,
            refused: None,
        }
    }

    /// A collective: its group learns of its failure. If anybody wants to know, it is measured.
    #[inline]
    pub(crate) fn collective(
        mut self,
        collective: Collective,
        observed: Option<Arc<Observed>>,
    ) -> Self {
        (self.collective, self.observed) = (Some(collective), observed);
        self
    }

    /// It ends with this error if there is one.
    #[inline]
    pub(crate) fn refused(mut self, error: Option<Error>) -> Self {
        self.refused = error.map(Box::new);
        self
    }

    /// An error of this rank's own; the group learns it as the reason.
    fn give_up(&mut self, error: Error) -> Error {
        if let Some(collective) = self.collective.take() {
            collective.abandon(Reason::Error(error.to_string()));
        }
        error
    }

    fn begin_to_wait(&mut self) {
        let endpoint = self.communicator.endpoint();
        let meter = endpoint.meter();
        if self.waiting.is_none() && meter.is_detailed() {
            let operation = match &self.collective {
                Some(collective) => meter.operation(collective.space()),
                None => meter::Operation::MESSAGES,
            };
            self.waiting = meter.wait(operation, endpoint.now());
        }
    }

    fn end_waiting(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.end(self.communicator.endpoint().now());
        }
    }

    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<Error> {
        let (communicator, after) = (&self.communicator, self.after);
        let inquire = if communicator.node().has_to_ask() { INQUIRE_DEARLY } else { INQUIRE };
        let inquires = self.collective.is_some() && after > inquire;
        let first = if inquires { inquire } else { after };
        let watch = self.watch.get_or_insert_with(|| communicator.endpoint().watch(first));
        if !watch.poll_expired(context) {
            return Poll::Pending;
        }
        if inquires && !std::mem::replace(&mut self.inquired, true) {
            if let Some(collective) = &self.collective {
                collective.inquire();
            }
            let watch = self.watch.insert(communicator.endpoint().watch(after - inquire));
            if !watch.poll_expired(context) {
                return Poll::Pending;
            }
        }
        if let Some(collective) = self.collective.take() {
            collective.abandon(Reason::Deadline);
        }
        let peer = match &self.waits_for {
            WaitsFor::Nobody => None,
            WaitsFor::Peer(peer) => Some(*peer),
            WaitsFor::Changing(peer) => usize::try_from(peer.load(Ordering::Relaxed))
                .ok()
                .filter(|p| *p < u32::MAX as usize),
        };
        Poll::Ready(Error::Timeout { rank: communicator.rank(), operation: self.name, peer, after })
    }
}
