//! Playing all ranks through.

use super::{
    Act, Op, Outcome, Replay, Route, Stuck, Traffic, Wires, Work,
    crowd::Crowd,
    desk::{Desk, Request, State, Then},
};
use crate::{Bytes, Seconds, channel::Leg};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

/// One rank.
struct Rank<I> {
    steps: I,
    /// What it waits for.
    stopped: Option<Op>,
    clock: f64,
    /// Messages that have come, in the order of their senders' clocks.
    inbox: VecDeque<(u32, Arrival)>,
    /// What it has published.
    shelf: Vec<Item>,
    /// Who waits for what it will publish.
    readers: Vec<u32>,
    /// What it has sent through its own network.
    sent: u64,
    /// Reads that go side by side: how many, since when.
    reading: (u32, f64),
    /// What it asked a server here for, and whether it has been answered.
    asked: Option<Answer>,
    /// It has nothing left to do.
    done: bool,
}

/// Of a server on the machine of the ranks.
#[derive(Clone, Copy)]
enum Answer {
    Awaited,
    Given { at: f64 },
}

/// When something can be received.
#[derive(Clone, Copy)]
struct Arrival {
    /// From when on: over a link, what is long comes bit by bit.
    first: f64,
    /// When all of it is there.
    last: f64,
}

/// Something published.
struct Item {
    /// Its blocks.
    first: u32,
    blocks: u32,
    /// From when on it can be read.
    since: f64,
    /// Processes of several ranks that have read a block of it, and from when on they had it.
    read: Vec<(u32, u32, f64)>,
}

struct Play<'r, 'a, I> {
    replay: &'r Replay<'a>,
    ranks: Vec<Rank<I>>,
    /// Those that can go on, the earliest first. Times are positive, so their bits are in order.
    ready: BinaryHeap<Reverse<(u64, u32)>>,
    /// The same where ranks have nothing in common that one could have before the other: then it does not
    /// matter who goes on first.
    queue: Option<VecDeque<u32>>,
    /// From when on each core is free, where ranks keep theirs.
    cores: Vec<f64>,
    /// Who runs where they do not.
    crowd: Crowd,
    /// The same of each route's server that runs elsewhere.
    servers: [f64; Route::ALL.len()],
    /// The server that takes one of the ranks' cores, if one does.
    desk: Option<Desk>,
    traffic: [Traffic; Route::ALL.len()],
    /// How long the last message took that was sent or received on each route: the next one is often as
    /// long, and logarithms take their time.
    last: [[(Bytes, f64); 2]; Route::ALL.len()],
    /// Own work of all ranks.
    busy: f64,
    /// Whether all ranks are in one process.
    alone: bool,
    /// Whether there are several processes, and several ranks in some.
    packs: bool,
}

impl Arrival {
    /// All of it at once.
    const fn at(time: f64) -> Self {
        Self { first: time, last: time }
    }

    fn sooner(self, by: f64) -> Self {
        Self { first: self.first - by, last: self.last - by }
    }
}

impl Replay<'_> {
    /// Plays it through.
    ///
    /// # Errors
    /// [`Stuck`] if ranks wait for each other, or for what nobody sends.
    pub fn run<I: Iterator<Item = Op>>(
        &self,
        mut program: impl FnMut(usize) -> I,
    ) -> Result<Outcome, Stuck> {
        let size = self.topology.ranks();
        let starts: Vec<Seconds> = match self.start.is_empty() {
            true => vec![Seconds::ZERO; size],
            false => self.start.clone(),
        };
        let rank = |rank: usize| Rank {
            steps: program(rank),
            stopped: None,
            clock: starts[rank].get(),
            inbox: VecDeque::new(),
            shelf: Vec::new(),
            readers: Vec::new(),
            sent: 0,
            reading: (0, 0.0),
            asked: None,
            done: false,
        };
        let ranks: Vec<_> = (0..size).map(rank).collect();
        let ready = (0..size).map(|rank| Reverse((starts[rank].get().to_bits(), rank as u32)));
        let servers = Route::ALL.into_iter().any(|it| self.wires.channel(it).server.is_some());
        let alone = !servers && self.topology.cores() == size;
        let processes = self.topology.processes();
        let cores = self.topology.places().iter().map(|place| place.core + 1).max();
        let mut play = Play {
            replay: self,
            ranks,
            ready: if alone { BinaryHeap::new() } else { ready.collect() },
            queue: alone.then(|| (0..size as u32).collect()),
            cores: vec![0.0; cores.unwrap_or(0) as usize],
            crowd: Crowd::new(self.topology, &self.wires),
            servers: [0.0; Route::ALL.len()],
            desk: self.wires.server_here(self.topology).map(Desk::new),
            traffic: [Traffic::default(); Route::ALL.len()],
            last: [[(Bytes::ZERO, -1.0); 2]; Route::ALL.len()],
            busy: 0.0,
            alone: processes <= 1,
            packs: (2..size).contains(&processes),
        };
        while let Some((time, number)) = play.next() {
            match number as usize {
                rank if rank < size => play.go_on(rank),
                _ => play.serve_here(time),
            }
        }
        if let Some(rank) = play.ranks.iter().position(|rank| !rank.done) {
            return Err(Stuck { rank });
        }
        let ends = play.ranks.iter().map(|rank| Seconds::new(rank.clock)).collect();
        let (traffic, busy) = (play.traffic, Seconds::new(play.busy));
        Ok(Outcome { starts, ends, traffic, busy, alike: None })
    }
}

