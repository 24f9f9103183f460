//! Two machines on virtual time, with simulated translations between them and a post that loses,
//! doubles and delays. All chance comes from a seed.

mod again;

use super::{Action, Failure, Punch, Shot, Sight, Wire};
use fmi_actors::clock::Time;
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::SocketAddr,
    time::Duration,
};

/// What lies between a process and the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nat {
    /// Nothing.
    Open,
    /// Keeps ports and drops what is not an answer.
    Drops,
    /// Keeps ports and refuses what is not an answer; the pair of ports is spoilt then.
    Refuses,
    /// Gives ports in steps of two.
    Steps,
    /// Gives random ports.
    Random,
}

#[derive(Debug, Clone)]
enum Event {
    Note(usize, Vec<u8>),
    /// A shot arrives at the translation of this side.
    Arrives(usize, SocketAddr, Shot),
    /// Refused: the shot of this side.
    Refused(usize, Shot),
    /// The shot of this side cannot leave.
    Taken(usize, Shot),
    Connected,
    Fire(usize, Shot),
    Tick(usize),
}

/// What becomes of shots between the ports of a link that has been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Memory {
    /// They are as good as any.
    None,
    /// Translations lose them.
    Outside,
    /// The system of this side does not let them out, and translations lose those of the other.
    Inside(usize),
}

/// How notes fare.
#[derive(Debug, Clone, Copy)]
struct PostOffice {
    lost: u32,
    doubled: u32,
    late: Duration,
}

const RELIABLE: PostOffice = PostOffice { lost: 0, doubled: 0, late: Duration::ZERO };

struct Side {
    punch: Punch,
    nat: Nat,
    own: SocketAddr,
    outer: SocketAddr,
    /// Local port and target, and the port outside.
    mappings: HashMap<(u16, SocketAddr), u16>,
    /// Pairs (outer port, from) that a refused shot has spoilt.
    spoilt: HashSet<(u16, SocketAddr)>,
    next_port: u16,
    over: Vec<Result<(), Failure>>,
    looks: u16,
    shots: usize,
}

struct World {
    sides: [Side; 2],
    events: BTreeMap<(u64, u64), Event>,
    count: u64,
    now: Time,
    delay: Duration,
    office: PostOffice,
    state: u64,
    connected: bool,
    memory: Memory,
    notes: usize,
    /// When the last attempt of a side ended.
    ended: Time,
}

impl World {
    fn new(nats: [Nat; 2], delay: Duration, office: PostOffice, seed: u64) -> Self {
        let side = |index: usize| {
            let nat = nats[index];
            let outer: SocketAddr = format!("203.0.113.{}:5000", index + 1).parse().unwrap();
            let own = match nat {
                Nat::Open => outer,
                _ => format!("10.0.{index}.2:5000").parse().unwrap(),
            };
            Side {
                punch: Punch::new(Wire::Tcp, index as u32, 1 - index as u32),
                nat,
                own,
                outer,
                mappings: HashMap::new(),
                spoilt: HashSet::new(),
                next_port: 20_000,
                over: Vec::new(),
                looks: 0,
                shots: 0,
            }
        };
        Self {
            sides: [side(0), side(1)],
            events: BTreeMap::new(),
            count: 0,
            // The two clocks show another time, see `clock`.
            now: Time(1_000_000),
            delay,
            office,
            state: seed,
            connected: false,
            memory: Memory::None,
            notes: 0,
            ended: Time(0),
        }
    }

