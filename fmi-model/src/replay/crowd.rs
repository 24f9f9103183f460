//! Cores that several ranks share: who runs, and who waits for a core.
//!
//! A store's [server](crate::channel::Server::here) on their machine takes one like a rank, the one after the last.

use super::{Route, Wires};
use crate::topology::Topology;
use std::collections::VecDeque;

/// Ranks that share cores. A rank has a core until it has to wait; then the one runs that has waited for a
/// core longest. Who can go on while a core is idle takes that.
///
/// Processes move between the cores of their machine, as its system likes. Ranks of one process stay on their
/// thread.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    /// The pool of each rank, if it shares cores with others. Empty if none does.
    pool: Vec<Option<u32>>,
    pools: Vec<Pool>,
    holds: Vec<bool>,
}

/// Cores, and the ranks that run on them.
#[derive(Debug, Clone)]
struct Pool {
    /// Since when its idle cores are.
    idle: Vec<f64>,
    /// Who wants a core.
    waiting: VecDeque<u32>,
    /// What it takes a core to turn to another rank.
    turn: f64,
    /// What it takes an idle core until it goes on.
    wake: f64,
    /// What each byte takes longer.
    per_byte: f64,
}

impl Crowd {
    /// Nobody runs yet.
    pub(super) fn new(topology: &Topology, wires: &Wires<'_>) -> Self {
        let places = topology.places();
        if !wires.are_crowded(topology) {
            return Self::default();
        }
        let served = wires.server_here(topology).is_some();
        // On the machine of the first.
        let home = places.first().filter(|_| served).map(|place| place.machine);
        // In the order of cores and processes.
        let mut order: Vec<u32> = (0..places.len() as u32).collect();
        let place = |rank: u32| places[rank as usize];
        order.sort_by_key(|rank| (place(*rank).machine, place(*rank).core, place(*rank).process));
        let mut pool = vec![None; places.len() + 1];
        let mut pools = Vec::new();
        let machine = |one: &u32, other: &u32| place(*one).machine == place(*other).machine;
        let core = |one: &u32, other: &u32| place(*one).core == place(*other).core;
        for machine in order.chunk_by(machine) {
            let cores = || machine.chunk_by(core);
            let several = |core: &[u32]| {
                core.iter().any(|rank| place(*rank).process != place(core[0]).process)
            };
            let mut add = |ranks: &[u32], cores: usize, processes: bool| {
                ranks.iter().for_each(|rank| pool[*rank as usize] = Some(pools.len() as u32));
                let route = if processes { Route::Machine } else { Route::Process };
                let turns = &wires.channel(route).turns;
                let turn = turns.turn(ranks.len(), cores).get();
                let wake = turns.wake(ranks.len(), cores).get();
                let per_byte = turns.byte(ranks.len(), cores).get();
                let (idle, waiting) = (vec![f64::NEG_INFINITY; cores], VecDeque::new());
                pools.push(Pool { idle, waiting, turn, wake, per_byte });
            };
            let home = home == Some(place(machine[0]).machine);
            if home || cores().any(several) {
                add(machine, cores().count(), true);
                if home {
                    pool[places.len()] = pool[machine[0] as usize];
                }
            } else {
                cores().filter(|core| core.len() > 1).for_each(|core| add(core, 1, false));
            }
        }
        Self { pool, pools, holds: vec![false; places.len() + 1] }
    }

    /// Whether a rank may have to wait for a core.
    pub(super) fn has(&self, rank: usize) -> bool {
        self.pool.get(rank).is_some_and(Option::is_some)
    }

    /// What each byte of a rank takes longer.
    pub(super) fn per_byte(&self, rank: usize) -> f64 {
        let pool = self.pool.get(rank).copied().flatten();
        pool.map_or(0.0, |pool| self.pools[pool as usize].per_byte)
    }

    /// From when on a rank runs that can go on now. `None`: when another one [leaves](Self::leave).
    pub(super) fn enter(&mut self, rank: usize, now: f64) -> Option<f64> {
        let Some(pool) = self.pool.get(rank).copied().flatten() else { return Some(now) };
        if self.holds[rank] {
            return Some(now);
        }
        let pool = &mut self.pools[pool as usize];
        let earliest =
            (0..pool.idle.len()).min_by(|one, other| pool.idle[*one].total_cmp(&pool.idle[*other]));
        let Some(core) = earliest else {
            pool.waiting.push_back(rank as u32);
            return None;
        };
        let since = pool.idle.swap_remove(core);
        self.holds[rank] = true;
        Some(match since {
            // At the beginning.
            f64::NEG_INFINITY => now,
            since if since < now => now + pool.wake,
            since => since + pool.turn,
        })
    }

    /// A rank waits, or has nothing left to do: who goes on instead, and from when on.
    pub(super) fn leave(&mut self, rank: usize, now: f64) -> Option<(usize, f64)> {
        let pool = self.pool.get(rank).copied().flatten()?;
        if !std::mem::take(&mut self.holds[rank]) {
            return None;
        }
        let pool = &mut self.pools[pool as usize];
        match pool.waiting.pop_front() {
            None => {
                pool.idle.push(now);
                None
            }
            Some(next) => {
                self.holds[next as usize] = true;
                Some((next as usize, now + pool.turn))
            }
        }
    }
}