impl<I: Iterator<Item = Op>> Play<'_, '_, I> {
    /// Who goes on, and when.
    fn next(&mut self) -> Option<(f64, u32)> {
        match &mut self.queue {
            Some(queue) => queue.pop_front().map(|number| (0.0, number)),
            None => {
                let Reverse((time, number)) = self.ready.pop()?;
                let time = f64::from_bits(time);
                let rank = self.ranks.get_mut(number as usize);
                if let Some(rank) = rank.filter(|_| self.crowd.has(number as usize)) {
                    rank.clock = rank.clock.max(time);
                }
                Some((time, number))
            }
        }
    }

    /// From now on the earliest goes on first.
    fn keep_order(&mut self) {
        for rank in self.queue.take().into_iter().flatten() {
            let clock = self.ranks[rank as usize].clock;
            self.ready.push(Reverse((clock.to_bits(), rank)));
        }
    }

    /// Does a rank's steps until it has to wait, or others are behind it.
    fn go_on(&mut self, number: usize) {
        let Some(clock) = self.crowd.enter(number, self.ranks[number].clock) else { return };
        self.ranks[number].clock = clock;
        loop {
            let rank = &mut self.ranks[number];
            let Some(op) = rank.stopped.take().or_else(|| rank.steps.next()) else {
                rank.done = true;
                self.leave(number, self.ranks[number].clock);
                return;
            };
            if !self.step(number, op) {
                self.ranks[number].stopped = Some(op);
                self.leave(number, self.ranks[number].clock);
                return;
            }
            let clock = self.ranks[number].clock.to_bits();
            if self.ready.peek().is_some_and(|Reverse((next, _))| *next < clock) {
                self.ready.push(Reverse((clock, number as u32)));
                return;
            }
        }
    }

    /// The server here does what it is asked for, until there is nothing left, or others are behind it.
    fn serve_here(&mut self, time: f64) {
        let number = self.ranks.len();
        let Some(mut desk) = self.desk.take() else { return };
        match desk.state {
            State::Idle if desk.awaits().is_some_and(|at| at <= time) => {
                desk.clock = desk.clock.max(time);
                match self.crowd.enter(number, desk.clock) {
                    Some(clock) => {
                        desk.clock = clock;
                        self.serve_all(&mut desk);
                    }
                    None => desk.state = State::Waiting,
                }
            }
            State::Serving if desk.clock <= time => self.serve_all(&mut desk),
            // Its time comes later.
            State::Idle | State::Serving | State::Waiting => (),
        }
        self.desk = Some(desk);
    }

    fn serve_all(&mut self, desk: &mut Desk) {
        let number = self.ranks.len();
        desk.state = State::Serving;
        while let Some(request) = desk.next() {
            self.answer(request, desk.clock);
            let clock = desk.clock.to_bits();
            if self.ready.peek().is_some_and(|Reverse((next, _))| *next < clock) {
                self.ready.push(Reverse((clock, number as u32)));
                return;
            }
        }
        desk.state = State::Idle;
        self.leave(number, desk.clock);
    }

