//! Two punching machines whose notes, shots and time the bytes command.

use super::Supply;
use crate::punch::{ATTEMPT, Action, Punch, Sight, Wire};
use fmi_actors::clock::Time;
use std::{
    collections::VecDeque,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

/// Calls that one run makes at most.
const CALLS: usize = 300;
/// Actions that may follow one call.
const ACTIONS: usize = 1000;
/// Notes that lie around.
const NOTES: usize = 16;

/// Any notes and events, in any order: no panic, and each attempt ends in time.
pub fn punch(data: &[u8]) {
    let mut supply = Supply(data);
    let wire = if supply.byte() & 1 == 0 { Wire::Tcp } else { Wire::Udp };
    let mut sides = [Punch::new(wire, 0, 1), Punch::new(wire, 1, 0)];
    let mut notes: [VecDeque<Vec<u8>>; 2] = Default::default();
    let mut now = 0_u64;
    for _ in 0..CALLS {
        if supply.is_empty() {
            break;
        }
        let command = supply.byte();
        let (at, time) = (usize::from(command >> 7), Time(now));
        match command & 15 {
            0 => {
                let (cookie, guess) = (u64::from(supply.short()), supply.byte());
                sides[at].call(time, cookie, (guess & 1 == 1).then(|| address(&mut supply)));
            }
            1..=3 => sides[at].seen(time, &sight(&mut supply)),
            4..=6 => {
                if let Some(note) = notes[at].pop_front() {
                    sides[at].told(time, &note);
                }
            }
            7 => {
                if let Some(mut note) = notes[at].pop_front() {
                    let place = usize::from(supply.byte());
                    if let Some(byte) = note.get_mut(place) {
                        *byte ^= supply.byte();
                    }
                    sides[at].told(time, &note);
                }
            }
            8 => {
                let length = usize::from(supply.byte());
                sides[at].told(time, supply.take(length));
            }
            9 => {
                let port = supply.short();
                sides[at].refused(time, port, address(&mut supply));
            }
            10 => sides[at].heard(time, address(&mut supply)),
            11 => sides[at].linked(time),
            12 => sides[at].withdraw(time),
            13 => {
                let port = supply.short();
                sides[at].taken(time, port, address(&mut supply));
            }
            14 if supply.byte() & 1 == 1 => {
                let port = supply.short();
                sides[at].connected(time, port, address(&mut supply));
            }
            14..=15 => now += u64::from(supply.short()) * 20_000,
            _ => {}
        }
        for (at, side) in sides.iter_mut().enumerate() {
            if side.timer() <= Time(now) {
                side.tick(Time(now));
            }
            act(side, &mut notes[1 - at]);
        }
    }
    // Nobody says anything more.
    let end = now + 2 * u64::try_from(ATTEMPT.as_nanos()).unwrap_or(u64::MAX);
    for (at, side) in sides.iter_mut().enumerate() {
        for _ in 0..ACTIONS {
            let due = side.timer();
            if due > Time(end) {
                break;
            }
            now = now.max(due.0);
            side.tick(Time(now));
            act(side, &mut notes[1 - at]);
        }
        assert!(!side.is_busy(), "an attempt that does not end");
    }
}

fn act(side: &mut Punch, notes: &mut VecDeque<Vec<u8>>) {
    for _ in 0..ACTIONS {
        match side.poll() {
            None => return,
            Some(Action::Tell(note)) => {
                assert!(note.len() <= fmi_actors::channel::MAX_NOTE);
                notes.push_back(note);
                notes.truncate(NOTES);
            }
            Some(_) => {}
        }
    }
    panic!("actions without end");
}

fn sight(supply: &mut Supply<'_>) -> Sight {
    let some = |supply: &mut Supply<'_>| {
        let count = supply.byte() % 40;
        (0..count).map(|_| address(supply)).collect()
    };
    Sight {
        port: supply.short(),
        own: some(supply),
        observed: some(supply),
        spares: (0..supply.byte() % 64).map(|_| supply.short()).collect(),
        round_trip: Duration::from_micros(u64::from(supply.short()) * 64),
    }
}

fn address(supply: &mut Supply<'_>) -> SocketAddr {
    let ip = match supply.byte() {
        0 => return SocketAddr::new([0_u16; 8].into(), supply.short()),
        byte => Ipv4Addr::new([10, 127, 192, 0, 255, 1][usize::from(byte) % 6], 0, 0, byte),
    };
    SocketAddr::new(ip.into(), supply.short())
}
