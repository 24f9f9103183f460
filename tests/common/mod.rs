//! What the tests share: jobs over every channel, and bounds on time that say what hangs.

#![allow(dead_code, unreachable_pub, reason = "each test program uses its own part of this")]

pub mod child;

use fmi::{
    Communicator, Config, Error,
    plan::{Packing, Packs},
    sim::{Depot, Sim},
};
use fmi_channels::{
    handshake::Token,
    rendezvous::{Options, Server},
};
use futures::{FutureExt, channel::oneshot, future::join_all};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    future::Future,
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicU32, Ordering},
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::time::timeout;

/// After this a test counts as hanging.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The token of all jobs here.
pub const SECRET: &str = "correct horse battery staple";

/// One test for each function over each channel: `on_both!(name, other)` makes `local::name`,
/// `tcp::name` and so on of `async fn name(wire: Wire)`.
#[macro_export]
macro_rules! on_both {
    ($($test:ident),* $(,)?) => {
        mod local {
            $(#[tokio::test] async fn $test() { super::$test($crate::common::Wire::Local).await })*
        }
        mod tcp {
            $(#[tokio::test] async fn $test() { super::$test($crate::common::Wire::Tcp).await })*
        }
    };
}

/// As [`on_both`], and `sim::name` on simulated ranks, whose wire loses, repeats and reorders.
#[macro_export]
macro_rules! on_all {
    ($($test:ident),* $(,)?) => {
        $crate::on_both!($($test),*);
        mod sim {
            $(#[tokio::test] async fn $test() { super::$test($crate::common::Wire::Sim).await })*
        }
    };
}

/// As [`on_all`], `tcp_packs::name` and `sim_packs::name` among processes of several ranks, and `store::name` and
/// `store_packs::name` where only a store joins processes.
#[macro_export]
macro_rules! on_every {
    ($($test:ident),* $(,)?) => {
        $crate::on_all!($($test),*);
        mod tcp_packs {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test($crate::common::Wire::TcpPacks).await
                }
            )*
        }
        mod sim_packs {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test($crate::common::Wire::SimPacks).await
                }
            )*
        }
        mod store {
            $(#[tokio::test] async fn $test() { super::$test($crate::common::Wire::Store).await })*
        }
        mod store_packs {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test($crate::common::Wire::StorePacks).await
                }
            )*
        }
    };
}

/// How the ranks of a test reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// All in one process.
    Local,
    /// Each in a "process" of its own, in fact in this one: TCP on the loopback interface.
    Tcp,
    /// As `Tcp`, but in fewer "processes", of several ranks: of even jobs contiguous ones of different lengths,
    /// of odd ones they are scattered.
    TcpPacks,
    /// Simulated, each in a process of its own.
    Sim,
    /// As `Sim`, but in up to three processes, the last of which may have fewer ranks.
    SimPacks,
    /// Simulated, each in a process of its own, with nothing between them but a store.
    Store,
    /// As `Store`, but in two processes.
    StorePacks,
}

impl Wire {
    /// Whether all ranks are in one process.
    pub fn is_together(self, size: usize) -> bool {
        let packs = matches!(self, Self::TcpPacks | Self::SimPacks | Self::StorePacks);
        self == Self::Local || packs && size < 2
    }

    /// The process of a rank.
    pub fn process(self, size: usize, rank: usize) -> u32 {
        let process = match self {
            Self::Local => 0,
            Self::Tcp | Self::Sim | Self::Store => rank,
            Self::TcpPacks if size.is_multiple_of(2) => {
                usize::from(rank > size / 2) + usize::from(rank + 1 == size)
            }
            Self::TcpPacks => rank * rank % 3,
            Self::SimPacks => rank / size.div_ceil(3),
            Self::StorePacks => rank / size.div_ceil(2),
        };
        process as u32
    }

    /// Which ranks share processes that links join.
    pub fn packing(self, size: usize) -> Packing {
        match self {
            Self::TcpPacks | Self::SimPacks if !self.is_together(size) => {
                Packing::of(&Packs::of((0..size).map(|rank| self.process(size, rank))))
            }
            _ => Packing::None,
        }
    }

    pub fn is_simulated(self) -> bool {
        matches!(self, Self::Sim | Self::SimPacks | Self::Store | Self::StorePacks)
    }

    /// Whether ranks publish in a store where they share no memory.
    pub fn is_store(self) -> bool {
        matches!(self, Self::Store | Self::StorePacks)
    }
}

/// A store that is the only way, and takes payloads that are not quite small.
fn alone() -> Depot {
    Depot { alone: true, stored: 1000, ..Depot::default() }
}

/// A job and its ranks, for as long as they live.
#[derive(Debug)]
pub struct World {
    /// None of a simulated one: each run of it makes its own.
    pub ranks: Vec<Communicator>,
    rendezvous: Option<Rendezvous>,
    sim: Option<Sim>,
}

impl World {
    pub async fn new(wire: Wire, size: usize) -> Self {
        Self::with(wire, size, |config| config).await
    }