    /// What comes of a request that the server here has done.
    fn answer(&mut self, request: Request, now: f64) {
        match request.then {
            Then::Deliver { from, to, latency } => {
                self.deliver(from as usize, to as usize, Arrival::at(now + latency));
            }
            Then::Show { by, blocks, latency } => {
                for (first, blocks) in blocks {
                    self.show(by as usize, first, blocks, now + latency);
                }
            }
            Then::Answer { to } => {
                self.ranks[to as usize].asked = Some(Answer::Given { at: now });
                self.wake(to as usize, now);
            }
        }
    }

    /// Asks the server here, which is done with it some time later.
    fn ask(&mut self, at: f64, bytes: Bytes, then: Then) {
        let number = self.ranks.len() as u32;
        let Some(desk) = &mut self.desk else { return };
        desk.ask(at, bytes, then);
        self.ready.push(Reverse((at.to_bits(), number)));
    }

    /// A message is there, or will be.
    fn deliver(&mut self, from: usize, to: usize, arrival: Arrival) {
        let receiver = &mut self.ranks[to];
        receiver.inbox.push_back((from as u32, arrival));
        if receiver.stopped.is_some_and(|stopped| stopped.act == Act::Recv { from }) {
            self.wake(to, arrival.first);
        }
    }

    /// A rank, or the server here, leaves its core to others, if there are any.
    fn leave(&mut self, number: usize, now: f64) {
        if let Some((next, time)) = self.crowd.leave(number, now) {
            match self.ranks.get_mut(next) {
                Some(rank) => rank.clock = time,
                None => self.desk.iter_mut().for_each(|desk| {
                    (desk.clock, desk.state) = (time, State::Serving);
                }),
            }
            self.ready.push(Reverse((time.to_bits(), next as u32)));
        }
    }

    /// Whether a rank on a crowded machine has to wait until something is there; it is woken then.
    fn sleeps(&mut self, number: usize, arrival: f64) -> bool {
        let sleeps = self.crowd.has(number) && arrival > self.ranks[number].clock;
        if sleeps {
            self.ready.push(Reverse((arrival.to_bits(), number as u32)));
        }
        sleeps
    }

    /// Whether it is done; else it waits.
    fn step(&mut self, number: usize, op: Op) -> bool {
        let topology = self.replay.topology;
        match op.act {
            Act::Send { to } => {
                let route = Wires::message(topology, number, to);
                let mut arrival = self.put(number, route, op);
                let latency = self.replay.wires.channel(route).latency.get();
                if self.is_served_here(route) {
                    let then = Then::Deliver { from: number as u32, to: to as u32, latency };
                    self.ask(arrival.last, op.bytes, then);
                    return true;
                }
                if route == Route::Process && self.shares_core(number, to) {
                    arrival = arrival.sooner(latency);
                }
                self.deliver(number, to, arrival);
                true
            }
            Act::Recv { from } => {
                let inbox = &mut self.ranks[number].inbox;
                let Some(first) = inbox.iter().position(|(sender, _)| *sender == from as u32)
                else {
                    return false;
                };
                let arrival = inbox[first].1;
                if self.sleeps(number, arrival.first) {
                    return false;
                }
                self.ranks[number].inbox.remove(first);
                self.get(number, Wires::message(topology, from, number), arrival, op);
                true
            }
            Act::Publish { first, blocks } => {
                // On the way that readers elsewhere would take; those here need not wait for it.
                if self.packs {
                    // What one rank has read, the others of its process need not read.
                    self.keep_order();
                }
                let route = if self.alone { Route::Board } else { Route::Store };
                let since = self.put(number, route, op).last;
                if self.is_served_here(route) {
                    let blocks = vec![(first, blocks.max(1))];
                    let latency = self.replay.wires.channel(route).latency.get();
                    self.ask(since, op.bytes, Then::Show { by: number as u32, blocks, latency });
                    return true;
                }
                self.show(number, first, blocks.max(1), since);
                true
            }
            Act::Pin { first, blocks } => {
                let since = self.put(number, Route::Board, op).last;
                self.show(number, first, blocks.max(1), since);
                true
            }
            Act::Also { first, blocks } => {
                if let Some(shown) = self.desk.as_mut().and_then(|desk| desk.shown_by(number)) {
                    shown.push((first, blocks));
                    return true;
                }
                let last = self.ranks[number].shelf.last().map(|item| item.since);
                let since = last.unwrap_or(self.ranks[number].clock);
                self.show(number, first, blocks, since);
                true
            }
            Act::Fetch { from, block } => {
                let block = block as u32;
                let holds = |item: &Item| (item.first..item.first + item.blocks).contains(&block);
                let Some(item) = self.ranks[from].shelf.iter().position(holds) else {
                    self.ranks[from].readers.push(number as u32);
                    return false;
                };
                if self.sleeps(number, self.ranks[from].shelf[item].since) {
                    return false;
                }
                let route = Wires::shelf(topology, from, number);
                if self.is_served_here(route) && !self.is_answered(number, op) {
                    return false;
                }
                self.fetch(number, (from, item, block), op);
                true
            }
            Act::Local => {
                let time = self.work(op);
                self.occupy(number, 0.0, time, true);
                true
            }
        }
    }

