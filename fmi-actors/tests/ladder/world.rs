//! Two processes on a clock that only the test moves, and a channel whose ways do as they are told.

use fmi_actors::{
    Member, Node, Payload, Roster, Settings,
    channel::{Channel, DialError, Link, Room, Rung, Seat, Way},
    clock::{Clock, Time},
    frame::{Datatype, Frame, Space},
    home::HomeHandle,
    keeper::Keeper,
    mailbox::Filter,
    pair::{Body, Path},
};
use futures::{future::BoxFuture, task::noop_waker};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    future::{Future, poll_fn},
    net::IpAddr,
    pin::pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

const SCOPE: u64 = 7;

/// How a way ends, and when after it was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Links,
    Fails,
    Fatal,
    Hangs,
}

/// A way of the script.
#[derive(Debug, Clone)]
pub(crate) struct Leg {
    pub(crate) rung: Rung,
    pub(crate) after: u64,
    pub(crate) takes: u64,
    pub(crate) end: End,
}

/// Two processes, one rank each.
pub(crate) struct World {
    pub(crate) clock: Arc<WorldClock>,
    pub(crate) nodes: [Arc<Node>; 2],
    pub(crate) script: Arc<Mutex<Vec<Leg>>>,
    log: Arc<Mutex<Vec<(u64, Rung)>>>,
}

/// Keeps the time; runs what is spawned whenever the test lets it.
#[derive(Default)]
pub(crate) struct WorldClock {
    now: Arc<AtomicU64>,
    alarms: Mutex<Vec<u64>>,
    tasks: Mutex<Vec<BoxFuture<'static, ()>>>,
}

impl World {
    pub(crate) fn new(script: &[Leg], settings: Settings) -> Self {
        let clock = Arc::new(WorldClock::default());
        let script = Arc::new(Mutex::new(script.to_vec()));
        let log = Arc::new(Mutex::new(Vec::new()));
        let nodes: Arc<Mutex<Vec<Weak<Node>>>> = Arc::default();
        let member = |process| Member { process, ranks: vec![process], ..Member::default() };
        let roster = Arc::new(Roster::new(vec![member(0), member(1)], Arc::default()));
        let node = |process| {
            let channel: Arc<dyn Channel> = Arc::new(Scripted {
                clock: Arc::clone(&clock),
                // Only the first process dials by script; the other has no ways.
                script: (process == 0).then(|| Arc::clone(&script)),
                log: Arc::clone(&log),
                nodes: Arc::clone(&nodes),
            });
            let keeper = Arc::clone(&clock) as Arc<dyn Keeper>;
            let roster = Arc::clone(&roster);
            Node::kept((process, 1), roster, vec![channel], &[], settings.clone(), keeper)
        };
        let pair = [node(0), node(1)];
        *nodes.lock() = pair.iter().map(Arc::downgrade).collect();
        for (rank, node) in pair.iter().enumerate() {
            node.endpoint(rank as u32).unwrap().open(SCOPE, [0, 1].into_iter().collect());
        }
        Self { clock, nodes: pair, script, log }
    }

    /// Sends a number from the first process to the second.
    pub(crate) fn send(&self, number: u32) {
        let endpoint = self.nodes[0].endpoint(0).unwrap();
        let payload = Payload::copy_from(&number.to_le_bytes(), 1).unwrap();
        let sent = endpoint.send(Space::messages(SCOPE), 1, 0, Datatype::BYTES, payload, false);
        self.run(sent).expect("there is room").expect("and somebody there");
    }

    /// The next number that has arrived there.
    pub(crate) fn received(&self) -> Option<u32> {
        let filter = Filter { source: Some(0), tag: None };
        let endpoint = self.nodes[1].endpoint(1).unwrap();
        let arrival = self.run(endpoint.recv(Space::messages(SCOPE), filter))?.unwrap();
        match arrival.body {
            Body::Here(payload) => {
                Some(u32::from_le_bytes(payload.bytes().unwrap().try_into().unwrap()))
            }
            _ => panic!("small messages come whole"),
        }
    }

    /// The rung of the link that the first process has.
    pub(crate) fn rung(&self) -> Option<Rung> {
        self.nodes[0].peer(1)?.link().map(|link| link.rung())
    }

    /// Ends the link, on both sides.
    pub(crate) fn drop_link(&self) {
        for (node, other) in self.nodes.iter().zip([1, 0]) {
            let peer = node.peer(other).unwrap();
            let link = peer.link().expect("there is one");
            peer.detach(&link);
        }
    }

    /// When which rung was tried, in milliseconds.
    pub(crate) fn tried(&self) -> Vec<(u64, Rung)> {
        self.log.lock().clone()
    }

    /// Lets `milliseconds` pass, and everything happen that happens in them.
    pub(crate) fn pass(&self, milliseconds: u64) {
        let end = self.clock.now.load(Ordering::Relaxed) + milliseconds * 1_000_000;
        loop {
            self.settle();
            let mut alarms = self.clock.alarms.lock();
            let next = alarms.iter().copied().filter(|at| *at <= end).min();
            alarms.retain(|at| Some(*at) != next);
            drop(alarms);
            let Some(next) = next else { break };
            self.clock.now.fetch_max(next, Ordering::Relaxed);
        }
        self.clock.now.store(end, Ordering::Relaxed);
        self.settle();
    }

