//! What a process has sent so far, by how far it went.

use fmi::{
    Context,
    meter::{Bill, Line, Tier},
};
use serde::{Deserialize, Serialize};
use std::ops::{AddAssign, Sub};

/// Messages between ranks, and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// How many.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What a process has sent and asked for, or several of them together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// Between ranks of one process: inside of a pack.
    pub inside: Counts,
    /// To other processes, however near they are: on this machine, elsewhere, through a store.
    pub outside: Counts,
    /// Requests to stores.
    pub requests: u64,
    /// What that costs in dollars: requests, rented machines, and processes as functions as long as
    /// they live. The time of a function that waits is in the last.
    pub dollars: f64,
}

impl Traffic {
    /// Of this process until now, as its meter has it. Nothing if it has left the job.
    #[must_use]
    pub fn of(ctx: &Context) -> Self {
        ctx.meter().as_ref().map(Self::from).unwrap_or_default()
    }
}

impl From<&Bill> for Traffic {
    fn from(bill: &Bill) -> Self {
        let mut all = Self::default();
        for line in &bill.lines {
            let counts = Counts { messages: line.counts.messages, bytes: line.counts.bytes.get() };
            match line.tier {
                Some(Tier::Process) => all.inside += counts,
                _ => all.outside += counts,
            }
        }
        let sum = bill.counts();
        all.requests = sum.put + sum.get + sum.list + sum.delete + sum.command;
        let requests = bill.lines.iter().filter(|line| line.channel != Line::WAITING);
        let requests: f64 = requests.map(|line| line.money.get()).sum();
        let machines: f64 = bill.machines.iter().map(|machine| machine.money.get()).sum();
        all.dollars = bill.function.get() + requests + machines;
        all
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
    }
}

impl Sub for Counts {
    type Output = Self;
    /// What came since then.
    fn sub(self, before: Self) -> Self {
        Self {
            messages: self.messages.saturating_sub(before.messages),
            bytes: self.bytes.saturating_sub(before.bytes),
        }
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.inside += other.inside;
        self.outside += other.outside;
        self.requests += other.requests;
        self.dollars += other.dollars;
    }
}

impl Sub for Traffic {
    type Output = Self;
    /// What came since then.
    fn sub(self, before: Self) -> Self {
        Self {
            inside: self.inside - before.inside,
            outside: self.outside - before.outside,
            requests: self.requests.saturating_sub(before.requests),
            dollars: (self.dollars - before.dollars).max(0.0),
        }
    }
}
