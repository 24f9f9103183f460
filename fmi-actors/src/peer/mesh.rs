//! Links to many processes, set up ahead.

use super::Peer;
use crate::{Node, Reason, channel::Link};
use futures::{
    FutureExt, StreamExt,
    channel::mpsc,
    stream::{FuturesUnordered, Stream},
};
use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::sync::Semaphore;

/// Processes that one dials at once. Each attempt holds a socket or two.
const AT_ONCE: usize = 64;
/// Of two processes that both want a link the lower dials. The other gives it this start: mostly
/// it comes well within.
const HEAD_START: Duration = Duration::from_millis(300);

/// Links that are being set up. A stream: each process once, when its link is up or it is lost,
/// in the order in which that happens. Dropped, it begins no more.
#[derive(Debug)]
pub struct Mesh {
    outcomes: mpsc::Receiver<(u32, Outcome)>,
}

/// Whether a link is up, else why the process is lost; without a reason this one is closing.
type Outcome = Result<(), Option<Reason>>;

impl Node {
    /// Begins to link to these processes instead of waiting for something to say: to all side by
    /// side, to a bounded number at once. This one is left out.
    pub fn connect_all(self: &Arc<Self>, processes: impl IntoIterator<Item = u32>) -> Mesh {
        let own = self.process();
        let mut peers: Vec<_> = processes
            .into_iter()
            .filter(|process| *process != own)
            .filter_map(|process| self.peer(process))
            .collect();
        // The next one first, so that not all dial the same one at once.
        peers.sort_unstable_by_key(|peer| peer.member().process.wrapping_sub(own));
        let (mut told, outcomes) = mpsc::channel(peers.len());
        let node = Arc::clone(self);
        self.keeper().spawn(Box::pin(async move {
            let gate = Semaphore::new(AT_ONCE);
            let start = node.keeper().sleep(HEAD_START).shared();
            let mut links: FuturesUnordered<_> = peers
                .iter()
                .map(|peer| {
                    let (gate, start) = (&gate, start.clone());
                    let expected = peer.member().process < own;
                    async move {
                        let process = peer.member().process;
                        if expected && peer.link().is_none() {
                            futures::future::select(start, peer.linked().boxed()).await;
                        }
                        (process, peer.dialled(gate).await)
                    }
                })
                .collect();
            while let Some(outcome) = links.next().await {
                // There is room for all; nobody listens any more if it fails.
                if told.try_send(outcome).is_err() {
                    return;
                }
            }
        }));
        Mesh { outcomes }
    }
}

impl Stream for Mesh {
    type Item = (u32, Outcome);

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.outcomes.poll_next_unpin(context)
    }
}

impl Peer {
    /// The live link, as soon as there is one; else why there never will be, or no reason if it
    /// is this process that leaves.
    ///
    /// # Errors
    /// The reason for which the process is lost.
    pub async fn linked(&self) -> Result<Arc<dyn Link>, Option<Reason>> {
        poll_fn(|context| {
            if let Some(outcome) = self.state() {
                return Poll::Ready(outcome);
            }
            self.watch(context.waker());
            // It may have come up in between.
            self.state().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    fn state(&self) -> Option<Result<Arc<dyn Link>, Option<Reason>>> {
        match self.link() {
            Some(link) => Some(Ok(link)),
            None if self.is_gone() => Some(Err(self.fate.lock().clone())),
            None => None,
        }
    }

    async fn dialled(self: &Arc<Self>, gate: &Semaphore) -> Outcome {
        if self.link().is_none() {
            // It is never closed.
            let _permit = gate.acquire().await.ok();
            self.connect();
            return self.linked().await.map(drop);
        }
        Ok(())
    }
}