    /// SplitMix64.
    fn dice(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// The time on the clock of a side.
    fn clock(&self, side: usize) -> Time {
        self.now + [Duration::ZERO, Duration::from_millis(4321)][side]
    }

    fn later(&mut self, after: Duration, event: Event) {
        self.count += 1;
        self.events.insert(((self.now + after).0, self.count), event);
    }

    fn call(&mut self, side: usize) {
        let (now, cookie) = (self.clock(side), self.dice());
        let other = &self.sides[1 - side];
        let steady = !matches!(other.nat, Nat::Steps | Nat::Random);
        let expected = steady.then_some(other.outer);
        self.sides[side].punch.call(now, cookie, expected);
        self.work(side);
    }

    /// Does what a machine says.
    fn work(&mut self, side: usize) {
        while let Some(action) = self.sides[side].punch.poll() {
            match action {
                Action::Look { spares } => self.look(side, spares),
                Action::Tell(note) => self.post(1 - side, note),
                Action::Fire(shots) => {
                    for shot in shots {
                        let after = shot.at.since(self.clock(side));
                        self.later(after, Event::Fire(side, shot));
                    }
                }
                Action::Dial(_) => unreachable!("tcp"),
                Action::Over(outcome) => {
                    self.sides[side].over.push(outcome);
                    self.ended = self.now;
                }
            }
        }
        let timer = self.sides[side].punch.timer();
        if timer != Time::NEVER {
            let after = timer.since(self.clock(side));
            self.later(after, Event::Tick(side));
        }
    }

    fn look(&mut self, side: usize, spares: usize) {
        let now = self.clock(side);
        let round_trip = 2 * self.delay;
        let looker = &mut self.sides[side];
        looker.looks += 1;
        let first = 6000 + 100 * looker.looks;
        let observed = match looker.nat {
            Nat::Open | Nat::Drops | Nat::Refuses => vec![looker.outer; 2],
            Nat::Steps => {
                looker.next_port += 4;
                let port = looker.next_port;
                [port - 2, port].map(|port| SocketAddr::new(looker.outer.ip(), port)).to_vec()
            }
            Nat::Random => {
                [31_000, 9_000].map(|at| SocketAddr::new(looker.outer.ip(), at)).to_vec()
            }
        };
        let sight = Sight {
            port: 5000,
            own: vec![looker.own],
            observed,
            spares: (first..).take(spares).collect(),
            round_trip,
        };
        looker.punch.seen(now, &sight);
    }

    fn post(&mut self, to: usize, note: Vec<u8>) {
        self.notes += 1;
        let copies = match self.dice() % 100 {
            roll if roll < self.office.lost.into() => 0,
            roll if roll < (self.office.lost + self.office.doubled).into() => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let jitter = self.dice() % (self.office.late.as_nanos() as u64 + 20_000);
            let after = self.delay + Duration::from_nanos(jitter);
            self.later(after, Event::Note(to, note.clone()));
        }
    }

    /// A shot leaves through the translation of its side.
    fn fire(&mut self, side: usize, shot: Shot) {
        if shot.port == 5000 && self.memory != Memory::None {
            if self.memory == Memory::Inside(side) {
                self.later(Duration::ZERO, Event::Taken(side, shot));
            }
            return;
        }
        let random = 1024 + (self.dice() % 60_000) as u16;
        let shooter = &mut self.sides[side];
        shooter.shots += 1;
        let outer = match shooter.nat {
            Nat::Steps => {
                let next = shooter.next_port + 2;
                let port = shooter.mappings.entry((shot.port, shot.to)).or_insert(next);
                if *port == next {
                    shooter.next_port = next;
                }
                *port
            }
            Nat::Random => *shooter.mappings.entry((shot.port, shot.to)).or_insert(random),
            _ if shooter.spoilt.contains(&(shot.port, shot.to)) => random,
            _ => *shooter.mappings.entry((shot.port, shot.to)).or_insert(shot.port),
        };
        let from = SocketAddr::new(shooter.outer.ip(), outer);
        let private = |to: SocketAddr| super::is_private(to.ip());
        // Three hops lie between: one each to the translations, one between them.
        if !private(shot.to) && shot.hops.is_none_or(|hops| hops > 2) {
            self.later(self.delay, Event::Arrives(1 - side, from, shot));
        }
    }

    fn arrives(&mut self, side: usize, from: SocketAddr, shot: Shot) {
        let target = &mut self.sides[side];
        if shot.to.ip() != target.outer.ip() {
            return;
        }
        let port = shot.to.port();
        let asked = target.mappings.iter().any(|((_, to), outer)| *outer == port && *to == from);
        match target.nat {
            _ if asked => self.later(self.delay, Event::Connected),
            Nat::Open if port == target.own.port() => self.later(self.delay, Event::Connected),
            Nat::Refuses => {
                target.spoilt.insert((port, from));
                self.later(self.delay, Event::Refused(1 - side, shot));
            }
            _ => {}
        }
    }

    /// Until nothing happens any more, or both have a link.
    fn run(&mut self) {
        for _ in 0..200_000 {
            let Some((at, event)) = self.events.pop_first() else { return };
            self.now = self.now.max(Time(at.0));
            let clocks = [self.clock(0), self.clock(1)];
            match event {
                Event::Note(to, note) => {
                    self.sides[to].punch.told(clocks[to], &note);
                    self.work(to);
                }
                Event::Fire(side, shot) => {
                    // Who has ended has closed its sockets.
                    if self.sides[side].punch.is_busy() {
                        self.fire(side, shot);
                    }
                }
                Event::Arrives(side, from, shot) => self.arrives(side, from, shot),
                Event::Refused(side, shot) => {
                    self.sides[side].punch.refused(clocks[side], shot.port, shot.to);
                    self.work(side);
                }
                Event::Taken(side, shot) => {
                    self.sides[side].punch.taken(clocks[side], shot.port, shot.to);
                    self.work(side);
                }
                Event::Connected => {
                    self.connected = true;
                    for side in [0, 1] {
                        self.sides[side].punch.linked(clocks[side]);
                        self.work(side);
                    }
                }
                Event::Tick(side) => {
                    if self.sides[side].punch.timer() <= clocks[side] {
                        self.sides[side].punch.tick(clocks[side]);
                        self.work(side);
                    }
                }
            }
        }
        panic!("it does not end");
    }

    /// All is as before the first call, except for what is remembered.
    fn forget(&mut self, memory: Memory) {
        self.events.clear();
        self.connected = false;
        self.memory = memory;
        for side in &mut self.sides {
            side.over.clear();
            side.mappings.clear();
            side.spoilt.clear();
        }
    }

    /// Until the end of the last attempt.
    fn elapsed(&self) -> Duration {
        self.ended.since(Time(1_000_000))
    }
}

const NEAR: Duration = Duration::from_micros(100);
const FAR: Duration = Duration::from_millis(20);

fn punched(nats: [Nat; 2], delay: Duration, callers: &[usize], seed: u64) -> World {
    let mut world = World::new(nats, delay, RELIABLE, seed);
    for caller in callers {
        world.call(*caller);
    }
    world.run();
    world
}

#[test]
fn every_pair_that_can_be_joined_is_joined_soon() {
    use Nat::{Drops, Open, Random, Refuses, Steps};
    for (nats, factor) in [
        ([Open, Open], 8),
        ([Open, Drops], 8),
        ([Open, Random], 8),
        ([Open, Refuses], 8),
        ([Drops, Drops], 8),
        ([Drops, Steps], 12),
        ([Drops, Refuses], 20),
        ([Refuses, Refuses], 24),
    ] {
        for nats in [nats, [nats[1], nats[0]]] {
            for (delay, callers) in [(NEAR, &[0][..]), (NEAR, &[1]), (FAR, &[0]), (FAR, &[0, 1])] {
                for seed in 0..20 {
                    let world = punched(nats, delay, callers, seed);
                    let what = (nats, delay, callers, seed);
                    assert!(world.connected, "{what:?}: {:?}", world.sides[callers[0]].over);
                    assert_eq!(world.sides[callers[0]].over.first(), Some(&Ok(())), "{what:?}");
                    let most = factor * delay + Duration::from_millis(40);
                    assert!(world.elapsed() < most, "{what:?}: {:?}", world.elapsed());
                }
            }
        }
    }
}

#[test]
fn what_cannot_be_joined_is_given_up_with_its_reason() {
    use Nat::{Drops, Random, Steps};
    for (nats, failure, most) in [
        ([Random, Random], Failure::Symmetric, 10),
        ([Random, Steps], Failure::Symmetric, 10),
        ([Steps, Steps], Failure::Symmetric, 10),
        ([Random, Drops], Failure::Filtered, 400),
        ([Drops, Random], Failure::Filtered, 400),
    ] {
        for callers in [&[0][..], &[1], &[0, 1]] {
            let world = punched(nats, NEAR, callers, 1);
            assert!(!world.connected);
            for caller in callers {
                assert_eq!(world.sides[*caller].over.first(), Some(&Err(failure)), "{nats:?}");
            }
            assert!(world.sides.iter().all(|side| !side.punch.is_busy()));
            assert!(world.elapsed() < Duration::from_millis(most), "{nats:?}");
        }
    }
}

#[test]
fn nobody_answers() {
    let office = PostOffice { lost: 100, ..RELIABLE };
    let mut world = World::new([Nat::Drops; 2], NEAR, office, 7);
    world.call(0);
    world.run();
    assert_eq!(world.sides[0].over, [Err(Failure::NoAnswer)]);
    assert!(world.notes < 12, "{} notes", world.notes);
}

#[test]
fn of_two_calls_that_of_the_lower_process_counts() {
    let mut machines = [Punch::new(Wire::Tcp, 0, 1), Punch::new(Wire::Tcp, 1, 0)];
    let sight = |port| Sight {
        port,
        own: vec![SocketAddr::new([10, 0, 0, 1].into(), port)],
        observed: vec![SocketAddr::new([203, 0, 113, (port % 100) as u8].into(), port)],
        ..Sight::default()
    };
    let mut notes = [Vec::new(), Vec::new()];
    for (index, machine) in machines.iter_mut().enumerate() {
        machine.call(Time(5), 9 + index as u64, None);
        machine.seen(Time(5), &sight(501 + index as u16));
        while let Some(action) = machine.poll() {
            if let Action::Tell(note) = action {
                notes[index].push(note);
            }
        }
    }
    // Each hears the other's call; process 1 drops its own.
    machines[0].told(Time(9), &notes[1][0]);
    machines[1].told(Time(9), &notes[0][0]);
    assert_eq!(machines.each_ref().map(Punch::cookie), [Some(9), Some(9)]);
    assert_eq!(machines[0].poll(), None);
    assert_eq!(machines[1].poll(), Some(Action::Look { spares: 0 }));
    // The call that lost comes again, late: nothing happens.
    machines[0].told(Time(10), &notes[1][0]);
    assert_eq!((machines[0].poll(), machines[0].cookie()), (None, Some(9)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn notes_may_get_lost_doubled_and_late(
        lost in 0..40u32,
        doubled in 0..40u32,
        late in 0..60u64,
        callers in 0..3usize,
        refuses: bool,
        seed: u64,
    ) {
        let nat = if refuses { Nat::Refuses } else { Nat::Drops };
        let office = PostOffice { lost, doubled, late: Duration::from_millis(late) };
        let mut world = World::new([nat, Nat::Drops], NEAR, office, seed);
        let callers = [&[0][..], &[1], &[0, 1]][callers];
        for caller in callers {
            world.call(*caller);
        }
        world.run();
        // It ends on both sides, once for each who has asked, and alike.
        prop_assert!(world.sides.iter().all(|side| !side.punch.is_busy()));
        for caller in callers {
            let over = &world.sides[*caller].over;
            prop_assert!(!over.is_empty());
            prop_assert_eq!(over.contains(&Ok(())), world.connected);
        }
        prop_assert!(world.notes < 200 && world.sides.iter().all(|side| side.shots < 1000));
        // Then they call again, and old notes that are still on their way harm nothing.
        world.office = RELIABLE;
        let late = std::mem::take(&mut world.events);
        world.forget(Memory::None);
        world.events = late;
        world.call(callers[0]);
        world.run();
        prop_assert!(world.connected, "{:?}", world.sides[callers[0]].over);
    }

    #[test]
    fn garbage_is_ignored(
        notes in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..20),
        at: u64,
    ) {
        let mut machine = Punch::new(Wire::Udp, 3, 4);
        for note in notes {
            machine.told(Time(at), &note);
            machine.told(Time(at), &[&[1], &note[..]].concat());
            while machine.poll().is_some() {}
        }
    }
}

#[test]
fn datagrams_that_are_heard_are_answered_and_the_lower_process_dials() {
    let address: SocketAddr = "203.0.113.9:77".parse().unwrap();
    for (own, peer, dials) in [(3, 4, true), (4, 3, false)] {
        let mut machine = Punch::new(Wire::Udp, own, peer);
        machine.call(Time(1), 77, None);
        assert_eq!(machine.poll(), Some(Action::Look { spares: 0 }));
        let own = vec!["10.0.0.1:5".parse().unwrap()];
        machine.seen(Time(1), &Sight { port: 5, own, ..Sight::default() });
        assert!(matches!(machine.poll(), Some(Action::Tell(_))));
        machine.heard(Time(2), address);
        if dials {
            assert_eq!(machine.poll(), Some(Action::Dial(address)));
        }
        let shot = Shot { port: 5, to: address, at: Time(2), hops: None };
        assert_eq!(machine.poll(), Some(Action::Fire(vec![shot])));
        machine.heard(Time(3), address);
        assert_eq!(machine.poll(), None);
        assert_eq!(super::cookie_of(&machine.datagram().unwrap()), Some(77));
    }
}
