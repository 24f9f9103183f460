//! Links of a communicator: how ranks are reached, and setting all links up ahead.

use crate::{
    Communicator,
    operation::{Operation, Trouble, WaitsFor},
};
use fmi_actors::{Mesh, PeerAttempt, Result, channel::Rung, mailbox::Failure};
use futures::StreamExt;
use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
};

impl Communicator {
    /// Sets up the links to the processes of all other ranks, side by side, instead of each with
    /// the first message. Ends when all are up; a better way that is still being tried then takes
    /// over later, as always.
    ///
    /// Not a collective: no rank waits for another's call. But it is quicker if all ranks call it,
    /// as then each link is dialled from one side alone.
    ///
    /// ```
    /// # use fmi_collectives as fmi;
    /// # async fn example(comm: fmi::Communicator) -> Result<(), fmi_actors::Error> {
    /// # use std::time::Duration;
    /// comm.connect_all()
    ///     .progress(|done, total| eprintln!("{done} of {total} processes"))
    ///     .deadline(Duration::from_secs(20))
    ///     .await?;
    /// println!("rank 1 is reached over {}", comm.peer(1)?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::RankLost`](fmi_actors::Error::RankLost) naming the rank that cannot be reached,
    /// with all that was tried; [`Error::Timeout`](fmi_actors::Error::Timeout).
    pub fn connect_all(&self) -> Operation<Connecting> {
        let node = self.node();
        let mut missing = BTreeMap::new();
        for rank in (0..self.size()).rev() {
            let process = node.roster().host(self.world_rank(rank));
            // The lowest rank stands for its process.
            missing.extend(process.map(|process| (process, rank)));
        }
        missing.remove(&node.process());
        let connecting = Connecting {
            mesh: node.connect_all(missing.keys().copied()),
            waits_for: Arc::new(AtomicU32::new(u32::MAX)),
            total: missing.len(),
            missing,
            progress: None,
            comm: self.clone(),
        };
        let waits_for = Arc::clone(&connecting.waits_for);
        connecting.say_missing();
        Operation::new(self, "connect_all", WaitsFor::Changing(waits_for), connecting)
    }

    /// How a rank is reached.
    ///
    /// # Errors
    /// [`Error::RankOutOfRange`](fmi_actors::Error::RankOutOfRange).
    pub fn peer(&self, rank: usize) -> Result<PeerInfo> {
        self.check_rank("peer", rank)?;
        let peer = self.node().route(self.world_rank(rank));
        let link = peer.as_ref().and_then(|peer| peer.link());
        Ok(PeerInfo {
            rank,
            process: peer.as_ref().map_or(0, |peer| peer.member().process),
            channel: link.as_ref().map(|link| link.channel()),
            rung: link.as_ref().map(|link| link.rung()),
            climbing: peer.as_ref().is_some_and(|peer| peer.is_climbing()),
            attempts: peer.map(|peer| peer.attempts()).unwrap_or_default(),
        })
    }
}

/// Links that are being set up, see [`Communicator::connect_all`].
pub struct Connecting {
    mesh: Mesh,
    /// Processes without a link yet, each with its lowest rank in the communicator.
    missing: BTreeMap<u32, usize>,
    total: usize,
    /// One of those ranks, for the error at the deadline.
    waits_for: Arc<AtomicU32>,
    progress: Option<Progress>,
    comm: Communicator,
}

type Progress = Box<dyn FnMut(usize, usize) + Send>;

impl Operation<Connecting> {
    /// Calls `show` with the number of processes that are linked and how many there are, this one
    /// left out: at first, and whenever it changes. It runs in the poll of this future and must
    /// not block.
    pub fn progress(mut self, mut show: impl FnMut(usize, usize) + Send + 'static) -> Self {
        let connecting = self.inner_mut();
        show(connecting.total - connecting.missing.len(), connecting.total);
        connecting.progress = Some(Box::new(show));
        self
    }
}

impl Connecting {
    fn say_missing(&self) {
        let rank = self.missing.values().min().and_then(|rank| u32::try_from(*rank).ok());
        self.waits_for.store(rank.unwrap_or(u32::MAX), Ordering::Relaxed);
    }
}

impl Future for Connecting {
    type Output = Result<(), Trouble>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        let this = &mut *self;
        loop {
            if this.missing.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let Poll::Ready(outcome) = this.mesh.poll_next_unpin(context) else {
                return Poll::Pending;
            };
            let Some((process, outcome)) = outcome else {
                // Who sets them up has ended before its work: with the process.
                return Poll::Ready(Err(Failure::Closed.into()));
            };
            let rank = this.missing.remove(&process);
            if let Err(reason) = outcome {
                let failure = match (reason, rank) {
                    (Some(reason), Some(rank)) => {
                        Failure::Lost { rank: this.comm.world_rank(rank), reason }
                    }
                    _ => Failure::Closed,
                };
                return Poll::Ready(Err(failure.into()));
            }
            this.say_missing();
            let done = this.total - this.missing.len();
            if let Some(show) = &mut this.progress {
                show(done, this.total);
            }
        }
    }
}

impl fmt::Debug for Connecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connecting({} of {})", self.total - self.missing.len(), self.total)
    }
}

/// How a rank is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerInfo {
    /// Its number.
    pub rank: usize,
    /// The process that hosts it: ranks of one process share a link.
    pub process: u32,
    /// The channel of the live link, if there is one: links come up with the first message, or by
    /// [`connect_all`](Communicator::connect_all).
    pub channel: Option<&'static str>,
    /// How that link leads there.
    pub rung: Option<Rung>,
    /// Whether ways to it are being tried now; with a link, better ones.
    pub climbing: bool,
    /// How the ways went that this process tried, each the last time. Empty if the other side
    /// dialled.
    pub attempts: Vec<PeerAttempt>,
}

impl fmt::Display for PeerInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.channel, self.rung) {
            (Some(channel), Some(rung @ (Rung::Punched | Rung::Relay))) => {
                write!(f, "{channel} ({rung})")
            }
            (Some(channel), _) => f.write_str(channel),
            (None, _) => f.write_str("no link yet"),
        }
    }
}
