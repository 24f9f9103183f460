//! What it has come to: for programs and for people.

use super::{Bytes, Dollars, Prices, Request, Seconds};
use serde::{Deserialize, Serialize};
use std::{fmt, iter::Sum, ops::AddAssign};

/// What a process has done and what that costs, or several of them together.
///
/// The money of a line is that of its requests, or of the function while it waits. What functions
/// cost as long as they live, waiting or not, stands beside ([`function`](Self::function)).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Bill {
    /// How many processes it is of.
    pub processes: usize,
    /// How long they were in the job, summed up.
    pub lifetime: Seconds,
    /// What that costs if they are functions: their time, and an invocation each.
    pub function: Dollars,
    /// By operation and channel.
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
    /// What went over it.
    #[serde(flatten)]
    pub counts: Counts,
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
    /// Their bytes, and those of what was put into a store and read from it.
    pub bytes: Bytes,
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

    /// Whether a store was asked for anything.
    #[must_use]
    pub fn has_requests(&self) -> bool {
        Request::ALL.iter().any(|kind| self.counts().requests(*kind) > 0)
    }
}

impl Line {
    /// The channel of lines that say how long an operation waited: it waits for whatever comes.
    pub const WAITING: &'static str = "waiting";

    pub(super) fn new(operation: &str, channel: &str) -> Self {
        Self { operation: operation.to_owned(), channel: channel.to_owned(), ..Self::default() }
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
        self.bytes += Bytes::new(bytes);
    }

    pub(super) fn message(&mut self, messages: u64, bytes: u64) {
        self.messages += messages;
        self.bytes += Bytes::new(bytes);
    }

    pub(super) fn price(&self, prices: &Prices) -> Dollars {
        let requests =
            Request::ALL.iter().map(|kind| prices.request(*kind) * self.requests(*kind)).sum();
        // Where moving costs nothing this is nothing; messages of links do not come here.
        let asked = self.put + self.get > 0;
        let moved = if asked {
            prices.store.gib_moved * self.bytes.per(Bytes::gib(1))
        } else {
            Dollars::ZERO
        };
        moved + requests
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
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
            let key = |line: &Line| (line.operation.clone(), line.channel.clone());
            match self.lines.binary_search_by_key(&key(line), key) {
                Ok(place) => {
                    let sum = &mut self.lines[place];
                    sum.counts += line.counts;
                    sum.waiting += line.waiting;
                    sum.money += line.money;
                }
                Err(place) => self.lines.insert(place, line.clone()),
            }
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

impl fmt::Display for Bill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = "operation       channel    messages       bytes      put      get     list   delete  command     waited  money";
        writeln!(f, "{head}")?;
        for line in &self.lines {
            let waited =
                if line.waiting > Seconds::ZERO { line.waiting.to_string() } else { String::new() };
            row(f, &line.operation, &line.channel, &line.counts, &waited, line.money)?;
        }
        for machine in &self.machines {
            let time = machine.time.to_string();
            row(f, "machine", &machine.name, &Counts::default(), &time, machine.money)?;
        }
        let waited = self.lines.iter().map(|line| line.waiting).sum::<Seconds>().to_string();
        row(f, "all", "", &self.counts(), &waited, self.money())?;
        let (processes, lifetime, function) = (self.processes, self.lifetime, self.function);
        let what = if processes == 1 { "process" } else { "processes" };
        write!(
            f,
            "{processes} {what}, {lifetime} together; as functions, waiting or not: {function}"
        )
    }
}

fn row(
    f: &mut fmt::Formatter<'_>,
    operation: &str,
    channel: &str,
    counts: &Counts,
    waited: &str,
    money: Dollars,
) -> fmt::Result {
    write!(
        f,
        "{operation:<15} {channel:<10} {:>8} {:>11}",
        number(counts.messages),
        bytes(counts.bytes)
    )?;
    for kind in Request::ALL {
        write!(f, " {:>8}", number(counts.requests(kind)))?;
    }
    writeln!(f, " {waited:>10}  {money}")
}

/// Nothing is easier to overlook than a zero.
fn number(count: u64) -> String {
    if count == 0 { String::new() } else { count.to_string() }
}

fn bytes(bytes: Bytes) -> String {
    if bytes == Bytes::ZERO { String::new() } else { bytes.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(operation: &str, put: u64, money: f64) -> Line {
        let counts = Counts { put, messages: 1, bytes: Bytes::new(1024), ..Counts::default() };
        Line { counts, money: Dollars::new(money), ..Line::new(operation, "s3") }
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
}
