//! What a [`Meter`](super::Meter) has counted by operation and channel.

use super::{Bill, Counted, Counts, Line, Machine, Purpose, Seconds, Tariff, Tier};
use crate::{clock::Time, frame::Space};
use rustc_hash::FxHashMap;
use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
};

/// An operation, as bills name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Operation(&'static str);

impl Operation {
    /// Messages between two ranks.
    pub const MESSAGES: Self = Self("point to point");
    /// Collectives that are not told apart.
    pub const COLLECTIVES: Self = Self("collectives");
    /// What keeps a job going: registering, signs of life, cleaning up.
    pub const UPKEEP: Self = Self("upkeep");

    /// One of that name.
    #[must_use]
    pub const fn named(name: &'static str) -> Self {
        Self(name)
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

/// Spaces whose operation is known: the latest.
const NAMES: usize = 4096;

#[derive(Debug, Clone, Default)]
pub(super) struct Books {
    names: FxHashMap<Space, Operation>,
    named: VecDeque<Space>,
    counts: BTreeMap<(Operation, &'static str, Tier), Counts>,
    waits: BTreeMap<Operation, Seconds>,
    /// Those that wait now, the latest last.
    waiting: Vec<Operation>,
    clock: Shared,
}

/// Time that is shared by all who wait at once: it goes the slower, the more they are.
#[derive(Debug, Clone, Default)]
struct Shared {
    waiting: u32,
    last: Time,
    passed: Seconds,
}

impl Shared {
    fn advance(&mut self, now: Time) {
        if self.waiting > 0 {
            self.passed += Seconds::from(now.since(self.last)) / f64::from(self.waiting);
        }
        self.last = self.last.max(now);
    }
}

impl Books {
    pub(super) fn name(&mut self, space: Space, operation: &'static str) {
        if self.names.insert(space, Operation(operation)).is_none() {
            self.named.push_back(space);
            if self.named.len() > NAMES
                && let Some(oldest) = self.named.pop_front()
            {
                self.names.remove(&oldest);
            }
        }
    }

    pub(super) fn operation(&self, purpose: Purpose) -> Operation {
        match purpose {
            Purpose::Upkeep => Operation::UPKEEP,
            Purpose::Awaited => self.awaited().unwrap_or(Operation::UPKEEP),
            Purpose::Space(space) if !space.is_collective() => Operation::MESSAGES,
            Purpose::Space(space) => {
                self.names.get(&space).copied().unwrap_or(Operation::COLLECTIVES)
            }
        }
    }

    pub(super) fn counts(
        &mut self,
        operation: Operation,
        channel: &'static str,
        tier: Tier,
    ) -> &mut Counts {
        self.counts.entry((operation, channel, tier)).or_default()
    }

    /// What the process waits for: the latest of several.
    pub(super) fn awaited(&self) -> Option<Operation> {
        self.waiting.last().copied()
    }

    pub(super) fn begin_wait(&mut self, operation: Operation, now: Time) -> Seconds {
        self.waiting.push(operation);
        self.clock.advance(now);
        self.clock.waiting += 1;
        self.clock.passed
    }

    pub(super) fn end_wait(&mut self, operation: Operation, begin: Seconds, now: Time) {
        self.give_up_wait(operation, now);
        *self.waits.entry(operation).or_default() += self.clock.passed - begin;
    }

    pub(super) fn give_up_wait(&mut self, operation: Operation, now: Time) {
        if let Some(place) = self.waiting.iter().rposition(|waiting| *waiting == operation) {
            self.waiting.remove(place);
        }
        self.clock.advance(now);
        self.clock.waiting = self.clock.waiting.saturating_sub(1);
    }

    /// As they stand now.
    pub(super) fn at(&self, now: Time) -> Self {
        let mut books = self.clone();
        books.clock.advance(now);
        books
    }

    pub(super) fn bill(self, tariff: &Tariff, lifetime: Seconds, own: &Counted) -> Bill {
        let Tariff { prices, memory, machines } = tariff;
        let mut bill = Bill::default();
        for ((operation, channel, tier), counts) in self.counts {
            let line = bill.line(operation.name(), channel, Some(tier));
            line.money += counts.price(prices);
            line.counts += counts;
        }
        for (operation, waited) in self.waits {
            let line = bill.line(operation.name(), Line::WAITING, None);
            line.waiting += waited;
            line.money += prices.function_second(*memory) * waited;
        }
        for entry in &own.calls {
            let mut calls = entry.calls;
            calls.charge(prices, *memory, own.ranks);
            bill.line(entry.operation.name(), &entry.channel, Some(entry.tier)).calls += calls;
        }
        let machines = machines.iter().filter_map(|name| {
            let money = prices.machine_second(name)? * lifetime;
            Some(Machine { name: name.clone(), time: lifetime, money })
        });
        Bill {
            processes: 1,
            lifetime,
            function: prices.function_second(*memory) * lifetime + prices.function.request,
            lines: bill.lines,
            machines: machines.collect(),
        }
    }
}
