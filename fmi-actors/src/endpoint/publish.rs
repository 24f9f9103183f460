//! Publishing and fetching among the ranks of a process.

use super::{pairs::Ranked, recv::RecvFuture};
use crate::{
    Node, Payload, Result as FmiResult,
    board::{Found, Key},
    frame::Space,
    home,
    mailbox::{Failure, Filter},
};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// A tag that no message has: a receive of it waits for nothing but the collective's failure.
const NEVER: u32 = u32::MAX;

/// Why a fetch failed.
pub type FetchFailure = super::SendFailure;

impl Ranked {
    pub(super) fn publish(
        &self,
        space: Space,
        block: usize,
        content: Payload,
        readers: usize,
    ) -> FmiResult<()> {
        home::stir();
        let Some(node) = self.node() else { return Ok(()) };
        let key = Key { space, from: self.number(), block };
        node.board().pin(key, content, readers, &self.unread)
    }
}

/// Waits for what another rank of the process publishes.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct FetchFuture {
    rank: Arc<Ranked>,
    node: Option<Arc<Node>>,
    key: Key,
    failure: Option<RecvFuture>,
}

impl FetchFuture {
    pub(super) fn new(rank: &Arc<Ranked>, space: Space, from: u32, block: usize) -> Self {
        let key = Key { space, from, block };
        Self { rank: Arc::clone(rank), node: rank.node(), key, failure: None }
    }
}

impl Future for FetchFuture {
    type Output = Result<Payload, FetchFailure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(node) = &this.node else {
            return Poll::Ready(Err(FetchFailure::Failure(Failure::Closed)));
        };
        let board = node.board();
        if !board.has(this.key) {
            home::stir();
            home::spin(|| board.has(this.key));
        }
        match board.read(this.key, Some(context.waker())) {
            Ok(Found::Here(content)) => return Poll::Ready(Ok(content)),
            Ok(Found::NotYet) => {}
            Err(error) => return Poll::Ready(Err(FetchFailure::Value(error))),
        }
        poll_failure(&this.rank, this.key.space, &mut this.failure, context)
            .map(|failure| Err(FetchFailure::Failure(failure)))
    }
}

/// Waits until the rank may begin to publish: much of what it published before is read.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct MayPublish {
    rank: Arc<Ranked>,
    space: Space,
    failure: Option<RecvFuture>,
}

impl MayPublish {
    pub(super) fn new(rank: &Arc<Ranked>, space: Space) -> Self {
        Self { rank: Arc::clone(rank), space, failure: None }
    }
}

impl Future for MayPublish {
    type Output = Result<(), Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.rank.unread.has_room(context.waker()) {
            return Poll::Ready(Ok(()));
        }
        poll_failure(&this.rank, this.space, &mut this.failure, context).map(Err)
    }
}

/// Ready when the collective has failed.
fn poll_failure(
    rank: &Arc<Ranked>,
    space: Space,
    failure: &mut Option<RecvFuture>,
    context: &mut Context<'_>,
) -> Poll<Failure> {
    let post = || RecvFuture::post(rank, space, Filter { source: None, tag: Some(NEVER) });
    match failure.get_or_insert_with(post).poll_calmly(context) {
        Poll::Ready(Err(failure)) => Poll::Ready(failure),
        _ => Poll::Pending,
    }
}
