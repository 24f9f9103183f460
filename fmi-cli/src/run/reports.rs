//! What the processes have reported: files in the job's folder, see `src/report.rs` of the library.

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use std::{
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// When ranks began, in ms since the job was started.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Start {
    pub(super) first_ms: f64,
    pub(super) last_ms: f64,
    pub(super) spread_ms: f64,
}

/// What one process says of its ranks.
#[derive(Debug, Deserialize)]
struct Joined {
    ranks: Vec<u32>,
    first_us: u64,
    last_us: u64,
}

/// The reports of a job.
#[derive(Debug, Clone)]
pub(super) struct Reports {
    folder: PathBuf,
    since: SystemTime,
}

impl Reports {
    /// Of a job that starts now.
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), since: SystemTime::now() }
    }

    /// Ranks that are the first of a process that has begun.
    pub(super) fn heads(&self) -> Vec<usize> {
        self.files("joined").filter_map(|(number, _)| usize::try_from(number).ok()).collect()
    }

    /// If all ranks have begun, when they did.
    pub(super) fn start(&self, ranks: usize) -> Option<Start> {
        let all: Vec<Joined> = self
            .files("joined")
            .filter_map(|(_, path)| serde_json::from_slice(&fs::read(path).ok()?).ok())
            .collect();
        if all.iter().map(|joined| joined.ranks.len()).sum::<usize>() < ranks {
            return None;
        }
        let since = self.since.duration_since(UNIX_EPOCH).ok()?.as_micros() as f64;
        let ms = |us: u64| ((us as f64 - since) / 10.0).round() / 100.0;
        let first = all.iter().map(|joined| joined.first_us).min().map(ms)?;
        let last = all.iter().map(|joined| joined.last_us).max().map(ms)?;
        let spread = ((last - first) * 100.0).round() / 100.0;
        Some(Start { first_ms: first, last_ms: last, spread_ms: spread })
    }

    /// What the ranks have finished with, in their order; `None` if none has with anything.
    pub(super) fn results(&self, ranks: usize) -> Option<Vec<Box<RawValue>>> {
        let null = || serde_json::value::to_raw_value(&Value::Null).ok();
        let mut results = Vec::new();
        for (number, path) in self.files("result") {
            let Some(text) = fs::read_to_string(path).ok() else { continue };
            let Ok(value) = RawValue::from_string(text) else { continue };
            if let Some(rank) = usize::try_from(number).ok().filter(|rank| *rank < ranks) {
                results.push((rank, value));
            }
        }
        if results.is_empty() {
            return None;
        }
        results.sort_by_key(|(rank, _)| *rank);
        let mut results = results.into_iter().peekable();
        (0..ranks)
            .map(|rank| match results.next_if(|(whose, _)| *whose == rank) {
                Some((_, value)) => Some(value),
                None => null(),
            })
            .collect()
    }

    fn files(&self, kind: &'static str) -> impl Iterator<Item = (u64, PathBuf)> {
        let all = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        all.filter_map(move |entry| {
            let path = entry.path();
            let number = path.file_stem()?.to_str()?.parse().ok()?;
            (path.extension()? == kind).then_some((number, path))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_begin_before_it_is_said_when() {
        let folder = tempfile::tempdir().unwrap();
        let reports = Reports { folder: folder.path().to_owned(), since: UNIX_EPOCH };
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("0.joined", r#"{"ranks":[0,1],"first_us":5000,"last_us":7000}"#);
        write(".2.joined-1", "half");
        assert_eq!((reports.start(3), reports.heads()), (None, vec![0]));
        write("2.joined", r#"{"ranks":[2],"first_us":6000,"last_us":6000}"#);
        let start = Start { first_ms: 5.0, last_ms: 7.0, spread_ms: 2.0 };
        assert_eq!(reports.start(3), Some(start));
    }

    #[test]
    fn results_are_in_the_order_of_ranks() {
        let folder = tempfile::tempdir().unwrap();
        let reports = Reports::new(folder.path());
        assert!(reports.results(3).is_none());
        for (name, text) in [("10.result", "[1]"), ("2.result", "{\"a\":1}"), ("1.result", "{")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let results = reports.results(4).unwrap();
        assert_eq!(serde_json::to_string(&results).unwrap(), "[null,null,{\"a\":1},null]");
    }
}
