//! What a program has done, for people and for programs.

use crate::{Counts, human};
use serde::Serialize;
use std::{collections::BTreeMap, fmt};

/// What a job has done.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The program's name.
    pub program: String,
    /// How many ranks.
    pub ranks: usize,
    /// How many processes hosted them.
    pub processes: usize,
    /// What it did, in order.
    pub phases: Vec<Phase>,
    /// Requests to stores.
    pub requests: u64,
    /// What all of it costs, with each process as a function of 1 GiB on AWS, unless the meter was told
    /// other prices. See [`Traffic::dollars`](crate::Traffic::dollars).
    pub dollars: f64,
    /// The most that was resident in any of the processes.
    pub peak_memory_bytes: Option<u64>,
    /// What else there is to say, by name.
    pub facts: BTreeMap<String, Fact>,
}

/// A phase of all ranks.
#[derive(Debug, Clone, Serialize)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// Of the rank that needed longest.
    pub slowest_seconds: f64,
    /// Of the rank in the middle.
    pub median_seconds: f64,
    /// Sent between ranks of one process.
    pub inside: Counts,
    /// Sent to other processes.
    pub outside: Counts,
}

/// One thing more to say.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Fact {
    /// A count.
    Count(u64),
    /// A measure.
    Number(f64),
    /// Words.
    Text(String),
}

impl Report {
    /// Of a program of one process that sends nothing.
    #[must_use]
    pub fn alone(program: &str, phases: &[(&str, f64)]) -> Self {
        let phase = |&(name, seconds): &(&str, f64)| Phase {
            name: name.to_owned(),
            slowest_seconds: seconds,
            median_seconds: seconds,
            inside: Counts::default(),
            outside: Counts::default(),
        };
        Self {
            program: program.to_owned(),
            ranks: 1,
            processes: 1,
            phases: phases.iter().map(phase).collect(),
            requests: 0,
            dollars: 0.0,
            peak_memory_bytes: crate::peak_memory(),
            facts: BTreeMap::new(),
        }
    }

    /// Says one thing more.
    pub fn say(&mut self, name: &str, fact: impl Into<Fact>) {
        self.facts.insert(name.to_owned(), fact.into());
    }

    /// From the first phase's begin to the last one's end: in each phase all wait for the slowest.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.phases.iter().map(|phase| phase.slowest_seconds).sum()
    }
}

/// The middle of them; 0 of none.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

impl From<u64> for Fact {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<f64> for Fact {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<String> for Fact {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Number(number) => write!(f, "{number:.3}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { program, ranks, processes, .. } = self;
        let plural = |number: usize, one: &'static str, more: &'static str| {
            format!("{number} {}", if number == 1 { one } else { more })
        };
        let (ranks, processes) =
            (plural(*ranks, "rank", "ranks"), plural(*processes, "process", "processes"));
        writeln!(f, "{program}: {ranks} in {processes}, {:.2} s", self.seconds())?;
        let width = self.phases.iter().map(|phase| phase.name.chars().count()).max().unwrap_or(0);
        let width = width.max("phase".len());
        writeln!(
            f,
            "{:width$}  {:>9}  {:>9}  {:>11}  {:>11}  {:>8}",
            "phase", "slowest s", "median s", "inside pack", "outside", "messages"
        )?;
        for phase in &self.phases {
            let Phase { name, slowest_seconds, median_seconds, inside, outside } = phase;
            writeln!(
                f,
                "{name:width$}  {slowest_seconds:9.3}  {median_seconds:9.3}  {:>11}  {:>11}  {:8}",
                human(inside.bytes),
                human(outside.bytes),
                outside.messages,
            )?;
        }
        if let Some(peak) = self.peak_memory_bytes {
            writeln!(f, "largest process: {}", human(peak))?;
        }
        let (requests, dollars) = (self.requests, self.dollars);
        writeln!(f, "requests to stores: {requests}; as functions of 1 GiB: ${dollars:.6}")?;
        for (name, fact) in &self.facts {
            writeln!(f, "{name}: {fact}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_table_and_json() {
        let mut report = Report::alone("sort", &[("read", 1.5), ("write", 0.25)]);
        report.say("records", 12);
        assert!((report.seconds() - 1.75).abs() < 1e-9);
        let table = report.to_string();
        assert!(
            table.starts_with("sort: 1 rank in 1 process, 1.75 s\nphase  slowest s"),
            "{table}"
        );
        assert!(table.contains("\nread       1.500"), "{table}");
        assert!(table.ends_with("records: 12\n"), "{table}");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["phases"][1]["slowest_seconds"], 0.25);
        assert_eq!(json["facts"]["records"], 12);
    }

    #[test]
    fn medians() {
        assert_eq!([&[][..], &[3.0, 1.0, 2.0], &[4.0, 1.0]].map(median), [0.0, 2.0, 2.5]);
    }
}
