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
    /// A table with the columns that have something in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = Row(HEAD.map(str::to_owned));
        let mut rows = vec![head];
        rows.extend(self.lines.iter().map(|line| {
            Row::new([&line.operation, &line.channel], &line.counts, line.waiting, line.money)
        }));
        rows.extend(self.machines.iter().map(|machine| {
            let nothing = Counts::default();
            Row::new(["machine", &machine.name], &nothing, machine.time, machine.money)
        }));
        let waited = self.lines.iter().map(|line| line.waiting).sum();
        rows.push(Row::new(["all", ""], &self.counts(), waited, self.money()));
        let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
            let cell = |row: &Row| row.0[column].chars().count();
            let filled = rows[1..].iter().any(|row| cell(row) > 0);
            if filled { rows.iter().map(cell).max().unwrap_or(0) } else { 0 }
        });
        for row in &rows {
            let mut text = String::new();
            for (column, (cell, width)) in row.0.iter().zip(widths).enumerate() {
                match (column, width) {
                    (_, 0) => {}
                    (0 | 1, _) => text += &format!("{cell:<width$}  "),
                    _ => text += &format!("{cell:>width$}  "),
                }
            }
            writeln!(f, "{}", text.trim_end())?;
        }
        let (processes, lifetime, function) = (self.processes, self.lifetime, self.function);
        let what = if processes == 1 { "process" } else { "processes" };
        write!(
            f,
            "{processes} {what}, {lifetime} together; as functions, waiting or not: {function}"
        )
    }
}

const COLUMNS: usize = 12;
const HEAD: [&str; COLUMNS] = [
    "operation",
    "channel",
    "messages",
    "bytes",
    "moved",
    "put",
    "get",
    "list",
    "delete",
    "command",
    "waited",
    "money",
];

/// Cells of the table.
struct Row([String; COLUMNS]);

impl Row {
    fn new(names: [&str; 2], counts: &Counts, waited: Seconds, money: Dollars) -> Self {
        let [put, get, list, delete, command] =
            Request::ALL.map(|kind| number(counts.requests(kind)));
        let waited = if waited > Seconds::ZERO { waited.to_string() } else { String::new() };
        let [operation, channel] = names.map(str::to_owned);
        let messages = number(counts.messages);
        let (own, moved) = (bytes(counts.bytes), bytes(counts.moved));
        let money = if money > Dollars::ZERO { money.to_string() } else { String::new() };
        Self([
            operation, channel, messages, own, moved, put, get, list, delete, command, waited,
            money,
        ])
    }
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

    #[test]
    fn a_table_has_the_columns_that_say_something() {
        let mut bill = Bill { processes: 1, ..Bill::default() };
        bill.lines = vec![line("barrier", 0, 0.0), line("bcast", 1, 5e-6)];
        bill.lines[0].waiting = Seconds::new(1.5);
        let table = "\
operation  channel  messages  bytes  put  waited      money
barrier    s3              1  1 KiB        1.5 s
bcast      s3              1  1 KiB    1          $0.000005
all                        2  2 KiB    1   1.5 s  $0.000005
1 process, 0 s together; as functions, waiting or not: $0";
        assert_eq!(bill.to_string(), table);
    }
}
