//! What it has come to.

use super::{Bytes, Calls, Dollars, Prices, Request, Seconds, Tier};
use serde::{Deserialize, Serialize};
use std::{cmp::Ordering, iter::Sum, ops::AddAssign};

/// What a process has done and what that costs, or several of them together.
///
/// The money of a line is that of its requests, or of the function while it waits. What functions
/// cost as long as they live, waiting or not, stands beside ([`function`](Self::function)); so does what they
/// cost while a collective runs ([`Calls::function`]): seen otherwise, it is the same money.
///
/// [`Display`](std::fmt::Display) shows a table for people, [serde](Serialize) writes JSON whose names are those of the fields
/// (quantities are numbers, in seconds, bytes, dollars; a line's [`counts`](Line::counts) and
/// [`calls`](Line::calls) stand in the line itself), [`prometheus`](Self::prometheus) writes what Prometheus reads.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Bill {
    /// How many processes it is of.
    pub processes: usize,
    /// How long they were in the job, summed up.
    pub lifetime: Seconds,
    /// What that costs if they are functions: their time, and an invocation each.
    pub function: Dollars,
    /// By operation, channel and tier.
    pub lines: Vec<Line>,
    /// Machines that were rented for the job.
    pub machines: Vec<Machine>,
}

/// What an operation did on a channel, or waited.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Line {
    /// Its name: a collective's, `point to point`, `collectives` if they were not told apart, `upkeep`.
    pub operation: String,
    /// The channel, or [`WAITING`](Self::WAITING).
    pub channel: String,
    /// How far it leads. `None` if it is not known, and of waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// What went over it.
    #[serde(flatten)]
    pub counts: Counts,
    /// Calls of groups that it joins: those of whom those who are farthest apart talk over it.
    #[serde(flatten)]
    pub calls: Calls,
    /// How long functions waited for it, those that waited for several things at once counted once.
    pub waiting: Seconds,
    /// What that costs.
    pub money: Dollars,
}

/// What went over a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Messages between ranks.
    pub messages: u64,
    /// Their bytes.
    pub bytes: Bytes,
    /// Bytes that were written to the channel's store and read from it, these among them.
    pub moved: Bytes,
    /// Requests that write.
    pub put: u64,
    /// Requests that read.
    pub get: u64,
    /// Requests that list.
    pub list: u64,
    /// Requests that delete.
    pub delete: u64,
    /// Commands to a server.
    pub command: u64,
}

/// A machine that was rented.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Its name in the list of prices.
    pub name: String,
    /// How long.
    pub time: Seconds,
    /// What that costs.
    pub money: Dollars,
}

impl Bill {
    /// What its lines and machines cost together.
    #[must_use]
    pub fn money(&self) -> Dollars {
        let lines = self.lines.iter().map(|line| line.money).sum::<Dollars>();
        lines + self.machines.iter().map(|machine| machine.money).sum()
    }

    /// What all lines count together.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut all = Counts::default();
        self.lines.iter().for_each(|line| all += line.counts);
        all
    }

    /// Calls of all lines together.
    #[must_use]
    pub fn calls(&self) -> Calls {
        let mut all = Calls::default();
        self.lines.iter().for_each(|line| all += line.calls);
        all
    }

    /// Whether a store was asked for anything.
    #[must_use]
    pub fn has_requests(&self) -> bool {
        Request::ALL.iter().any(|kind| self.counts().requests(*kind) > 0)
    }

    /// The line of that name, wherever it stands; lines are in order.
    pub(super) fn line(&mut self, operation: &str, channel: &str, tier: Option<Tier>) -> &mut Line {
        let key = |line: &Line| -> Ordering {
            let own = (&*line.operation, &*line.channel, line.tier);
            own.cmp(&(operation, channel, tier))
        };
        let place = match self.lines.binary_search_by(key) {
            Ok(place) => place,
            Err(place) => {
                self.lines.insert(place, Line::new(operation, channel, tier));
                place
            }
        };
        &mut self.lines[place]
    }
}

impl Line {
    /// The channel of lines that say how long an operation waited: it waits for whatever comes.
    pub const WAITING: &'static str = "waiting";

    /// What its operation cost while it ran: the function's share, and requests on this channel. What
    /// [`Calls::predicted_cost`] foretells.
    #[must_use]
    pub fn cost(&self) -> Dollars {
        let requests = if self.channel == Self::WAITING { Dollars::ZERO } else { self.money };
        if self.calls.calls > 0 { self.calls.function + requests } else { Dollars::ZERO }
    }

    pub(super) fn new(operation: &str, channel: &str, tier: Option<Tier>) -> Self {
        let (operation, channel) = (operation.to_owned(), channel.to_owned());
        Self { operation, channel, tier, ..Self::default() }
    }
}

