//! The service thread: one a process, an actix `System` of ours, so that ranks embed in any
//! runtime. It is never blocked by user code (rule 1).
//!
//! It runs the channel actors and supervisors; its ticker sends owed acknowledgements, ends
//! waits at their deadline, and drives the links of an arbiter that has not polled for
//! [`TICK`]. While nothing happens it sleeps without ticking.

use crate::{
    Node,
    clock::{Clock, SystemClock, Time},
    home::{Home, HomeHandle},
    keeper::Keeper,
    payload,
};
use actix_rt::{Arbiter, ArbiterHandle, System};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::{
    future::Future,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};
use tokio::sync::Notify;

/// Period of the ticker while there is something to tick for.
pub const TICK: Duration = Duration::from_millis(10);
/// Ticks without work before it sleeps.
const IDLE_TICKS: u32 = 20;

/// A handle to the process's service thread.
#[derive(Debug)]
pub struct Service {
    arbiter: ArbiterHandle,
    home: HomeHandle,
    nodes: Mutex<Vec<Weak<Node>>>,
    homes: Mutex<Vec<HomeHandle>>,
    asleep: AtomicBool,
    wake: Notify,
    next_deadline: AtomicU64,
}

impl Service {
    /// The service thread, started at the first call.
    ///
    /// # Panics
    /// When the system refuses a thread or an event queue: nothing could work then.
    pub fn get() -> &'static Self {
        static SERVICE: OnceLock<Service> = OnceLock::new();
        SERVICE.get_or_init(|| {
            let (send, receive) = mpsc::channel();
            std::thread::Builder::new()
                .name("fmi-service".into())
                .spawn(move || {
                    let system = System::new();
                    let home = system.block_on(async { Home::install(Arbiter::current()) });
                    let _ = send.send((Arbiter::current(), home));
                    // Runs until the process ends.
                    let _ = system.run();
                })
                .expect("a thread for the service");
            let (arbiter, home) = receive.recv().expect("the service thread starts");
            arbiter.spawn(async { Self::get().tick_forever().await });
            Self {
                arbiter,
                home,
                nodes: Mutex::default(),
                homes: Mutex::default(),
                asleep: AtomicBool::new(true),
                wake: Notify::new(),
                next_deadline: AtomicU64::new(u64::MAX),
            }
        })
    }

    /// Runs a future on the service thread.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.arbiter.spawn(future);
    }

    /// Runs a function on the service thread, where actors can be started.
    pub fn spawn_fn(&self, function: impl FnOnce() + Send + 'static) {
        self.arbiter.spawn_fn(function);
    }

    /// Starts an arbiter for ranks.
    ///
    /// # Panics
    /// When called on the service thread.
    pub fn new_home(&self) -> HomeHandle {
        let (send, receive) = mpsc::channel();
        self.spawn_fn(move || {
            let _ = send.send(Home::start());
        });
        let home = receive.recv().expect("the service thread answers");
        self.homes.lock().push(Arc::clone(&home));
        home
    }

    /// Ends an arbiter whose ranks have ended. Awaited on the service thread.
    pub async fn retire(&self, home: &HomeHandle) {
        self.homes.lock().retain(|other| !Arc::ptr_eq(other, home));
        home.end().await;
    }

    /// Where links live whose ranks run on somebody else's runtime.
    pub fn home(&self) -> &HomeHandle {
        &self.home
    }

    pub(crate) fn register(&self, node: &Arc<Node>) {
        self.nodes.lock().push(Arc::downgrade(node));
    }

    /// There is something to tick for.
    pub(crate) fn kick(&self) {
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::AcqRel) {
            self.wake.notify_one();
        }
    }

    /// Makes sure that the ticker looks at the deadlines at `at`.
    pub(crate) fn deadline(&self, at: Time) {
        if self.next_deadline.fetch_min(at.0, Ordering::AcqRel) > at.0 {
            self.asleep.store(false, Ordering::Release);
            self.wake.notify_one();
        }
    }

    async fn tick_forever(&self) {
        let mut idle = 0;
        loop {
            if idle < IDLE_TICKS {
                tokio::time::sleep(TICK).await;
            } else {
                self.sleep().await;
                idle = 0;
            }
            let busy = self.tick();
            idle = if busy { 0 } else { idle + 1 };
        }
    }

    async fn sleep(&self) {
        payload::pool::clear();
        self.asleep.store(true, Ordering::Release);
        if self.tick() {
            return;
        }
        let next = Time(self.next_deadline.load(Ordering::Acquire));
        if next == Time::NEVER {
            self.wake.notified().await;
        } else {
            let _ = tokio::time::timeout(next.since(crate::now()), self.wake.notified()).await;
        }
        self.asleep.store(false, Ordering::Release);
    }

    /// True if the next tick may have work too.
    fn tick(&self) -> bool {
        let now = crate::now();
        let nodes: Vec<_> = {
            let mut nodes = self.nodes.lock();
            nodes.retain(|node| node.strong_count() > 0);
            nodes.iter().filter_map(Weak::upgrade).collect()
        };
        let mut busy = false;
        if self.next_deadline.load(Ordering::Acquire) <= now.0 {
            self.next_deadline.store(u64::MAX, Ordering::Release);
            for node in &nodes {
                if let Some(next) = node.expire(now) {
                    self.next_deadline.fetch_min(next.0, Ordering::AcqRel);
                }
            }
        }
        for node in &nodes {
            busy |= node.tick(now);
        }
        for home in self.homes.lock().iter() {
            busy |= home.check();
        }
        busy
    }
}

/// The service thread as the keeper of a node.
#[derive(Debug)]
pub(crate) struct ByService;

impl Clock for ByService {
    fn now(&self) -> Time {
        SystemClock.now()
    }

    fn roughly_now(&self) -> Time {
        SystemClock.roughly_now()
    }
}

impl Keeper for ByService {
    fn kick(&self) {
        Service::get().kick();
    }

    fn deadline(&self, at: Time) {
        Service::get().deadline(at);
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        Service::get().spawn(future);
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move { tokio::time::sleep(span).await })
    }

    fn home(&self) -> Option<&HomeHandle> {
        Some(Service::get().home())
    }
}
