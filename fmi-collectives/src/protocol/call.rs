//! `Communicator::call`.

use super::{Lineage, Protocol, name, stage::Stage};
use crate::{
    Communicator,
    operation::{Base, Operation, Trouble, WaitsFor},
};
use fmi_actors::{Result, endpoint::Alarm, mailbox::Failure};
use pin_project_lite::pin_project;
use std::{
    any::type_name,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

impl Communicator {
    /// Runs a protocol. A collective: all ranks call it, each with its own input.
    ///
    /// It takes one number, when called, and runs in a scope of its own: what it sends cannot
    /// meet the caller's messages, and two calls in a `join!` overlap. It runs where it is
    /// awaited, and its input need not be serialisable.
    ///
    /// If it fails on one rank, is dropped there or runs out of time, it fails on all that have
    /// not finished it, at once and with that rank's cause; the communicator stays usable. A
    /// panic in it goes on in its caller and is a failure for the others.
    ///
    /// # Errors
    /// What the protocol returns. [`Error::Abandoned`](fmi_actors::Error::Abandoned) with the
    /// rank that failed first and why; [`Error::RankLost`](fmi_actors::Error::RankLost);
    /// [`Error::Mismatch`](fmi_actors::Error::Mismatch) when a rank calls something else;
    /// [`Error::Timeout`](fmi_actors::Error::Timeout) at the deadline.
    pub fn call<P: Protocol>(
        &self,
        protocol: P,
    ) -> Operation<impl Future<Output = Result<P::Output, Trouble>> + Send + use<P>> {
        self.call_with(protocol, &())
    }

    /// As [`call`](Self::call), for a protocol that has a state: something this rank keeps, and
    /// does not send.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub fn call_with<'a, P: Protocol<S>, S: ?Sized + Sync>(
        &self,
        protocol: P,
        state: &'a S,
    ) -> Operation<impl Future<Output = Result<P::Output, Trouble>> + Send + use<'a, P, S>> {
        let stage = Stage::enter(self, type_name::<P>());
        perform(self, stage, name::<P>(), protocol, state)
    }
}

/// This rank's part of a protocol for which a number was taken.
pub(super) fn perform<'a, P: Protocol<S>, S: ?Sized + Sync>(
    comm: &Communicator,
    stage: Stage,
    name: &'static str,
    protocol: P,
    state: &'a S,
) -> Operation<impl Future<Output = Result<P::Output, Trouble>> + Send + use<'a, P, S>> {
    let Stage { collective, failed, alarm, inside, lineage, greetings } = stage;
    let run = async move {
        let _greetings = greetings;
        protocol.enact(state, &inside).await
    };
    let running = Running { run, failed, alarm, lineage, ended: false };
    let base = Base::new(comm, name, WaitsFor::Nobody).collective(collective, None);
    Operation::of(base, running)
}

pin_project! {
    /// A protocol that runs until it ends or another rank's part fails.
    struct Running<F> {
        #[pin]
        run: F,
        failed: Option<Failure>,
        alarm: Alarm,
        lineage: Arc<Lineage>,
        ended: bool,
    }

    impl<F> PinnedDrop for Running<F> {
        fn drop(this: Pin<&mut Self>) {
            // What it is in the middle of ends with it, and needs no notices of its own.
            if !this.ended {
                this.lineage.fail();
            }
        }
    }
}

impl<T, F: Future<Output = Result<T>>> Future for Running<F> {
    type Output = Result<T, Trouble>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // First: the failure of the call is the cause of what fails inside.
        let failed = match this.failed.take() {
            Some(failure) => Poll::Ready(failure),
            None => Pin::new(this.alarm).poll(context),
        };
        if let Poll::Ready(failure) = failed {
            this.lineage.fail();
            return Poll::Ready(Err(Trouble::Failure(failure)));
        }
        this.lineage.poll_begins();
        match catch_unwind(AssertUnwindSafe(|| this.run.poll(context))) {
            Ok(Poll::Pending) => {
                this.lineage.poll_ends();
                Poll::Pending
            }
            Ok(Poll::Ready(Ok(output))) => {
                this.lineage.poll_ends();
                *this.ended = true;
                Poll::Ready(Ok(output))
            }
            Ok(Poll::Ready(Err(error))) => {
                this.lineage.fail();
                Poll::Ready(Err(match this.lineage.cause(&error) {
                    Some(cause) => Trouble::Traced(error, Box::new(cause)),
                    None => Trouble::Error(error),
                }))
            }
            Err(panic) => {
                this.lineage.fail();
                Poll::Ready(Err(Trouble::Panicked(panic)))
            }
        }
    }
}
