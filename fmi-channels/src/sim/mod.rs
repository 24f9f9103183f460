//! Channel `sim`: thousands of ranks in one thread, on a clock of events.
//!
//! The code is the one that runs elsewhere: nodes, pair layer, mailbox, endpoints, and all that
//! is built on them. Only three things are simulated: the wire ([`Wire`]), who keeps time
//! ([`Keeper`](fmi_actors::keeper::Keeper)), and what the rendezvous tells of deaths. There is no
//! thread, no actor and no real time, and all chance comes from a seed: the same scenario gives
//! the same run, event for event.
//!
//! Computing takes no time. Code that is to take some waits: [`sleep`].
//!
//! ```
//! use fmi_actors::{frame::{Datatype, Space}, mailbox::Filter, Payload};
//! use fmi_channels::sim::{self, Scenario};
//!
//! let scenario = Scenario::new(2);
//! let report = scenario.run(|node, rank| async move {
//!     let endpoint = node.endpoint(rank).expect("it lives here");
//!     endpoint.open(1, node.world().clone());
//!     if rank == 0 {
//!         let text = Payload::from_vec(b"hello".to_vec());
//!         let sent = endpoint.send(Space::messages(1), 1, 0, Datatype::BYTES, text, false);
//!         sent.await.expect("rank 1 lives");
//!     } else {
//!         let any = Filter { source: None, tag: None };
//!         let got = endpoint.recv(Space::messages(1), any).await.expect("rank 0 lives");
//!         assert_eq!(got.total, 5);
//!     }
//!     sim::now()
//! });
//! assert_eq!(report.rounds, 1);
//! let times = report.values();
//! assert!(times[0].is_zero() && times[1] > scenario.wire.latency);
//! ```

mod calendar;
mod depot;
mod dice;
mod events;
mod executor;
mod keeper;
mod link;
mod modelled;
mod network;
mod report;
mod wire;

pub use depot::{Depot, Requests};
pub use network::Death;
pub use report::{End, Report};
pub use wire::Wire;

use crate::local::LocalLink;
use depot::{Contents, SimStore, StoreOnly};
use executor::Executor;
use fmi_actors::{Member, Node, Reason, Roster, Settings, channel::Channel, home};
use futures::future::BoxFuture;
use keeper::BySimulator;
use link::Sim;
use network::{Network, Process};
use parking_lot::Mutex;
use std::{
    cell::{Cell, RefCell},
    future::Future,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

/// What is simulated. Plain data; [`run`](Self::run) does it.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// How many ranks there are.
    pub ranks: usize,
    /// Ranks a process; inside a process they reach each other without the wire.
    pub pack: usize,
    /// Where all chance comes from.
    pub seed: u64,
    /// The wire between processes.
    pub wire: Wire,
    /// World ranks that die, with their process, and when.
    pub deaths: Vec<(u32, Death)>,
    /// How long it takes until the rendezvous has told the others that a process died or left.
    pub detection: Duration,
    /// Bounds and patience of each process.
    pub settings: Settings,
}

impl Scenario {
    /// So many ranks, each a process of its own, on a good network.
    #[must_use]
    pub fn new(ranks: usize) -> Self {
        Self {
            ranks,
            pack: 1,
            seed: 0,
            wire: Wire::default(),
            deaths: Vec::new(),
            detection: Duration::from_millis(50),
            settings: Settings::default(),
        }
    }