    /// With a configuration changed by `adapt`.
    pub async fn with(wire: Wire, size: usize, adapt: impl Fn(Config) -> Config) -> Self {
        if wire.is_simulated() {
            let (few, span) = (0.01, Duration::from_micros(20));
            let sim = Sim::new(size).seed(u64::from(unique())).jitter(span);
            let sim = sim.loss(few).duplication(few).reordering(few);
            let sim = match wire {
                Wire::Store => sim.store(alone()),
                Wire::StorePacks => sim.store(alone()).pack(size.div_ceil(2)),
                Wire::SimPacks => sim.pack(size.div_ceil(3)),
                _ => sim,
            };
            return Self { ranks: Vec::new(), rendezvous: None, sim: Some(sim) };
        }
        let config = adapt(Config::default().job("test").size(size));
        if wire == Wire::Local {
            let ranks = config.join_all().await.unwrap();
            return Self { ranks, rendezvous: None, sim: None };
        }
        let rendezvous = Rendezvous::start();
        let mut processes: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for rank in 0..size {
            processes.entry(wire.process(size, rank)).or_default().push(rank);
        }
        let process = |ranks: Vec<usize>| rendezvous.reach(config.clone()).ranks(ranks).join_all();
        let joins = processes.into_values().map(process);
        let ranks = bounded("joining", join_all(joins)).await;
        let mut ranks: Vec<Communicator> = ranks.into_iter().flat_map(Result::unwrap).collect();
        ranks.sort_by_key(Communicator::rank);
        Self { ranks, rendezvous: Some(rendezvous), sim: None }
    }

    /// Runs a future for each rank, side by side, and returns what they return.
    ///
    /// The first panic ends the test; so does [`PATIENCE`], with the ranks that have not ended.
    pub async fn each<F, Fut>(&self, life: F) -> Vec<Fut::Output>
    where
        F: Fn(Communicator) -> Fut,
        Fut: Future,
    {
        match &self.sim {
            Some(sim) => {
                let report = sim.run(life);
                assert_eq!(report.stored, 0, "something is left in the store");
                report.values()
            }
            None => each(&self.ranks, life).await,
        }
    }

    /// Lets all ranks leave in good order.
    pub async fn close(&self) {
        self.each(|comm| async move { comm.close().await.unwrap() }).await;
    }
}

/// As [`World::each`], for any communicators.
pub async fn each<F, Fut>(ranks: &[Communicator], life: F) -> Vec<Fut::Output>
where
    F: Fn(Communicator) -> Fut,
    Fut: Future,
{
    let running: Vec<_> = ranks.iter().map(|_| std::cell::Cell::new(true)).collect();
    let lives = ranks.iter().zip(&running).map(|(comm, running)| {
        let life = AssertUnwindSafe(life(comm.clone())).catch_unwind();
        async move {
            let end = life.await.map_err(|panic| (comm.rank(), panic));
            running.set(false);
            end
        }
    });
    let ends = futures::future::try_join_all(lives);
    match timeout(PATIENCE, ends).await {
        Ok(Ok(values)) => values,
        Ok(Err((rank, panic))) => {
            eprintln!("the panic was on rank {rank}");
            std::panic::resume_unwind(panic)
        }
        Err(_) => {
            let hang: Vec<_> = (0..running.len()).filter(|rank| running[*rank].get()).collect();
            panic!("ranks {hang:?} hang\n{}", threads());
        }
    }
}

/// Waits for a future, but not for ever.
pub async fn bounded<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} hangs\n{}", threads()),
    }
}

/// Runs what blocks its thread, but not for ever.
pub fn bounded_thread<T: Send + 'static>(
    what: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (send, receive) = std::sync::mpsc::channel();
    let thread = thread::spawn(move || {
        let _ = send.send(run());
    });
    match receive.recv_timeout(PATIENCE) {
        Ok(value) => value,
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("{what} hangs\n{}", threads()),
        Err(_) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => panic!("{what} ended without a result"),
        },
    }
}

/// Looks again and again until `done`; for what nobody can be told of.
pub fn until(what: &str, done: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "{what} does not come\n{}", threads());
        thread::sleep(Duration::from_millis(2));
    }
}

/// Names, states and waits of this process's threads.
fn threads() -> String {
    let mut text = String::from("threads:\n");
    for task in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let read = |name| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let (stat, wait) = (read("stat"), read("wchan"));
        let (name, rest) = stat.rsplit_once(')').unwrap_or_default();
        let state = rest.split_whitespace().next().unwrap_or_default();
        let _ = writeln!(text, "  {}) {state} {wait}", name);
    }
    text
}

/// A rendezvous on a thread of its own.
#[derive(Debug)]
pub struct Rendezvous {
    address: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Rendezvous {
    pub fn start() -> Self {
        Self::with(Options::default())
    }

    pub fn with(options: Options) -> Self {
        let (send, receive) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let server =
                    Server::bind("127.0.0.1:0", Token::new(SECRET), options).await.unwrap();
                send.send(server.local_addr()).unwrap();
                server.run(stopped).await;
            });
        });
        let address = receive.recv().unwrap().to_string();
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A configuration that joins here, over TCP on the loopback interface.
    pub fn reach(&self, config: Config) -> Config {
        config
            .token(SECRET)
            .rendezvous(&format!("tcp://{}", self.address))
            .and_then(|config| config.channels("tcp"))
            .and_then(|config| config.listen("127.0.0.1:0"))
            .unwrap()
    }

    /// One rank of a job that joins here.
    pub fn config(&self, job: &str, size: usize, rank: usize) -> Config {
        self.reach(Config::default().job(job).size(size).rank(rank))
    }

    /// Ends, as if its machine did.
    pub fn stop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Rendezvous {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Numbers that differ in every call, for names.
pub fn unique() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The error, for tests that compare it.
pub fn error<T: std::fmt::Debug>(result: Result<T, Error>) -> Error {
    result.expect_err("this must fail")
}