    /// Whether the server here has answered what a rank reads; if not, it is asked.
    fn is_answered(&mut self, number: usize, op: Op) -> bool {
        let now = self.ranks[number].clock;
        match self.ranks[number].asked {
            None => {
                self.ranks[number].asked = Some(Answer::Awaited);
                self.ask(now, op.bytes, Then::Answer { to: number as u32 });
                false
            }
            Some(Answer::Awaited) => false,
            Some(Answer::Given { at }) => {
                if self.sleeps(number, at) {
                    return false;
                }
                let rank = &mut self.ranks[number];
                (rank.asked, rank.clock) = (None, rank.clock.max(at));
                true
            }
        }
    }

    /// Others can read what a rank has published.
    fn show(&mut self, number: usize, first: usize, blocks: usize, since: f64) {
        let rank = &mut self.ranks[number];
        let (first, blocks) = (first as u32, blocks as u32);
        rank.shelf.push(Item { first, blocks, since, read: Vec::new() });
        for reader in std::mem::take(&mut rank.readers) {
            self.wake(reader as usize, since);
        }
    }

    /// A rank reads a block of what another has published. What ranks of its process have read, it
    /// gets from them.
    fn fetch(&mut self, number: usize, (from, item, block): (usize, usize, u32), op: Op) {
        let route = Wires::shelf(self.replay.topology, from, number);
        let published = &self.ranks[from].shelf[item];
        if !self.packs || route == Route::Board {
            let mut since = published.since;
            if route == Route::Board && self.shares_core(number, from) {
                since -= self.replay.wires.channel(route).latency.get();
            }
            return self.get(number, route, Arrival::at(since), op);
        }
        let process = self.replay.topology.places()[number].process;
        let mut read = published.read.iter();
        if let Some((.., had)) = read.find(|(by, what, _)| (*by, *what) == (process, block)) {
            return self.get(number, Route::Board, Arrival::at(*had), op);
        }
        self.get(number, route, Arrival::at(published.since), Op { work: Work::None, ..op });
        let had = self.ranks[number].clock;
        self.ranks[from].shelf[item].read.push((process, block, had));
        self.occupy_with(number, had, op);
    }

    /// A rank sends or publishes; when that can be received.
    fn put(&mut self, number: usize, route: Route, op: Op) -> Arrival {
        let bytes = op.bytes;
        let channel = self.replay.wires.channel(route);
        let traffic = &mut self.traffic[route as usize];
        traffic.sent += 1;
        traffic.bytes += bytes;
        self.ranks[number].reading.0 = 0;
        let begin = self.ranks[number].clock;
        let time = self.time(route, &channel.send, bytes, 0) + self.besides(number, op);
        let here = self.is_served_here(route);
        let mut end = self.occupy(number, 0.0, time, here || channel.is_link());
        let first = end - time + channel.send.fixed.get();
        if let Some(bucket) = &channel.bucket {
            let rank = &mut self.ranks[number];
            rank.sent += bytes.get();
            let paced = self.replay.start.get(number).copied().unwrap_or_default().get()
                + bucket.time(Bytes::new(rank.sent)).get();
            end = end.max(paced);
            rank.clock = end;
        }
        if here {
            return Arrival::at(end);
        }
        end = self.serve(route, begin, end, bytes);
        self.ranks[number].clock = self.ranks[number].clock.max(end);
        let latency = channel.latency.get();
        Arrival {
            first: if channel.is_link() { first } else { end } + latency,
            last: end + latency,
        }
    }