    /// Runs `body` for each rank, given its process and number, until all have ended.
    ///
    /// A rank that has ended waits until all it sent has arrived and leaves, as it does in
    /// reality.
    ///
    /// # Panics
    /// When a body does, and when there are no ranks, none a process, or more than `u32` counts.
    pub fn run<T, B, F>(&self, mut body: B) -> Report<T>
    where
        B: FnMut(Arc<Node>, u32) -> F,
        F: Future<Output = T>,
    {
        let world = World::new(self);
        world.enter(|network| {
            let sizes = (0..self.ranks).step_by(self.pack).map(|at| self.pack.min(self.ranks - at));
            let sizes: Vec<_> = sizes.collect();
            let (base, nodes) = job(network, &sizes, &self.settings);
            let host = |rank: usize| base.plus((rank / self.pack) as u32);
            for (rank, death) in &self.deaths {
                network.doom(host(*rank as usize), *death);
            }
            let ends: Vec<_> =
                (0..self.ranks).map(|_| Rc::new(Cell::new(None::<(T, Duration)>))).collect();
            let running = Rc::new(Cell::new(self.ranks));
            let here: Vec<_> = sizes.iter().map(|ranks| Rc::new(Cell::new(*ranks))).collect();
            let mut executor = Executor::new(network);
            for (rank, end) in ends.iter().enumerate() {
                let node = &nodes[rank / self.pack];
                let process = host(rank);
                if !network.lives(process) {
                    running.set(running.get() - 1);
                    continue;
                }
                let life = body(Arc::clone(node), rank as u32);
                let counted = Counted(Rc::clone(&running));
                let (end, node, net) = (Rc::clone(end), Arc::clone(node), Arc::clone(network));
                let here = Counted(Rc::clone(&here[rank / self.pack]));
                let whole = async move {
                    let note = Note { rank, network: &net };
                    let value = life.await;
                    drop(note);
                    end.set(Some((value, net.now().since(Default::default()))));
                    let store = node.store();
                    let counted = store.is_some().then_some(counted);
                    let Some(endpoint) = node.endpoint(rank as u32) else { return };
                    // A peer that is gone, or silent for as long as operations wait, has had
                    // its chance.
                    let patience = net.sleep(node.settings().operation);
                    futures::future::select(endpoint.flush(), patience).await;
                    endpoint.shut(&Reason::Left);
                    if let Some(store) = store
                        && here.is_last()
                    {
                        store.close().await;
                    }
                    drop(here);
                    net.leave(process);
                    drop(counted);
                };
                executor.spawn(Some(process), Box::pin(whole));
            }
            executor.run_until(|| running.get() == 0);
            let tally = network.tally();
            let lives = |rank| network.lives(host(rank));
            let mut last = Duration::ZERO;
            let ends: Vec<_> = ends
                .iter()
                .enumerate()
                .map(|(rank, end)| match end.take() {
                    Some((value, at)) => {
                        last = last.max(at);
                        End::Done(value)
                    }
                    None if lives(rank) => End::Hung,
                    None => End::Died,
                })
                .collect();
            network.finish();
            drop(executor);
            Report {
                ends,
                time: last,
                rounds: tally.rounds,
                frames: tally.frames,
                bytes: tally.bytes,
                messages: tally.messages,
                payload: tally.payload,
                lost: tally.lost,
                stored: network.left_in_store(),
                requests: network.asked_of_store(),
                trace: tally.trace,
            }
        })
    }

    /// Runs one future where there are wire and clock, but no ranks: it makes its own with
    /// [`nodes`] and runs them with [`spawn`]. `None` if it never ends.
    pub fn host<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let world = World::new(self);
        world.enter(|network| {
            let end = Rc::new(Cell::new(None));
            let done = Rc::new(Cell::new(false));
            let mut executor = Executor::new(network);
            let (to, over) = (Rc::clone(&end), Rc::clone(&done));
            executor.spawn(
                None,
                Box::pin(async move {
                    to.set(Some(future.await));
                    over.set(true);
                }),
            );
            executor.run_until(|| done.get());
            network.finish();
            drop(executor);
            end.take()
        })
    }
}

/// The time in the simulation that runs on this thread, since it began.
///
/// # Panics
/// When none runs here.
#[must_use]
pub fn now() -> Duration {
    current().now().since(Default::default())
}

/// Waits in the simulation that runs on this thread: what a computation of this length does.
///
/// # Panics
/// When none runs here.
pub fn sleep(span: Duration) -> impl Future<Output = ()> + Send {
    current().sleep(span)
}

/// Runs a future beside the others of the simulation that runs on this thread.
///
/// # Panics
/// When none runs here.
pub fn spawn(future: BoxFuture<'static, ()>) {
    current().spawn(future);
}

/// Processes of a new job in the simulation that runs on this thread, with so many ranks each.
///
/// # Panics
/// When none runs here.
#[must_use]
pub fn nodes(ranks: &[usize], settings: &Settings) -> Vec<Arc<Node>> {
    job(&current(), ranks, settings).1
}

