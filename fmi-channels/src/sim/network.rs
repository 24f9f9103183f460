//! The simulated network: processes, the frames between them, and the clock that all this moves.
//!
//! Nothing here is called while a lock of it is held: an event is taken from the queue, then it
//! happens.

mod stores;

use super::{
    depot::{Contents, Requests},
    events::{Events, Key},
    link::SimLink,
    modelled::Load,
    wire::{Port, Shared, Trip, Wire},
};
use fmi_actors::{
    LinkRank, Node, Reason,
    channel::Link,
    clock::Time,
    frame::{Frame, Kind},
    mix,
    service::TICK,
};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    ops::Range,
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

/// A process, as the network counts them: through all jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Process(pub(super) u32);

impl Process {
    pub(super) fn plus(self, process: u32) -> Self {
        Self(self.0 + process)
    }

    fn index(self) -> usize {
        self.0 as usize
    }
}

/// When a simulated rank dies, with the process that hosts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// As soon as so many frames have left its process, acknowledgements included. With 0 it
    /// dies before it does anything.
    AfterFrames(u64),
    /// At this time.
    At(Duration),
}

/// What has happened so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    pub(super) frames: u64,
    pub(super) bytes: u64,
    pub(super) payload: u64,
    pub(super) messages: u64,
    pub(super) lost: u64,
    /// Those of messages, where each is written and read in a store.
    pub(super) requests: Requests,
    pub(super) rounds: u32,
    pub(super) trace: u64,
}

pub(super) struct Network {
    wire: Wire,
    seed: u64,
    /// What lies in the stores of the jobs.
    stores: Mutex<Vec<Weak<Mutex<Contents>>>>,
    /// How long it takes until the others know that a process is gone.
    detection: Duration,
    now: AtomicU64,
    state: Mutex<State>,
    /// Futures to be run.
    spawned: Mutex<Vec<BoxFuture<'static, ()>>>,
}

struct State {
    events: Events<Event>,
    shared: Shared,
    processes: Vec<Host>,
    tally: Tally,
    /// Processes that died and have tasks to be dropped.
    died: Vec<Process>,
    /// Processes that have left and of which the others do not know yet: those that left at
    /// about one time together, since telling all of each would be the most work of all.
    left: VecDeque<Vec<Process>>,
    /// Until then the last of these takes more.
    together: Time,
    /// The simulation is over; nothing more is sent or arranged.
    over: bool,
}

/// A process on the network.
#[derive(Debug)]
struct Host {
    node: Weak<Node>,
    /// All processes of its job.
    job: Range<u32>,
    port: Port,
    alive: bool,
    /// Its death has been announced.
    dead: bool,
    /// Its ranks that have not ended.
    running: usize,
    /// Frames that it has sent.
    frames: u64,
    dies_after: Option<u64>,
    /// Length of the longest chain of messages that ends here.
    round: u32,
    ticks: bool,
    deadline: Time,
}

#[derive(Debug)]
enum Event {
    Arrival {
        link: Arc<SimLink>,
        frame: Frame,
        round: u32,
        /// The receiving port is done with it.
        received: bool,
    },
    /// A link has room again.
    Relief(Arc<SimLink>),
    /// A link that was closed has nothing on its way any more.
    HangUp(Arc<SimLink>),
    Tick(Process),
    Deadline(Process),
    Wake(Waker),
    Death(Process),
    /// The first learns that the second died.
    Detection(Process, Process),
    /// Those who still run learn of those who have left.
    Departures,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Network at {:?}", self.now().since(Time(0)))
    }
}