impl Counts {
    /// How many requests of a kind.
    #[must_use]
    pub const fn requests(&self, kind: Request) -> u64 {
        match kind {
            Request::Put => self.put,
            Request::Get => self.get,
            Request::List => self.list,
            Request::Delete => self.delete,
            Request::Command => self.command,
        }
    }

    pub(super) fn request(&mut self, kind: Request, count: u64, bytes: u64) {
        let field = match kind {
            Request::Put => &mut self.put,
            Request::Get => &mut self.get,
            Request::List => &mut self.list,
            Request::Delete => &mut self.delete,
            Request::Command => &mut self.command,
        };
        *field += count;
        self.moved += Bytes::new(bytes);
    }

    pub(super) fn message(&mut self, messages: u64, bytes: u64) {
        self.messages += messages;
        self.bytes += Bytes::new(bytes);
    }

    pub(super) fn price(&self, prices: &Prices) -> Dollars {
        let price = |kind: &Request| prices.request(*kind) * self.requests(*kind);
        let requests: Dollars = Request::ALL.iter().map(price).sum();
        requests + prices.store.gib_moved * self.moved.per(Bytes::gib(1))
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.moved += other.moved;
        self.put += other.put;
        self.get += other.get;
        self.list += other.list;
        self.delete += other.delete;
        self.command += other.command;
    }
}

impl AddAssign<&Self> for Bill {
    fn add_assign(&mut self, other: &Self) {
        self.processes += other.processes;
        self.lifetime += other.lifetime;
        self.function += other.function;
        for line in &other.lines {
            let sum = self.line(&line.operation, &line.channel, line.tier);
            sum.counts += line.counts;
            sum.calls += line.calls;
            sum.waiting += line.waiting;
            sum.money += line.money;
        }
        self.machines.extend(other.machines.iter().cloned());
    }
}

impl<'a> Sum<&'a Self> for Bill {
    fn sum<I: Iterator<Item = &'a Self>>(bills: I) -> Self {
        bills.fold(Self::default(), |mut sum, bill| {
            sum += bill;
            sum
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::meter) fn line(operation: &str, put: u64, money: f64) -> Line {
        let counts = Counts { put, messages: 1, bytes: Bytes::new(1024), ..Counts::default() };
        Line { counts, money: Dollars::new(money), ..Line::new(operation, "s3", Some(Tier::Store)) }
    }

    #[test]
    fn bills_add_up_line_by_line() {
        let of = |lines: &[Line]| Bill { processes: 1, lines: lines.to_vec(), ..Bill::default() };
        let bills =
            [of(&[line("bcast", 1, 5e-6)]), of(&[line("barrier", 0, 0.0), line("bcast", 2, 1e-5)])];
        let sum: Bill = bills.iter().sum();
        assert_eq!(sum.processes, 2);
        let names: Vec<_> = sum.lines.iter().map(|line| line.operation.as_str()).collect();
        assert_eq!(names, ["barrier", "bcast"]);
        assert_eq!((sum.counts().put, sum.counts().messages), (3, 3));
        assert_eq!(sum.money().to_string(), "$0.000015");
        assert!(sum.has_requests());
        assert!(!of(&[line("barrier", 0, 0.0)]).has_requests());
    }

    #[test]
    fn lines_of_another_tier_are_other_lines() {
        let near = Line { tier: Some(Tier::Machine), ..line("bcast", 0, 0.0) };
        let lines = vec![near, line("bcast", 1, 1.0)];
        let bill = Bill { processes: 1, lines, ..Bill::default() };
        let sum: Bill = [bill.clone(), bill].iter().sum();
        let tiers: Vec<_> = sum.lines.iter().map(|line| line.tier).collect();
        assert_eq!(tiers, [Some(Tier::Machine), Some(Tier::Store)]);
        assert_eq!(sum.lines[1].counts.put, 2);
    }

    #[test]
    fn json_is_read_again_and_older_bills_too() {
        let calls = Calls { calls: 2, time: Seconds::new(0.5), ..Calls::default() };
        let lines = vec![Line { calls, ..line("bcast", 1, 1.0) }];
        let bill = Bill { processes: 1, lines, ..Bill::default() };
        let text = serde_json::to_value(&bill).unwrap();
        assert_eq!(text["lines"][0]["tier"], "store");
        assert_eq!((&text["lines"][0]["calls"], &text["lines"][0]["put"]), (&2.into(), &1.into()));
        assert_eq!(serde_json::from_value::<Bill>(text.clone()).unwrap(), bill);
        let mut old = text;
        let line = old["lines"][0].as_object_mut().unwrap();
        line.retain(|name, _| {
            serde_json::to_value(Counts::default()).unwrap().get(name).is_some()
                || ["operation", "channel", "waiting", "money"].contains(&&**name)
        });
        let old: Bill = serde_json::from_value(old).unwrap();
        assert_eq!((old.lines[0].tier, old.calls().calls), (None, 0));
    }
}
