//! What a job has cost: each process leaves its bill in a folder when it leaves the job.

use crate::failure::Failure;
use fmi::meter::Bill;
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// How a bill is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people.
    Table,
    /// One line.
    Json,
    /// The text format of Prometheus.
    Prometheus,
}

impl Format {
    /// What the name of a file asks for.
    pub(super) fn of(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()? {
            "json" => Some(Self::Json),
            "prom" => Some(Self::Prometheus),
            _ => None,
        }
    }

    pub(super) fn text(self, bill: &Bill) -> Result<String, Failure> {
        match self {
            Self::Table => Ok(bill.to_string()),
            Self::Json => {
                serde_json::to_string(bill).map_err(|error| Failure::new(error.to_string()))
            }
            Self::Prometheus => Ok(bill.prometheus()),
        }
    }
}

/// Whole or not at all: whoever collects such files may be quick.
pub(super) fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let wrong = |error: std::io::Error| {
        Failure::new(format!("the bill cannot be written to {}: {error}", file.display()))
    };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut draft = tempfile::NamedTempFile::new_in(folder).map_err(wrong)?;
    writeln!(draft, "{}", text.trim_end()).map_err(wrong)?;
    let file = draft.persist(file).map_err(|error| wrong(error.error))?;
    // It is no secret, unlike what temporary files mostly hold.
    readable(&file).map_err(wrong)
}

#[cfg(unix)]
fn readable(file: &fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_: &fs::File) -> std::io::Result<()> {
    Ok(())
}

/// The folder, until this is dropped.
#[derive(Debug)]
pub(super) struct Bills(TempDir);

impl Bills {
    /// Below `base`, or where temporary files go.
    pub(super) fn new(base: Option<PathBuf>) -> Result<Self, Failure> {
        let base = base.unwrap_or_else(std::env::temp_dir);
        Ok(Self(tempfile::Builder::new().prefix("fmi-run-").tempdir_in(base)?))
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    /// All of them together; `None` if no process has left one: it was killed, or is no program of
    /// ours.
    pub(super) fn sum(&self) -> Option<Bill> {
        let files = fs::read_dir(self.0.path()).ok()?.flatten().map(|entry| entry.path());
        let whole = files.filter(|path| path.extension().is_some_and(|kind| kind == "json"));
        let bills: Vec<Bill> =
            whole.filter_map(|path| serde_json::from_slice(&fs::read(path).ok()?).ok()).collect();
        (!bills.is_empty()).then(|| bills.iter().sum())
    }
}

/// For people.
pub(super) fn report(bill: &Bill, ranks: usize, processes: usize, seconds: f64) -> String {
    let ranks = if ranks == 1 { "1 rank".to_owned() } else { format!("{ranks} ranks") };
    let missing = match processes.saturating_sub(bill.processes) {
        0 => String::new(),
        missing => format!(" (without {missing} of {processes} processes, which left no bill)"),
    };
    format!("fmi run: {ranks}, {seconds} s, {}{missing}\n{bill}", bill.money())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bills_are_summed_up_whoever_wrote_what() {
        let bills = Bills::new(None).unwrap();
        assert_eq!(bills.sum(), None);
        let bill = Bill { processes: 1, ..Bill::default() };
        let text = serde_json::to_string(&bill).unwrap();
        for name in ["1.json", "2.json", ".half"] {
            fs::write(bills.folder().join(name), &text).unwrap();
        }
        fs::write(bills.folder().join("3.json"), "{").unwrap();
        let sum = bills.sum().unwrap();
        assert_eq!(sum.processes, 2);
        let report = report(&sum, 3, 3, 1.5);
        let first = report.lines().next().unwrap();
        assert_eq!(
            first,
            "fmi run: 3 ranks, 1.5 s, $0 (without 1 of 3 processes, which left no bill)"
        );
    }
}
