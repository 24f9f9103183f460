//! The bill as Prometheus reads it: its text format, version 0.0.4.

use super::{Bill, Line, Request};
use std::fmt::Write;

/// What is said of each line of the bill: name, help, value.
type Family = (&'static str, &'static str, fn(&Line) -> f64);

const LINES: [Family; 12] = [
    ("fmi_calls_total", "Calls of collectives; each rank counts its own.", |line| {
        line.calls.calls as f64
    }),
    ("fmi_operation_seconds_total", "How long collectives took, of all ranks together.", |line| {
        line.calls.time.get()
    }),
    (
        "fmi_operation_gib_seconds_total",
        "Memory of functions, held while collectives ran: GiB times seconds.",
        |line| line.calls.gib_seconds.get(),
    ),
    (
        "fmi_operation_cost_dollars_total",
        "What functions cost while collectives ran. Part of fmi_function_cost_dollars_total.",
        |line| line.calls.function.get(),
    ),
    (
        "fmi_predicted_calls_total",
        "Those calls of which a model has foretold how long they take.",
        |line| line.calls.predicted_calls as f64,
    ),
    ("fmi_predicted_calls_seconds_total", "How long those calls took.", |line| {
        line.calls.predicted_calls_time.get()
    }),
    ("fmi_operation_predicted_seconds_total", "How long those calls should have taken.", |line| {
        line.calls.predicted.get()
    }),
    (
        "fmi_operation_predicted_cost_dollars_total",
        "What those calls should have cost: functions, requests and machines.",
        |line| line.calls.predicted_cost.get(),
    ),
    ("fmi_messages_total", "Messages that were sent.", |line| line.counts.messages as f64),
    ("fmi_sent_bytes_total", "Bytes of those messages.", |line| line.counts.bytes.get() as f64),
    ("fmi_moved_bytes_total", "Bytes that were written to a store and read from it.", |line| {
        line.counts.moved.get() as f64
    }),
    (
        "fmi_wait_seconds_total",
        "How long functions waited, those that waited for several things counted once.",
        |line| line.waiting.get(),
    ),
];

impl Bill {
    /// The bill as text that Prometheus reads: what a service answers where it is scraped, or writes
    /// for a collector of text files. What is zero is left out, so that few series are made.
    ///
    /// All are counters, but for `fmi_processes`. Labels are `operation`, `channel` and `tier`, of requests also
    /// `kind`; `fmi_cost_dollars_total` and `fmi_machine_cost_dollars_total` add up to [`money`](Self::money).
    ///
    /// ```
    /// use fmi_actors::meter::Bill;
    ///
    /// let bill = Bill { processes: 2, ..Bill::default() };
    /// assert!(bill.prometheus().contains("\nfmi_processes 2\n"));
    /// ```
    #[must_use]
    pub fn prometheus(&self) -> String {
        let mut text = Text::default();
        let processes = self.processes as f64;
        text.family(
            "fmi_processes",
            "gauge",
            "Processes that this is the bill of.",
            [(String::new(), processes)],
        );
        let whole = [
            (
                "fmi_process_seconds_total",
                "How long processes have been in their job.",
                self.lifetime.get(),
            ),
            (
                "fmi_function_cost_dollars_total",
                "What processes cost if they are functions, waiting or not.",
                self.function.get(),
            ),
        ];
        for (name, help, value) in whole {
            text.counters(name, help, [(String::new(), value)]);
        }
        for (name, help, value) in LINES {
            text.counters(name, help, self.lines.iter().map(|line| (labels(line), value(line))));
        }
        let requests = self.lines.iter().flat_map(|line| {
            Request::ALL.map(|kind| {
                let labels = format!("{},kind=\"{kind}\"", labels(line));
                (labels, line.counts.requests(kind) as f64)
            })
        });
        text.counters("fmi_requests_total", "Requests to stores.", requests);
        let money = self.lines.iter().map(|line| (labels(line), line.money.get()));
        let help = "What requests cost, and functions while they waited.";
        text.counters("fmi_cost_dollars_total", help, money);
        let machine = |name: &str| format!("machine=\"{}\"", escaped(name));
        let times = self.machines.iter().map(|it| (machine(&it.name), it.time.get()));
        text.counters("fmi_machine_seconds_total", "How long machines were rented.", times);
        let money = self.machines.iter().map(|it| (machine(&it.name), it.money.get()));
        text.counters("fmi_machine_cost_dollars_total", "What these machines cost.", money);
        text.0
    }
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn counters(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (String, f64)>,
    ) {
        self.family(name, "counter", help, samples);
    }

