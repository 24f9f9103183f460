//! Ask and serve: rank 0 asks, all ranks run, each with its own state.

mod job;

use fmi::{Communicator, Driver, Error, Reason, Result, Worker, op};
use futures::{FutureExt, future::join_all, stream::FuturesUnordered};
use job::{config, local, rendezvous, soon, tcp, tcp_with};
use serde::{Deserialize, Serialize};
use std::{
    future::Future,
    pin::Pin,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

/// What a rank has: texts, and how much it is doing.
#[derive(Debug, Default)]
struct Shelf {
    texts: Vec<String>,
    running: AtomicUsize,
    most: AtomicUsize,
}

/// How often a word is in the texts of all ranks.
#[derive(Serialize, Deserialize, fmi::Protocol)]
#[protocol(output = usize, state = Arc<Shelf>)]
struct Count {
    word: String,
}

impl Count {
    async fn run(self, shelf: &Arc<Shelf>, comm: &Communicator) -> Result<usize> {
        let here = shelf.texts.iter().map(|text| text.matches(&self.word).count()).sum::<usize>();
        comm.allreduce(here, op::sum()).await
    }
}

/// Any state will do.
#[derive(Serialize, Deserialize, fmi::Protocol)]
#[protocol(output = Option<Vec<usize>>)]
struct WhoIsThere;

impl WhoIsThere {
    async fn run(self, comm: &Communicator) -> Result<Option<Vec<usize>>> {
        comm.gather(comm.rank(), 0).await
    }
}

/// Does something on one rank, while the others wait in a barrier, or wait for nobody.
#[derive(Debug, Clone, Serialize, Deserialize, fmi::Protocol)]
#[protocol(output = (), state = Arc<Shelf>)]
struct Do {
    on: usize,
    what: What,
    others_wait: bool,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum What {
    Nothing,
    Fail,
    Panic,
    Hang,
    Compute,
}

impl Do {
    async fn run(self, shelf: &Arc<Shelf>, comm: &Communicator) -> Result<()> {
        let _busy = Busy::new(shelf);
        if comm.rank() == self.on {
            match self.what {
                What::Nothing => {}
                What::Fail => return Err(Error::failed("out of paper")),
                What::Panic => panic!("out of ink"),
                What::Hang => std::future::pending().await,
                What::Compute => std::thread::sleep(Duration::from_millis(300)),
            }
        }
        if self.others_wait { comm.barrier().await } else { Ok(()) }
    }
}

struct Busy(Arc<Shelf>);

impl Busy {
    fn new(shelf: &Arc<Shelf>) -> Self {
        let running = shelf.running.fetch_add(1, Ordering::SeqCst) + 1;
        shelf.most.fetch_max(running, Ordering::SeqCst);
        Self(Arc::clone(shelf))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Nobody can read it.
#[derive(fmi::Protocol)]
#[protocol(output = ())]
struct Unreadable;

impl Unreadable {
    async fn run(self, comm: &Communicator) -> Result<()> {
        comm.barrier().await
    }
}

impl Serialize for Unreadable {
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_u8(7)
    }
}

impl<'de> Deserialize<'de> for Unreadable {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> std::result::Result<Self, D::Error> {
        Err(serde::de::Error::custom("smudged"))
    }
}

/// A protocol that nobody serves.
#[derive(Serialize, Deserialize, fmi::Protocol)]
#[protocol(output = ())]
struct Unknown;

impl Unknown {
    async fn run(self, comm: &Communicator) -> Result<()> {
        comm.barrier().await
    }
}

struct Group {
    driver: Driver<Arc<Shelf>>,
    shelves: Vec<Arc<Shelf>>,
    workers: Vec<JoinHandle<Result<()>>>,
    ranks: Vec<Communicator>,
}

impl Group {
    fn new(ranks: Vec<Communicator>) -> Self {
        Self::with_limit(ranks, 64)
    }

    fn with_limit(ranks: Vec<Communicator>, limit: usize) -> Self {
        let shelf = |rank: usize| {
            let texts = vec!["to be or not to be".into(), "be ".repeat(rank)];
            Arc::new(Shelf { texts, ..Shelf::default() })
        };
        let shelves: Vec<_> = (0..ranks.len()).map(shelf).collect();
        let serve = |comm: &Communicator| {
            let worker = Worker::new(Arc::clone(&shelves[comm.rank()]));
            let worker = worker.on::<Count>().on::<WhoIsThere>().on::<Do>().on::<Unreadable>();
            tokio::spawn(worker.serve(comm))
        };
        let workers = ranks[1..].iter().map(serve).collect();
        let driver = Driver::with_limit(&ranks[0], Arc::clone(&shelves[0]), limit).unwrap();
        Self { driver, shelves, workers, ranks }
    }

    /// Still answers, to all ranks' satisfaction.
    async fn is_well(&self) {
        let size = self.ranks.len();
        let expected = 2 * size + size * (size - 1) / 2;
        assert_eq!(soon(self.driver.ask(Count { word: "be".into() })).await, Ok(expected));
    }

    async fn workers_end(&mut self) -> Vec<Result<()>> {
        let ends = soon(join_all(std::mem::take(&mut self.workers))).await;
        ends.into_iter().map(std::result::Result::unwrap).collect()
    }
}

fn act(on: usize, what: What, others_wait: bool) -> Do {
    Do { on, what, others_wait }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_ranks_answer_with_their_state() {
    for ranks in [local(1).await, local(4).await, tcp(4).await] {
        let size = ranks.len();
        let mut group = Group::new(ranks);
        group.is_well().await;
        let there = soon(group.driver.ask(WhoIsThere)).await;
        assert_eq!(there, Ok(Some((0..size).collect())));
        soon(group.driver.stop()).await.unwrap();
        assert_eq!(group.workers_end().await, vec![Ok(()); size - 1]);
        assert_eq!(soon(group.driver.stop()).await, Ok(()), "twice does no harm");
        let late = soon(group.driver.ask(WhoIsThere)).await;
        assert_eq!(late, Err(Error::Closed { operation: "ask" }));
        // The communicator lives on.
        let all = group.ranks.iter().map(|rank| rank.allreduce(1_usize, op::sum()));
        assert_eq!(soon(join_all(all)).await, vec![Ok(size); size]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_overlap_within_the_limit() {
    for ranks in [local(3).await, tcp(3).await] {
        let group = Group::with_limit(ranks, 8);
        let callers = (0..16).map(|caller| {
            let driver = group.driver.clone();
            tokio::spawn(async move {
                for round in 0..20 {
                    let word = ["be", "to", "or"][(caller + round) % 3];
                    let expected = [9, 6, 3][(caller + round) % 3];
                    let found = driver.ask(Count { word: word.into() }).await;
                    assert_eq!(found, Ok(expected), "{word}");
                    driver.ask(act(1, What::Nothing, true)).await.unwrap();
                }
            })
        });
        for caller in soon(join_all(callers)).await {
            caller.unwrap();
        }
        for shelf in &group.shelves {
            let most = shelf.most.load(Ordering::SeqCst);
            assert!((2..=8).contains(&most), "{most} at a time");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_is_its_askers_and_the_group_goes_on() {
    for ranks in [local(3).await, tcp(3).await] {
        let group = Group::new(ranks);
        let paper = || Reason::Error("out of paper".into());
        let ink = || Reason::Panicked("out of ink".into());
        for others_wait in [true, false] {
            for on in 0..3 {
                let failed = soon(group.driver.ask(act(on, What::Fail, others_wait))).await;
                let expected = match on {
                    0 => Error::failed("out of paper"),
                    rank => Error::Abandoned { rank, operation: "Do", reason: paper() },
                };
                assert_eq!(failed, Err(expected));
                group.is_well().await;
                let panicked = soon(group.driver.ask(act(on, What::Panic, others_wait))).await;
                let expected = Error::Abandoned { rank: on, operation: "Do", reason: ink() };
                assert_eq!(panicked, Err(expected));
                group.is_well().await;
            }
        }
        let unknown = soon(group.driver.ask(Unknown)).await.unwrap_err();
        let Error::Abandoned { rank: 1 | 2, operation: "Unknown", reason } = unknown else {
            panic!("{unknown}")
        };
        assert_eq!(reason.to_string(), "it does not serve Unknown: add `.on::<Unknown>()`");
        group.is_well().await;
        let unreadable = soon(group.driver.ask(Unreadable)).await.unwrap_err();
        assert!(unreadable.to_string().contains("smudged"), "{unreadable}");
        group.is_well().await;
        assert!(group.shelves.iter().all(|shelf| shelf.running.load(Ordering::SeqCst) == 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_or_late_ask_ends_on_the_workers() {
    for ranks in [local(3).await, tcp(3).await] {
        let group = Group::new(ranks);
        for on in 0..3 {
            let after = Duration::from_millis(30);
            let late = soon(group.driver.ask(act(on, What::Hang, true)).deadline(after)).await;
            assert_eq!(late, Err(Error::Timeout { rank: 0, operation: "Do", peer: None, after }));
            let hangs = group.driver.ask(act(on, What::Hang, true));
            assert!(tokio::time::timeout(after, hangs).await.is_err());
        }
        let start = Instant::now();
        while group.shelves.iter().any(|shelf| shelf.running.load(Ordering::SeqCst) > 0) {
            assert!(start.elapsed() < Duration::from_secs(5), "they go on");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        group.is_well().await;
    }
}

/// Asks that are dropped at once, while a worker computes: they are bounded, in order, and gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_dropped_asks_is_bounded() {
    for ranks in [local(3).await, tcp_with(3, |config| config.outbox(1 << 16)).await] {
        let group = Group::with_limit(ranks, 8);
        let computes = tokio::spawn(group.driver.ask(act(1, What::Compute, false)));
        for round in 0..20_000 {
            let word = "x".repeat(round % 5000);
            let _ = group.driver.ask(Count { word }).now_or_never();
        }
        soon(computes).await.unwrap().unwrap();
        group.is_well().await;
        let most = group.shelves[2].most.load(Ordering::SeqCst);
        assert!(most <= 8, "{most} at a time");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_driver_that_is_dropped_ends_the_group() {
    for ranks in [local(3).await, tcp(3).await] {
        let mut group = Group::new(ranks);
        let driver = group.driver.clone();
        let Group { driver: first, .. } = &mut group;
        drop(std::mem::replace(first, driver));
        group.is_well().await;
        let mut asked: Pin<Box<dyn Future<Output = _>>> =
            Box::pin(group.driver.ask(act(2, What::Hang, false)));
        assert!(asked.as_mut().now_or_never().is_none());
        let Group { driver, mut workers, .. } = group;
        drop(driver);
        // What is being asked keeps it.
        assert!(tokio::time::timeout(Duration::from_millis(30), &mut workers[0]).await.is_err());
        drop(asked);
        let ends: FuturesUnordered<_> = workers.into_iter().collect();
        let ends: Vec<_> = soon(futures::StreamExt::collect::<Vec<_>>(ends)).await;
        assert!(ends.into_iter().all(|end| end.unwrap() == Ok(())));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_stops_serving_ends_the_group() {
    for ranks in [local(3).await, tcp(3).await] {
        let mut group = Group::new(ranks);
        group.is_well().await;
        let waits = tokio::spawn(group.driver.ask(act(0, What::Hang, false)));
        group.workers.remove(0).abort();
        let reason = Reason::Dropped;
        let over = Error::Abandoned { rank: 1, operation: "serve", reason };
        assert_eq!(soon(waits).await.unwrap(), Err(over.clone()));
        assert_eq!(soon(group.driver.ask(WhoIsThere)).await, Err(over.clone()));
        assert_eq!(group.workers_end().await, [Err(over.clone())]);
        assert_eq!(soon(group.driver.stop()).await, Err(over));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_service_is_refused_or_named() {
    let ranks = local(2).await;
    let refused = Driver::new(&ranks[1], ()).unwrap_err();
    assert_eq!(refused.to_string(), "Driver::new: rank 0 drives, rank 1 serves: Worker::serve");
    let refused = soon(Worker::new(()).serve(&ranks[0])).await.unwrap_err();
    assert_eq!(refused.to_string(), "serve: rank 0 drives, the others serve: Driver::new");
    let driver = Driver::new(&ranks[0], ()).unwrap();
    let barrier = soon(ranks[1].barrier()).await.unwrap_err();
    assert_eq!(barrier.to_string(), "rank 1 called barrier, but rank 0 called protocol serve");
    let asked = soon(driver.ask(WhoIsThere)).await.unwrap_err();
    assert_eq!(asked.to_string(), "rank 0 called protocol serve, but rank 1 called barrier");
}

/// The child's program in the test below.
#[test]
fn child_worker() {
    let Ok(address) = std::env::var("FMI_TEST_WORKER") else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let comm = config(address.parse().unwrap(), 2, 3).join().await.unwrap();
        let worker = Worker::new(Arc::<Shelf>::default()).on::<WhoIsThere>().on::<Do>();
        let _ = worker.serve(&comm).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rank_that_dies_ends_the_group() {
    let address = rendezvous().await;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_worker", "--nocapture"])
        .env("FMI_TEST_WORKER", address.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let joins = soon(join_all([0, 1].map(|rank| config(address, rank, 3).join()))).await;
    let ranks: Vec<_> = joins.into_iter().map(Result::unwrap).collect();
    let mut group = Group::new(ranks);
    assert_eq!(soon(group.driver.ask(WhoIsThere)).await, Ok(Some(vec![0, 1, 2])));
    let waits = tokio::spawn(group.driver.ask(act(1, What::Hang, false)));
    let answered = soon(group.driver.ask(WhoIsThere)).await;
    assert_eq!(answered, Ok(Some(vec![0, 1, 2])));
    child.kill().unwrap();
    child.wait().unwrap();
    let lost = Error::RankLost { rank: 2, reason: Reason::Died };
    assert_eq!(soon(waits).await.unwrap(), Err(lost.clone()));
    assert_eq!(soon(group.driver.ask(WhoIsThere)).await, Err(lost.clone()));
    assert_eq!(group.workers_end().await, [Err(lost.clone())]);
    assert_eq!(soon(group.driver.stop()).await, Err(lost));
}
