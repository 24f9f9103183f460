//! Punched links: the sockets of [`crate::punch`].
//!
//! Shots are connects that do not block, from the port that the channel listens on, so that an
//! address translation shows them as it shows the channel's connection to the rendezvous. What
//! comes of them is greeted ([`greeting::meet`]) whoever opened it; a shot that reached the other
//! side's listener is an ordinary connection there.

mod drive;
mod look;
mod shots;

use super::begin::Terms;
use crate::{
    greeting::Turns,
    outside::Outside,
    punch::{Failure, Punch, Wire, is_private},
};
use fmi_actors::{
    Member, Node,
    channel::{DialError, Rung, Way},
};
use look::Eye;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, oneshot};

/// Attempts that may be under way at once; who calls a process that has as many calls again.
const MAX_ATTEMPTS: usize = 128;
/// The start that direct ways get where they are likely to do, besides the four round trips in
/// which a link is made.
const PATIENCE: Duration = Duration::from_millis(10);
const MOST_PATIENCE: Duration = Duration::from_millis(200);
/// How long one connection is greeted while others wait, besides the four round trips.
const GREETING: Duration = Duration::from_millis(200);

/// Punches links for the channel of one process.
#[derive(Debug)]
pub(super) struct Puncher {
    terms: Terms,
    outside: Outside,
    eye: Eye,
    pairings: Mutex<HashMap<u32, Arc<Pairing>>>,
    busy: AtomicUsize,
    stopped: AtomicBool,
}

/// What this process has to do with one other.
#[derive(Debug)]
struct Pairing {
    process: u32,
    punch: Mutex<Punch>,
    /// Something has happened to `punch`.
    news: Notify,
    running: AtomicBool,
    /// Those who wait for the attempt's end.
    waiting: Mutex<Vec<oneshot::Sender<Result<(), Failure>>>>,
    /// Of the connections that are greeted: see [`greeting::meet`](crate::greeting::meet).
    turns: Turns,
}

impl Puncher {
    /// For a channel that listens on `bound`.
    pub(super) fn new(terms: Terms, bound: SocketAddr, outside: Outside) -> Arc<Self> {
        Arc::new(Self {
            terms,
            eye: Eye::new(bound, outside.clone()),
            outside,
            pairings: Mutex::default(),
            busy: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        })
    }

    /// The way to a process, if notes can be sent there.
    pub(super) fn way(self: &Arc<Self>, node: &Arc<Node>, to: &Member) -> Option<Way> {
        let own = to.addresses.iter().find(|(channel, _)| channel == self.terms.channel);
        let registered: Option<SocketAddr> = own.map(|(_, at)| at.parse().ok())?;
        if !node.has_post() || to.process == node.process() {
            return None;
        }
        let near = match (to.observed, registered) {
            (Some(seen), Some(own)) => seen.ip() == own.ip(),
            _ => false,
        };
        let beside = to.observed.is_some_and(|seen| seen.ip() == self.outside.observed.ip());
        // A translation that has kept the port of its connection to the rendezvous, which is the
        // one that the channel listens on, will do so again.
        let expected = to.observed.filter(|seen| {
            let kept = registered.is_some_and(|own| own.port() == seen.port());
            kept && !beside && !is_private(seen.ip())
        });
        let (puncher, node, process) = (Arc::clone(self), Arc::downgrade(node), to.process);
        Some(Way {
            rung: Rung::Punched,
            name: format!("{} punched", self.terms.channel),
            after: if near || beside {
                (PATIENCE + 4 * self.outside.round_trip).min(MOST_PATIENCE)
            } else {
                Duration::ZERO
            },
            dial: Box::new(move |_| {
                let (puncher, node) = (Arc::clone(&puncher), node.clone());
                Box::pin(async move {
                    let node = node.upgrade().ok_or_else(ended)?;
                    puncher.dial(&node, process, expected).await
                })
            }),
        })
    }

    /// A note has come.
    pub(super) fn told(self: &Arc<Self>, node: &Arc<Node>, from: u32, note: &[u8]) {
        let wanted = node.quality(self.terms.channel, Rung::Punched).is_some();
        if !wanted || from == node.process() || node.peer(from).is_none() {
            return;
        }
        let pairing = self.pairing(node, from);
        // Else the caller calls again.
        if pairing.running.load(Ordering::Acquire)
            || self.busy.load(Ordering::Acquire) < MAX_ATTEMPTS
        {
            pairing.punch.lock().told(node.now(), note);
            self.run(node, &pairing);
        }
    }

    /// Ends all attempts.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        for pairing in self.pairings.lock().values() {
            pairing.news.notify_one();
        }
    }

    async fn dial(
        self: &Arc<Self>,
        node: &Arc<Node>,
        process: u32,
        expected: Option<SocketAddr>,
    ) -> Result<(), DialError> {
        let pairing = self.pairing(node, process);
        let (told, over) = oneshot::channel();
        pairing.waiting.lock().push(told);
        let cookie = random().map_err(DialError::soft)?;
        pairing.punch.lock().call(node.now(), cookie, expected);
        self.run(node, &pairing);
        let waiter = Waiter { node, pairing: &pairing };
        let outcome = over.await;
        drop(waiter);
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) => Err(DialError::soft(failure)),
            Err(_) => Err(ended()),
        }
    }

    fn pairing(&self, node: &Node, process: u32) -> Arc<Pairing> {
        let mut pairings = self.pairings.lock();
        let new = || {
            Arc::new(Pairing {
                process,
                punch: Mutex::new(Punch::new(Wire::Tcp, node.process(), process)),
                news: Notify::new(),
                running: AtomicBool::new(false),
                waiting: Mutex::default(),
                turns: Turns::new(GREETING + 4 * self.outside.round_trip),
            })
        };
        Arc::clone(pairings.entry(process).or_insert_with(new))
    }

    /// Makes sure that somebody does what the machine says.
    fn run(self: &Arc<Self>, node: &Arc<Node>, pairing: &Arc<Pairing>) {
        if pairing.running.swap(true, Ordering::AcqRel) {
            pairing.news.notify_one();
            return;
        }
        self.busy.fetch_add(1, Ordering::AcqRel);
        let task = drive::Drive::new(self, node, pairing);
        node.keeper().spawn(Box::pin(task.run()));
    }
}

/// Somebody waits for a link; when it is dropped, nobody does.
struct Waiter<'a> {
    node: &'a Arc<Node>,
    pairing: &'a Pairing,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut waiting = self.pairing.waiting.lock();
        waiting.retain(|told| !told.is_closed());
        let last = waiting.is_empty();
        drop(waiting);
        if last {
            let linked = self
                .node
                .peer(self.pairing.process)
                .is_some_and(|peer| peer.link().is_some_and(|link| link.rung() >= Rung::Punched));
            let (now, mut punch) = (self.node.now(), self.pairing.punch.lock());
            if linked {
                punch.linked(now)
            } else {
                punch.withdraw(now)
            }
            drop(punch);
            self.pairing.news.notify_one();
        }
    }
}

fn random() -> Result<u64, getrandom::Error> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn ended() -> DialError {
    DialError::soft("the process has ended")
}
