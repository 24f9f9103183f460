//! What `fmi doctor links` found, pair by pair.

use crate::failure::Failure;
use fmi::{PeerAttempt, Rung};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What one process saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    /// Its ranks.
    pub(super) ranks: Vec<usize>,
    pub(super) seen: Vec<Seen>,
}

/// Another process as it saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// The lowest rank of that process.
    pub(super) rank: usize,
    pub(super) channel: Option<String>,
    pub(super) rung: Option<String>,
    pub(super) attempts: Vec<Attempt>,
}

/// A way that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Attempt {
    rung: String,
    way: String,
    /// How long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    millis: Option<f64>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
}

impl From<&PeerAttempt> for Attempt {
    fn from(attempt: &PeerAttempt) -> Self {
        let PeerAttempt { rung, way, outcome } = attempt;
        let millis = |took: &std::time::Duration| (took.as_secs_f64() * 1e4).round() / 10.0;
        Self {
            rung: rung.name().to_owned(),
            way: way.clone(),
            millis: outcome.as_ref().ok().map(millis),
            failed: outcome.as_ref().err().cloned(),
        }
    }
}

/// All pairs of processes.
#[derive(Debug, Serialize)]
pub(super) struct Table {
    /// All have a link.
    pub(super) ok: bool,
    processes: usize,
    links: Vec<Pair>,
}

/// Two processes, with all that both know of the way between them.
#[derive(Debug, Serialize)]
struct Pair {
    /// Ranks of the one and of the other.
    from: Vec<usize>,
    to: Vec<usize>,
    channel: Option<String>,
    rung: Option<String>,
    attempts: Vec<By>,
}

/// An attempt, and the lowest rank of the process that made it.
#[derive(Debug, Serialize)]
struct By {
    by: usize,
    #[serde(flatten)]
    attempt: Attempt,
}

impl Table {
    pub(super) fn new(rows: Vec<Row>) -> Self {
        let ranks_of: BTreeMap<usize, Vec<usize>> =
            rows.iter().filter_map(|row| Some((lowest(row)?, row.ranks.clone()))).collect();
        let mut links: BTreeMap<(usize, usize), Pair> = BTreeMap::new();
        for row in &rows {
            let Some(by) = lowest(row) else { continue };
            for seen in &row.seen {
                let (from, to) = (by.min(seen.rank), by.max(seen.rank));
                let ranks = |rank| ranks_of.get(&rank).cloned().unwrap_or_else(|| vec![rank]);
                let pair = links.entry((from, to)).or_insert_with(|| Pair {
                    from: ranks(from),
                    to: ranks(to),
                    channel: None,
                    rung: None,
                    attempts: Vec::new(),
                });
                pair.channel = pair.channel.take().or(seen.channel.clone());
                pair.rung = pair.rung.take().or(seen.rung.clone());
                let attempts = seen.attempts.iter().cloned();
                pair.attempts.extend(attempts.map(|attempt| By { by, attempt }));
            }
        }
        let links: Vec<_> = links.into_values().collect();
        let ok = links.iter().all(|pair| pair.rung.is_some());
        Self { ok, processes: rows.len(), links }
    }

    pub(super) fn print(&self, json: bool) -> Result<(), Failure> {
        if json {
            println!("{}", serde_json::to_string(self).map_err(|e| Failure::new(e.to_string()))?);
        } else {
            print!("{}", self.text());
        }
        Ok(())
    }

    fn text(&self) -> String {
        let mut lines = Vec::new();
        for pair in &self.links {
            let ends = format!("{} - {}", numbers(&pair.from), numbers(&pair.to));
            let rung = pair.rung.as_deref().unwrap_or("none");
            let channel = pair.channel.as_deref().unwrap_or("");
            lines.push(format!("{ends:<16}{rung:<10}{channel}").trim_end().to_owned());
            for By { by, attempt: Attempt { rung, way, millis, failed } } in &pair.attempts {
                let outcome = match (failed, millis) {
                    (Some(reason), _) => reason.clone(),
                    (None, Some(millis)) => format!("linked in {millis:.1} ms"),
                    (None, None) => continue,
                };
                lines.push(format!("{:16}-> {rung}, {way}, from rank {by}: {outcome}", ""));
            }
        }
        lines.push(self.summary());
        lines.join("\n") + "\n"
    }

    /// `6 links: 4 direct, 1 punched, 1 relay`.
    fn summary(&self) -> String {
        let rungs = Rung::LADDER.map(Rung::name).into_iter().map(Some).chain([None]);
        let count = |rung: Option<&str>| {
            self.links.iter().filter(|pair| pair.rung.as_deref() == rung).count()
        };
        let counts: Vec<_> = rungs
            .map(|rung| (count(rung), rung.unwrap_or("not linked")))
            .filter(|(count, _)| *count > 0)
            .map(|(count, name)| format!("{count} {name}"))
            .collect();
        match self.links.len() {
            0 => "no other process".to_owned(),
            1 => format!("1 link: {}", counts.join(", ")),
            links => format!("{links} links: {}", counts.join(", ")),
        }
    }
}

fn lowest(row: &Row) -> Option<usize> {
    row.ranks.iter().min().copied()
}

/// `3`, `0-15` or `0,4,8`.
fn numbers(ranks: &[usize]) -> String {
    match ranks {
        [first, .., last] if last - first + 1 == ranks.len() && ranks.is_sorted() => {
            format!("{first}-{last}")
        }
        _ => ranks.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(rank: usize, rung: Option<&str>, attempts: Vec<Attempt>) -> Seen {
        let channel = rung.map(|_| "tcp".to_owned());
        Seen { rank, channel, rung: rung.map(str::to_owned), attempts }
    }

    fn attempt(rung: &str, outcome: Result<f64, &str>) -> Attempt {
        Attempt {
            rung: rung.to_owned(),
            way: "tcp 10.0.0.7:1".to_owned(),
            millis: outcome.ok(),
            failed: outcome.err().map(str::to_owned),
        }
    }

    #[test]
    fn both_ends_make_one_line() {
        let table = Table::new(vec![
            Row {
                ranks: vec![0, 1],
                seen: vec![
                    seen(2, Some("punched"), vec![attempt("direct", Err("refused"))]),
                    seen(3, None, vec![]),
                ],
            },
            Row {
                ranks: vec![2],
                seen: vec![
                    seen(0, Some("punched"), vec![attempt("punched", Ok(4.25))]),
                    seen(3, Some("direct"), vec![]),
                ],
            },
            Row { ranks: vec![3], seen: vec![seen(0, None, vec![]), seen(2, None, vec![])] },
        ]);
        assert!(!table.ok);
        let right = "\
0-1 - 2         punched   tcp
                -> direct, tcp 10.0.0.7:1, from rank 0: refused
                -> punched, tcp 10.0.0.7:1, from rank 2: linked in 4.2 ms
0-1 - 3         none
2 - 3           direct    tcp
3 links: 1 direct, 1 punched, 1 not linked
";
        assert_eq!(table.text(), right);
        let json: serde_json::Value = serde_json::to_value(&table).unwrap();
        assert_eq!(json["links"][0]["attempts"][1]["by"], 2);
        assert_eq!(json["links"][1]["rung"], serde_json::Value::Null);
    }

    #[test]
    fn alone() {
        let table = Table::new(vec![Row { ranks: vec![0], seen: vec![] }]);
        assert!(table.ok);
        assert_eq!(table.text(), "no other process\n");
    }
}