    /// What a future gives if it ends without time passing.
    pub(crate) fn run<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let waker = noop_waker();
        for _ in 0..3 {
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Some(value);
            }
            self.settle();
        }
        None
    }

    fn settle(&self) {
        let waker = noop_waker();
        for _ in 0..10 {
            let tasks = std::mem::take(&mut *self.clock.tasks.lock());
            for mut task in tasks {
                if task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                    self.clock.tasks.lock().push(task);
                }
            }
            for node in &self.nodes {
                node.tick(self.clock.now());
            }
        }
    }
}

impl Clock for WorldClock {
    fn now(&self) -> Time {
        Time(self.now.load(Ordering::Relaxed))
    }
}

impl std::fmt::Debug for WorldClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WorldClock({:?})", self.now())
    }
}

impl Keeper for WorldClock {
    fn kick(&self) {}

    fn deadline(&self, _: Time) {}

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        self.tasks.lock().push(future);
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        let at = self.now.load(Ordering::Relaxed) + span.as_nanos() as u64;
        self.alarms.lock().push(at);
        let now = Arc::clone(&self.now);
        Box::pin(poll_fn(move |_| {
            if now.load(Ordering::Relaxed) >= at { Poll::Ready(()) } else { Poll::Pending }
        }))
    }

    fn home(&self) -> Option<&HomeHandle> {
        None
    }
}

#[derive(Debug)]
struct Scripted {
    clock: Arc<WorldClock>,
    script: Option<Arc<Mutex<Vec<Leg>>>>,
    log: Arc<Mutex<Vec<(u64, Rung)>>>,
    nodes: Arc<Mutex<Vec<Weak<Node>>>>,
}

impl Channel for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn address(&self, _: IpAddr) -> Option<String> {
        None
    }

    fn start(&self, _: &Arc<Node>) {}

    fn ways(&self, _: &Arc<Node>, _: &Member) -> Vec<Way> {
        let legs = self.script.iter().flat_map(|script| script.lock().clone());
        legs.map(|leg| {
            let (clock, log) = (Arc::clone(&self.clock), Arc::clone(&self.log));
            let nodes = Arc::clone(&self.nodes);
            Way {
                rung: leg.rung,
                name: leg.rung.to_string(),
                after: Duration::from_millis(leg.after),
                dial: Box::new(move |quality| {
                    log.lock().push((clock.now().0 / 1_000_000, leg.rung));
                    let takes = clock.sleep(Duration::from_millis(leg.takes));
                    let (nodes, leg) = (nodes.lock().clone(), leg.clone());
                    Box::pin(async move {
                        takes.await;
                        match leg.end {
                            End::Links => bridge(&nodes, leg.rung, quality),
                            End::Fails => return Err(DialError::soft("told to fail")),
                            End::Fatal => {
                                let reason = "told to fail for good".to_owned();
                                return Err(DialError { reason, fatal: true });
                            }
                            End::Hangs => std::future::pending().await,
                        }
                        Ok(())
                    })
                }),
            }
        })
        .collect()
    }

    fn stop(&self) {}
}

/// Links the two processes; the first has dialled.
pub(crate) fn bridge(nodes: &[Weak<Node>], rung: Rung, quality: u16) {
    let [zero, one] = [0, 1].map(|process: usize| nodes[process].upgrade().unwrap());
    let rank = zero.peer(1).unwrap().next_rank(0, quality);
    let open = Arc::new(AtomicBool::new(true));
    for (from, to) in [(&one, &zero), (&zero, &one)] {
        let (to, open) = (Arc::downgrade(to), Arc::clone(&open));
        let link = Arc::new(Bridge { rung, from: from.process(), to, open });
        from.peer(1 - from.process()).unwrap().attach(link, rank);
    }
}

#[derive(Debug)]
struct Bridge {
    rung: Rung,
    from: u32,
    to: Weak<Node>,
    open: Arc<AtomicBool>,
}

impl Link for Bridge {
    fn channel(&self) -> &'static str {
        "scripted"
    }

    fn rung(&self) -> Rung {
        self.rung
    }

    fn path(&self) -> Path {
        Path::STREAM
    }

    fn room(&self) -> Room {
        if self.open.load(Ordering::Relaxed) { Room::User } else { Room::None }
    }

    fn send(&self, frame: Frame) {
        if let Some(to) = self.to.upgrade().filter(|_| self.open.load(Ordering::Relaxed)) {
            to.accept(self.from, Path::STREAM, frame, None).unwrap();
        }
    }

    fn progress(&self) -> bool {
        false
    }

    fn drive(self: Arc<Self>, _: Seat) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }

    fn close(&self) {
        self.open.store(false, Ordering::Relaxed);
    }
}

/// A script from rung, head start, duration and end.
pub(crate) fn legs<const N: usize>(legs: [(Rung, u64, u64, End); N]) -> [Leg; N] {
    legs.map(|(rung, after, takes, end)| Leg { rung, after, takes, end })
}

/// Attempts by rung.
pub(crate) fn count(tried: &[(u64, Rung)]) -> HashMap<Rung, usize> {
    let mut counts = HashMap::new();
    for (_, rung) in tried {
        *counts.entry(*rung).or_default() += 1;
    }
    counts
}