/// Destroys the link between two processes that [`nodes`] made, with what is on its way. False
/// if there is none.
///
/// # Panics
/// When no simulation runs here.
pub fn cut(one: &Arc<Node>, other: &Arc<Node>) -> bool {
    let network = current();
    let process = |node| network.process_of(node);
    match (process(one), process(other)) {
        (Some(one), Some(other)) => network.cut(one, other),
        _ => false,
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Network>>> = const { RefCell::new(None) };
}

fn current() -> Arc<Network> {
    CURRENT.with_borrow(|current| current.clone()).expect("a simulation runs on this thread")
}

/// A network, while it is the current one.
struct World {
    network: Arc<Network>,
}

impl World {
    fn new(scenario: &Scenario) -> Self {
        let Scenario { ranks, pack, seed, wire, detection, .. } = scenario;
        assert!(*ranks > 0 && *pack > 0, "a job has ranks, and processes have some each");
        assert!(u32::try_from(*ranks).is_ok(), "ranks are numbered in 32 bits");
        Self { network: Network::new(wire.clone(), *detection, *seed) }
    }

    /// Runs what takes this network for the current one.
    fn enter<T>(self, run: impl FnOnce(&Arc<Network>) -> T) -> T {
        struct Restore(Option<Arc<Network>>);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.set(self.0.take());
            }
        }
        let _restore = Restore(CURRENT.replace(Some(Arc::clone(&self.network))));
        home::aside(|| run(&self.network))
    }
}

/// Processes on the network, with so many ranks each, and the number of the first.
fn job(network: &Arc<Network>, ranks: &[usize], settings: &Settings) -> (Process, Vec<Arc<Node>>) {
    let names: &[&str] = match &network.wire().store {
        None => &[Sim::NAME],
        Some(store) if store.alone => &[SimStore::NAME],
        Some(_) => &[Sim::NAME, SimStore::NAME],
    };
    let mut next = 0;
    let members = (0..).zip(ranks).map(|(process, count)| {
        let first = next;
        next += *count as u32;
        let addresses = names.iter().map(|name| ((*name).to_owned(), String::new())).collect();
        Member { process, ranks: (first..next).collect(), addresses, ..Member::default() }
    });
    let roster = Arc::new(Roster::new(members.collect(), Arc::default()));
    let base = network.enlist(ranks.iter().copied());
    let contents = Contents::new(network.seed());
    network.stock(&contents);
    let nodes = (0..ranks.len() as u32).map(|process| {
        let keeper = Arc::new(BySimulator::new(network, base.plus(process)));
        let channels = channels(network, base, process, &contents);
        let (roster, settings) = (Arc::clone(&roster), settings.clone());
        let node = Node::kept((process, 1), roster, channels, &[], settings, keeper);
        network.settle(base.plus(process), &node);
        LocalLink::attach(&node);
        node
    });
    (base, nodes.collect())
}

/// The channels of a process.
fn channels(
    network: &Arc<Network>,
    base: Process,
    process: u32,
    contents: &Arc<Mutex<Contents>>,
) -> Vec<Arc<dyn Channel>> {
    let depot = network.wire().store.as_ref();
    let store = depot.map(|depot| SimStore::new(network, base.plus(process), depot, contents));
    match (depot, store) {
        (Some(depot), Some(store)) if depot.alone => {
            vec![Arc::new(Sim::new(network, base, Some(store)))]
        }
        (_, Some(store)) => {
            vec![Arc::new(Sim::new(network, base, None)), Arc::new(StoreOnly(store))]
        }
        (_, None) => vec![Arc::new(Sim::new(network, base, None))],
    }
}

/// One of the ranks that run; not any more when this is dropped.
struct Counted(Rc<Cell<usize>>);

impl Counted {
    fn is_last(&self) -> bool {
        self.0.get() == 1
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Says where a panic was.
struct Note<'a> {
    rank: usize,
    network: &'a Network,
}

impl Drop for Note<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let at = self.network.now().since(Default::default());
            eprintln!("the panic was on simulated rank {} at {at:?}", self.rank);
        }
    }
}