    /// Samples of one name stand together, and each labels once: two machines may have one name.
    fn family(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        samples: impl IntoIterator<Item = (String, f64)>,
    ) {
        let mut all: Vec<(String, f64)> = Vec::new();
        for (labels, value) in samples.into_iter().filter(|(_, value)| *value != 0.0) {
            match all.iter_mut().find(|(known, _)| *known == labels) {
                Some((_, sum)) => *sum += value,
                None => all.push((labels, value)),
            }
        }
        if all.is_empty() {
            return;
        }
        let head = format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
        self.0.push_str(&head);
        for (labels, value) in all {
            let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
            // Into a string nothing can fail.
            let _ = writeln!(self.0, "{name}{labels} {value}");
        }
    }
}

fn labels(line: &Line) -> String {
    let (operation, channel) = (escaped(&line.operation), escaped(&line.channel));
    let tier = line.tier.map_or("", super::Tier::name);
    format!("operation=\"{operation}\",channel=\"{channel}\",tier=\"{tier}\"")
}

/// As the value of a label.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::{Bytes, Calls, Counts, Dollars, Machine, Seconds, Tier};
    use proptest::prelude::*;

    fn bill() -> Bill {
        let counts = Counts { messages: 3, bytes: Bytes::new(99), get: 4, ..Counts::default() };
        let calls = Calls { calls: 2, time: Seconds::new(0.25), ..Calls::default() };
        let tier = Some(Tier::Network);
        let line = Line { counts, calls, ..Line::new("bcast", "tcp", tier) };
        let waiting = Seconds::new(1.5);
        let waits =
            Line { waiting, money: Dollars::new(0.5), ..Line::new("gather", "waiting", None) };
        let rented =
            Machine { name: "a \"b\"\n\\c".to_owned(), time: waiting, money: Dollars::new(2.0) };
        let machines = vec![rented.clone(), rented];
        Bill { processes: 2, lines: vec![line, waits], machines, ..Bill::default() }
    }

    #[test]
    fn what_prometheus_reads() {
        let text = bill().prometheus();
        let of = r#"operation="bcast",channel="tcp",tier="network""#;
        for line in [
            "# HELP fmi_processes Processes that this is the bill of.",
            "# TYPE fmi_processes gauge",
            "# TYPE fmi_messages_total counter",
            &format!("fmi_messages_total{{{of}}} 3"),
            &format!("fmi_sent_bytes_total{{{of}}} 99"),
            &format!("fmi_calls_total{{{of}}} 2"),
            &format!("fmi_operation_seconds_total{{{of}}} 0.25"),
            &format!("fmi_requests_total{{{of},kind=\"get\"}} 4"),
            r#"fmi_wait_seconds_total{operation="gather",channel="waiting",tier=""} 1.5"#,
            r#"fmi_machine_cost_dollars_total{machine="a \"b\"\n\\c"} 4"#,
        ] {
            assert!(text.lines().any(|own| own == line), "{line}: {text}");
        }
        // No series of nothing, and none without its head.
        assert!(!text.contains("fmi_predicted_calls_total") && !text.contains("kind=\"put\""));
        assert!(text.ends_with('\n') && !text.contains("\n\n"));
    }

    #[test]
    fn what_it_costs_adds_up() {
        let bill = bill();
        let cost = |line: &str| {
            let is_cost = line.starts_with("fmi_cost_dollars_total{")
                || line.starts_with("fmi_machine_cost_dollars_total{");
            is_cost.then(|| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        };
        let sum: f64 = bill.prometheus().lines().filter_map(cost).sum();
        assert!((sum - bill.money().get()).abs() < 1e-12, "{sum}");
    }

    proptest! {
        /// Whatever names there are, each sample is a line that ends with a number.
        #[test]
        fn names_do_not_break_the_format(operation: String, channel: String, messages in 1_u64..) {
            let counts = Counts { messages, ..Counts::default() };
            let lines = vec![Line { counts, ..Line::new(&operation, &channel, None) }];
            let text = Bill { processes: 1, lines, ..Bill::default() }.prometheus();
            for line in text.split('\n').filter(|line| !line.is_empty() && !line.starts_with('#')) {
                prop_assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{}", line);
            }
        }
    }
}