impl Network {
    pub(super) fn new(wire: Wire, detection: Duration, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            wire,
            seed,
            stores: Mutex::default(),
            detection,
            now: AtomicU64::new(0),
            state: Mutex::new(State {
                events: Events::default(),
                shared: Shared::new(seed),
                processes: Vec::new(),
                tally: Tally::default(),
                died: Vec::new(),
                left: VecDeque::new(),
                together: Time(0),
                over: false,
            }),
            spawned: Mutex::default(),
        })
    }

    pub(super) fn wire(&self) -> &Wire {
        &self.wire
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn now(&self) -> Time {
        Time(self.now.load(Ordering::Relaxed))
    }

    pub(super) fn tally(&self) -> Tally {
        self.state.lock().tally
    }

    /// Makes room for the processes of a job; the first of them.
    pub(super) fn enlist(&self, ranks: impl Iterator<Item = usize>) -> Process {
        let mut state = self.state.lock();
        let first = state.processes.len() as u32;
        state.processes.extend(ranks.map(|running| Host {
            node: Weak::new(),
            job: 0..0,
            port: Port::default(),
            alive: true,
            dead: false,
            running,
            frames: 0,
            dies_after: None,
            round: 0,
            ticks: false,
            deadline: Time::NEVER,
        }));
        let job = first..state.processes.len() as u32;
        for host in &mut state.processes[first as usize..] {
            host.job = job.clone();
        }
        Process(first)
    }

    pub(super) fn settle(&self, process: Process, node: &Arc<Node>) {
        self.state.lock().processes[process.index()].node = Arc::downgrade(node);
    }

    /// Arranges a death.
    pub(super) fn doom(&self, process: Process, death: Death) {
        match death {
            Death::AfterFrames(0) => self.kill(process),
            Death::AfterFrames(frames) => {
                self.state.lock().processes[process.index()].dies_after = Some(frames);
            }
            Death::At(after) => {
                let at = Time(0) + after;
                self.state.lock().events.push(at, Event::Death(process));
            }
        }
    }

    pub(super) fn lives(&self, process: Process) -> bool {
        self.state.lock().processes[process.index()].alive
    }

    /// Processes that have died since this was last asked.
    pub(super) fn dead(&self) -> Vec<Process> {
        std::mem::take(&mut self.state.lock().died)
    }

    /// A rank has ended in good order, and all that it sent has arrived.
    pub(super) fn leave(&self, process: Process) {
        let state = &mut *self.state.lock();
        let host = &mut state.processes[process.index()];
        host.running -= 1;
        if host.running > 0 || !host.alive {
            return;
        }
        let now = self.now();
        match state.left.back_mut() {
            Some(others) if now <= state.together => others.push(process),
            _ => {
                state.together = now + self.detection / 4;
                state.left.push_back(vec![process]);
                // After the deaths that they know of: who leaves because a rank died does not
                // overtake that news.
                let at = state.together + self.detection;
                state.events.push(at, Event::Departures);
            }
        }
    }

    pub(super) fn spawn(&self, future: BoxFuture<'static, ()>) {
        self.spawned.lock().push(future);
    }

    pub(super) fn spawned(&self) -> Vec<BoxFuture<'static, ()>> {
        std::mem::take(&mut self.spawned.lock())
    }

    pub(super) fn sleep(self: &Arc<Self>, span: Duration) -> Sleep {
        self.sleep_until(self.now() + span)
    }

    pub(super) fn sleep_until(self: &Arc<Self>, at: Time) -> Sleep {
        Sleep { network: Arc::clone(self), at, event: None }
    }

    pub(super) fn kick(&self, process: Process) {
        let mut state = self.state.lock();
        if !std::mem::replace(&mut state.processes[process.index()].ticks, true) {
            state.events.push(self.now() + TICK, Event::Tick(process));
        }
    }

    pub(super) fn deadline(&self, process: Process, at: Time) {
        let mut state = self.state.lock();
        if at < state.processes[process.index()].deadline {
            state.processes[process.index()].deadline = at;
            state.events.push(at, Event::Deadline(process));
        }
    }

    /// Brings up a link, if both sides want one.
    pub(super) fn connect(
        self: &Arc<Self>,
        from: Process,
        to: Process,
        rank: LinkRank,
    ) -> Result<(), &'static str> {
        let (Some((node, number)), Some((other, to_number))) = (self.node(from), self.node(to))
        else {
            return Err("nobody answers");
        };
        let none = "no such process";
        let (peer, back) = (node.peer(to_number).ok_or(none)?, other.peer(number).ok_or(none)?);
        if !back.would_keep(rank) {
            return if peer.link().is_some() { Ok(()) } else { Err("it wants no link") };
        }
        let [there, here] = SimLink::both(self, from, to);
        back.attach(here, rank);
        peer.attach(there, rank);
        Ok(())
    }

    /// Gives a frame to the ports; `None` if its sender is dead. With the sender's round.
    pub(super) fn carry(&self, link: &SimLink, frame: &Frame) -> Option<(Trip, usize, u32)> {
        let load = Load::of(frame);
        let now = self.now();
        let state = &mut *self.state.lock();
        let [from, to] =
            state.processes.get_disjoint_mut([link.from.index(), link.to.index()]).ok()?;
        if !from.alive || state.over {
            return None;
        }
        let ports = (&mut from.port, &mut to.port);
        let trip = self.wire.carry(now, ports, &load, &mut state.shared);
        let round = if load.is_ack { 0 } else { from.round + 1 };
        let tally = &mut state.tally;
        tally.frames += 1;
        tally.bytes += load.bytes as u64;
        tally.payload += load.payload;
        tally.messages += u64::from(matches!(frame.header.kind, Kind::Message | Kind::Envelope));
        tally.lost += u64::from(trip.arrives.is_none());
        if self.is_paid() && !load.is_ack {
            tally.requests.puts += 1;
            tally.requests.gets += 1;
        }
        from.frames += 1;
        if from.dies_after.is_some_and(|after| after <= from.frames) {
            from.alive = false;
            state.events.push(now, Event::Death(link.from));
        }
        Some((trip, load.bytes, round))
    }

    pub(super) fn arrive(&self, at: Time, link: Arc<SimLink>, frame: Frame, round: u32) {
        let received = self.wire.channel.is_none();
        self.state.lock().events.push(at, Event::Arrival { link, frame, round, received });
    }

    pub(super) fn relieve(&self, at: Time, link: Arc<SimLink>) {
        self.state.lock().events.push(at, Event::Relief(link));
    }

    /// A link takes no more. It ends when all that it took is there.
    pub(super) fn hang_up(&self, link: Arc<SimLink>) {
        let at = link.last().max(self.now() + self.wire.latency());
        let mut state = self.state.lock();
        if !state.over {
            state.events.push(at, Event::HangUp(link));
        }
    }

    /// Destroys the link between two processes, with what is on its way.
    pub(super) fn cut(&self, from: Process, to: Process) -> bool {
        let (Some((node, number)), Some((other, to_number))) = (self.node(from), self.node(to))
        else {
            return false;
        };
        let ends = [node.peer(to_number), other.peer(number)];
        let links: Vec<_> = ends.iter().flatten().filter_map(|peer| peer.link()).collect();
        links.iter().for_each(|link| link.close());
        let between = |link: &SimLink| {
            [(from, to), (to, from)].into_iter().any(|ends| ends == (link.from, link.to))
        };
        let lost = self
            .state
            .lock()
            .events
            .remove(|event| matches!(event, Event::Arrival { link, .. } if between(link)));
        !links.is_empty() || !lost.is_empty()
    }

    /// Moves the clock to the next event and lets it happen. False if there is none.
    pub(super) fn step(&self) -> bool {
        let Some((time, event)) = self.state.lock().events.pop() else { return false };
        debug_assert!(time >= self.now());
        self.now.store(time.0, Ordering::Relaxed);
        self.note(time, &event);
        self.happen(event);
        true
    }

    /// The end: nothing that was arranged happens any more.
    pub(super) fn finish(&self) {
        let events = {
            let mut state = self.state.lock();
            state.over = true;
            state.events.clear()
        };
        drop(events);
        drop(self.spawned());
    }

    fn happen(&self, event: Event) {
        match event {
            Event::Arrival { link, frame, round, received } => {
                let at = if received { None } else { self.receive(&link, &frame) };
                match at {
                    Some(at) if at > self.now() => {
                        let event = Event::Arrival { link, frame, round, received: true };
                        self.state.lock().events.push(at, event);
                    }
                    _ => self.deliver(&link, frame, round),
                }
            }
            Event::Relief(link) => {
                link.relieved();
                if let (Some((node, _)), Some((_, to))) = (self.node(link.from), self.node(link.to))
                    && let Some(peer) = node.peer(to)
                {
                    peer.writable();
                }
            }
            Event::HangUp(link) => {
                let back = link.back();
                if let Some(back) = &back {
                    back.shut();
                }
                for end in [Some(link), back].into_iter().flatten() {
                    self.detach(end);
                }
            }
            Event::Tick(process) => {
                self.state.lock().processes[process.index()].ticks = false;
                if let Some((node, _)) = self.node(process)
                    && node.tick(self.now())
                {
                    self.kick(process);
                }
            }
            Event::Deadline(process) => {
                self.state.lock().processes[process.index()].deadline = Time::NEVER;
                if let Some((node, _)) = self.node(process)
                    && let Some(next) = node.expire(self.now())
                {
                    self.deadline(process, next);
                }
            }
            Event::Wake(waker) => waker.wake(),
            Event::Death(process) => self.kill(process),
            Event::Detection(observer, dead) => self.tell(observer, &[dead], &Reason::Died),
            Event::Departures => {
                let left = self.state.lock().left.pop_front().unwrap_or_default();
                for observer in self.running(&left) {
                    self.tell(observer, &left, &Reason::Left);
                }
            }
        }
    }

    /// When the receiving port is done with what has come now.
    fn receive(&self, link: &SimLink, frame: &Frame) -> Option<Time> {
        let State { processes, shared, .. } = &mut *self.state.lock();
        let port = &mut processes[link.to.index()].port;
        self.wire.receive(self.now(), port, &Load::of(frame), shared)
    }

    fn deliver(&self, link: &Arc<SimLink>, frame: Frame, round: u32) {
        let Some((node, _)) = self.node(link.to) else { return };
        let from = {
            let mut state = self.state.lock();
            let host = &mut state.processes[link.to.index()];
            host.round = host.round.max(round);
            let from = link.from.0 - host.job.start;
            state.tally.rounds = state.tally.rounds.max(round);
            from
        };
        if let Err(violation) = node.accept(from, link.path(), frame, None) {
            tracing::warn!(%violation, process = from, "link dropped");
            link.close();
        }
    }

    /// The process is dead from now on; the others learn it later.
    fn kill(&self, process: Process) {
        let mut state = self.state.lock();
        let state = &mut *state;
        let host = &mut state.processes[process.index()];
        host.alive = false;
        if std::mem::replace(&mut host.dead, true) {
            return;
        }
        state.died.push(process);
        let job = state.processes[process.index()].job.clone();
        for observer in job.map(Process).filter(|observer| *observer != process) {
            // The news take their time, and not the same to everybody.
            let late = state.shared.dice.up_to(self.detection / 4);
            let at = self.now() + self.detection + late;
            state.events.push(at, Event::Detection(observer, process));
        }
    }

    fn tell(&self, observer: Process, gone: &[Process], reason: &Reason) {
        let Some((node, number)) = self.node(observer) else { return };
        let base = observer.0 - number;
        for gone in gone.iter().filter(|gone| **gone != observer) {
            if let Some(member) = node.roster().member(gone.0 - base) {
                node.lose(&member.ranks, reason);
            }
        }
    }

    fn detach(&self, link: Arc<SimLink>) {
        if let (Some((node, number)), to) = (self.node(link.from), link.to)
            && let Some(peer) = node.peer(to.0 - (link.from.0 - number))
        {
            let link: Arc<dyn Link> = link;
            peer.detach(&link);
        }
    }

    /// Processes of the same job that have not ended.
    fn running(&self, others: &[Process]) -> Vec<Process> {
        let Some(first) = others.first() else { return Vec::new() };
        let processes = &self.state.lock().processes;
        let job = processes[first.index()].job.clone().map(Process);
        job.filter(|other| processes[other.index()].running > 0).collect()
    }

    pub(super) fn process_of(&self, node: &Arc<Node>) -> Option<Process> {
        let state = self.state.lock();
        let is = |host: &Host| std::ptr::eq(host.node.as_ptr(), Arc::as_ptr(node));
        Some(Process(state.processes.iter().position(is)? as u32))
    }

    /// A process that lives, and its number in its job.
    fn node(&self, process: Process) -> Option<(Arc<Node>, u32)> {
        let state = self.state.lock();
        let host = &state.processes[process.index()];
        let node = host.node.upgrade().filter(|_| host.alive)?;
        Some((node, process.0 - host.job.start))
    }

    /// Adds an event to the trace of the run.
    fn note(&self, time: Time, event: &Event) {
        let what = match event {
            Event::Arrival { link, frame, .. } => {
                let ends = u64::from(link.from.0) << 32 | u64::from(link.to.0);
                let header = &frame.header;
                let frame = u64::from(header.sequence) << 32 | u64::from(header.length);
                mix(ends) ^ mix(frame.wrapping_add(header.kind as u64))
            }
            Event::Relief(link) => 1 << 40 | u64::from(link.from.0),
            Event::HangUp(link) => 2 << 40 | u64::from(link.from.0),
            Event::Tick(process) => 3 << 40 | u64::from(process.0),
            Event::Deadline(process) => 4 << 40 | u64::from(process.0),
            Event::Wake(_) => 5 << 40,
            Event::Death(process) => 6 << 40 | u64::from(process.0),
            Event::Detection(observer, _) => 7 << 40 | u64::from(observer.0),
            Event::Departures => 8 << 40,
        };
        let tally = &mut self.state.lock().tally;
        tally.trace = mix(tally.trace ^ mix(time.0) ^ what.rotate_left(17));
    }
}

/// Waits on the simulated clock.
#[derive(Debug)]
pub(super) struct Sleep {
    network: Arc<Network>,
    at: Time,
    event: Option<(Key, Waker)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.network.now() >= self.at {
            return Poll::Ready(());
        }
        if self.event.as_ref().is_none_or(|(_, waker)| !waker.will_wake(context.waker())) {
            let waker = context.waker().clone();
            let mut state = self.network.state.lock();
            if let Some((key, _)) = &self.event {
                state.events.cancel(*key);
            }
            let key = state.events.push(self.at, Event::Wake(waker.clone()));
            drop(state);
            self.event = Some((key, waker));
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((key, _)) = self.event.take() {
            self.network.state.lock().events.cancel(key);
        }
    }
}