    /// A rank receives or fetches what can be had from `arrival` on.
    fn get(&mut self, number: usize, route: Route, arrival: Arrival, op: Op) {
        let channel = self.replay.wires.channel(route);
        let rank = &mut self.ranks[number];
        let wait = (arrival.first - rank.clock).max(0.0);
        let traffic = &mut self.traffic[route as usize];
        traffic.received += 1;
        traffic.looks += channel.looks(Seconds::new(wait));
        // Who looks now and then finds it late. No difference is made for who comes soon after it: whoever is
        // later would be done earlier, and larger messages would take less time.
        let found = arrival.first + channel.look_late().get();
        let now = rank.clock;
        let (count, since) = rank.reading;
        let beside = count > 0 && count < channel.side_by_side.max(1);
        rank.reading = if beside { (count + 1, since) } else { (1, now) };
        let begin = if beside { since.max(found) } else { now.max(found) };
        if beside {
            rank.clock = since;
        }
        let time = self.time(route, &channel.receive, op.bytes, 1) + self.besides(number, op);
        let here = self.is_served_here(route);
        let mut end = self.occupy(number, found, time, here || channel.is_link());
        if channel.is_link() {
            // What comes last has to be received, too.
            end = end.max(arrival.last + channel.receive.fixed.get());
        }
        let end = if here { end } else { self.serve(route, begin, end, op.bytes) }.max(now);
        self.ranks[number].clock = end;
        self.occupy_with(number, end, op);
    }

    /// Whether two ranks take turns on a core: what one has sent, the other has when it goes on.
    fn shares_core(&self, one: usize, other: usize) -> bool {
        let places = self.replay.topology.places();
        places[one].core == places[other].core
    }

    /// A rank combines or copies what it got.
    fn occupy_with(&mut self, number: usize, earliest: f64, op: Op) {
        let work = self.work(op);
        if work > 0.0 {
            self.occupy(number, earliest, work, true);
        }
    }

    /// What more than one piece takes, and bytes among processes that share cores.
    fn besides(&self, number: usize, op: Op) -> f64 {
        let wires = &self.replay.wires;
        let pieces = wires.host.piece.get() * f64::from(op.pieces.saturating_sub(1));
        pieces + self.crowd.per_byte(number) * op.bytes.get() as f64
    }

    /// How long sending (0) or receiving (1) takes there.
    fn time(&mut self, route: Route, leg: &Leg, bytes: Bytes, side: usize) -> f64 {
        let last = &mut self.last[route as usize][side];
        if last.0 != bytes || last.1 < 0.0 {
            *last = (bytes, leg.time(bytes).get());
        }
        last.1
    }

    /// Whether what goes that way passes a server on the ranks' machine.
    fn is_served_here(&self, route: Route) -> bool {
        self.desk.is_some() && self.replay.wires.channel(route).server_here().is_some()
    }

    /// A route's server answers one after the other.
    fn serve(&mut self, route: Route, begin: f64, end: f64, bytes: Bytes) -> f64 {
        let Some(server) = &self.replay.wires.channel(route).server else { return end };
        let free = &mut self.servers[route as usize];
        *free = free.max(begin) + server.busy(bytes).get();
        end.max(*free)
    }

    /// A rank is busy for a time, from `earliest` on, and so is its core if that does the work itself, so
    /// that nothing else can run there meanwhile.
    fn occupy(&mut self, number: usize, earliest: f64, time: f64, own: bool) -> f64 {
        let place = self.replay.topology.places()[number];
        let rank = &mut self.ranks[number];
        let mut start = rank.clock.max(earliest);
        if own {
            self.busy += time;
            if !self.crowd.has(number) {
                let free = &mut self.cores[place.core as usize];
                start = start.max(*free);
                *free = start + time;
            }
        }
        rank.clock = start + time;
        rank.clock
    }

    fn work(&self, op: Op) -> f64 {
        let wires = &self.replay.wires;
        match op.work {
            Work::None => 0.0,
            Work::Combine => wires.host.combine.time(op.bytes).get(),
            Work::Copy => wires.host.copy.time(op.bytes).get(),
            Work::Call => wires.host.call.get(),
        }
    }

    fn wake(&mut self, number: usize, arrival: f64) {
        let time = self.ranks[number].clock.max(arrival);
        match &mut self.queue {
            Some(queue) => queue.push_back(number as u32),
            None => self.ready.push(Reverse((time.to_bits(), number as u32))),
        }
    }
}
