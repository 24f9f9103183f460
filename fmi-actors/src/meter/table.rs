//! The bill for people: a table with the columns that have something in them.

use super::{Bill, Bytes, Calls, Counts, Dollars, Line, Machine, Request, Seconds};
use std::fmt;

const COLUMNS: usize = 18;
const HEAD: [&str; COLUMNS] = [
    "operation",
    "channel",
    "tier",
    "calls",
    "time",
    "predicted",
    "GiB·s",
    "cost",
    "predicted cost",
    "messages",
    "bytes",
    "moved",
    "put",
    "get",
    "list",
    "delete",
    "command",
    "waited",
];
/// What stands on the left; numbers stand on the right.
const NAMES: usize = 3;

/// Cells of the table, and what it costs.
struct Row([String; COLUMNS], String);

impl fmt::Display for Bill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![Row(HEAD.map(str::to_owned), "money".to_owned())];
        rows.extend(self.lines.iter().map(Row::of));
        rows.extend(self.machines.iter().map(Row::rented));
        rows.push(Row::all(self));
        let width = |cell: &dyn Fn(&Row) -> &str| {
            let count = |row: &Row| cell(row).chars().count();
            let filled = rows[1..].iter().any(|row| count(row) > 0);
            if filled { rows.iter().map(count).max().unwrap_or(0) } else { 0 }
        };
        let widths: [usize; COLUMNS] = std::array::from_fn(|column| width(&|row| &row.0[column]));
        let money = width(&|row| &row.1);
        for Row(cells, cost) in &rows {
            let mut text = String::new();
            for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
                match (column, width) {
                    (_, 0) => {}
                    (0..NAMES, _) => text += &format!("{cell:<width$}  "),
                    _ => text += &format!("{cell:>width$}  "),
                }
            }
            if money > 0 {
                text += &format!("{cost:>money$}");
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

impl Row {
    fn of(line: &Line) -> Self {
        let tier = line.tier.map_or("", super::Tier::name);
        let names = [&*line.operation, &*line.channel, tier];
        Self::new(names, &line.counts, &line.calls, line.cost(), line.waiting, line.money)
    }

    fn rented(machine: &Machine) -> Self {
        let (counts, calls) = Default::default();
        let names = ["machine", &*machine.name, ""];
        Self::new(names, &counts, &calls, Dollars::ZERO, machine.time, machine.money)
    }

    fn all(bill: &Bill) -> Self {
        let cost = bill.lines.iter().map(Line::cost).sum();
        let waited = bill.lines.iter().map(|line| line.waiting).sum();
        Self::new(["all", "", ""], &bill.counts(), &bill.calls(), cost, waited, bill.money())
    }

    fn new(
        names: [&str; NAMES],
        counts: &Counts,
        calls: &Calls,
        cost: Dollars,
        waited: Seconds,
        money: Dollars,
    ) -> Self {
        let [operation, channel, tier] = names.map(str::to_owned);
        let requests = Request::ALL.map(|kind| number(counts.requests(kind)));
        let [put, get, list, delete, command] = requests;
        let cells = [
            operation,
            channel,
            tier,
            number(calls.calls),
            quantity(calls.time, Seconds::ZERO),
            predicted(calls),
            // The head says what it is of.
            quantity(calls.gib_seconds, super::GibSeconds::ZERO).replace(" GiB·s", ""),
            quantity(cost, Dollars::ZERO),
            quantity(calls.predicted_cost, Dollars::ZERO),
            number(counts.messages),
            quantity(counts.bytes, Bytes::ZERO),
            quantity(counts.moved, Bytes::ZERO),
            put,
            get,
            list,
            delete,
            command,
            quantity(waited, Seconds::ZERO),
        ];
        Self(cells, quantity(money, Dollars::ZERO))
    }
}

/// What was foretold; of how many calls, if not of all.
fn predicted(calls: &Calls) -> String {
    match calls.predicted_calls {
        0 => String::new(),
        all if all == calls.calls => calls.predicted.to_string(),
        some => format!("{} ({some} of {})", calls.predicted, calls.calls),
    }
}

/// Nothing is easier to overlook than a zero.
fn number(count: u64) -> String {
    if count == 0 { String::new() } else { count.to_string() }
}

fn quantity<Q: fmt::Display + PartialOrd>(quantity: Q, zero: Q) -> String {
    if quantity > zero { quantity.to_string() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::{GibSeconds, Tier, bill::tests::line};

    #[test]
    fn a_table_has_the_columns_that_say_something() {
        let mut bill = Bill { processes: 1, ..Bill::default() };
        bill.lines = vec![line("barrier", 0, 0.0), line("bcast", 1, 5e-6)];
        bill.lines[0].waiting = Seconds::new(1.5);
        let table = "\
operation  channel  tier   messages  bytes  put  waited      money
barrier    s3       store         1  1 KiB        1.5 s
bcast      s3       store         1  1 KiB    1          $0.000005
all                               2  2 KiB    1   1.5 s  $0.000005
1 process, 0 s together; as functions, waiting or not: $0";
        assert_eq!(bill.to_string(), table);
    }

    #[test]
    fn calls_stand_beside_what_was_foretold() {
        let calls = Calls {
            calls: 3,
            time: Seconds::new(0.3),
            gib_seconds: GibSeconds::new(0.6),
            function: Dollars::new(1e-5),
            predicted_calls: 2,
            predicted: Seconds::new(0.1),
            ..Calls::default()
        };
        let tier = Some(Tier::Network);
        let lines = vec![Line { calls, ..Line::new("bcast", "tcp", tier) }];
        let bill = Bill { processes: 1, lines, ..Bill::default() };
        let table = "\
operation  channel  tier     calls    time        predicted  GiB·s      cost
bcast      tcp      network      3  300 ms  100 ms (2 of 3)    0.6  $0.00001
all                              3  300 ms  100 ms (2 of 3)    0.6  $0.00001
1 process, 0 s together; as functions, waiting or not: $0";
        assert_eq!(bill.to_string(), table);
    }
}
