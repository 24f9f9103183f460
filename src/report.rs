//! What a process tells the launcher: files in a folder that this names, `FMI_REPORT`.
//!
//! ```text
//! 0-15.joined   the ranks of a process have begun: when the first and the last
//! 3.result      what rank 3 has finished with, as JSON
//! ```
//!
//! Each is there whole or not at all. The launcher reads them as `fmi-cli/src/run/reports.rs` says.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use fmi_actors::{Error, Result};
use parking_lot::Mutex;

use crate::config::written;

/// Bytes of one rank's result.
const MOST: usize = 64 << 20;

/// The reports of a process.
#[derive(Debug)]
pub(crate) struct Report {
    folder: PathBuf,
    ranks: Vec<u32>,
    /// Since the epoch of Unix, in µs, of ranks that have begun.
    begun: Mutex<Vec<u64>>,
}

impl Report {
    pub(crate) fn new(folder: &Path, ranks: &[u32]) -> Arc<Self> {
        let (folder, begun) = (folder.to_owned(), Mutex::default());
        Arc::new(Self { folder, ranks: ranks.to_vec(), begun })
    }

    /// A rank's `main` begins.
    pub(crate) fn begins(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut begun = self.begun.lock();
        begun.push(u64::try_from(now.as_micros()).unwrap_or(u64::MAX));
        if begun.len() < self.ranks.len() {
            return;
        }
        let (first, last) = (begun.iter().min().copied(), begun.iter().max().copied());
        let text = serde_json::json!({ "ranks": self.ranks, "first_us": first, "last_us": last });
        let name = format!("{}.joined", self.ranks.first().copied().unwrap_or_default());
        let file = self.folder.join(name);
        if let Err(error) = written(&file, text.to_string().as_bytes()) {
            tracing::warn!("{} cannot be written: {error}", file.display());
        }
    }

    /// What a rank has finished with.
    pub(crate) fn result(&self, rank: usize, json: &str) -> Result<()> {
        let wrong = |message: String| Error::Argument { operation: "finish", message };
        if json.len() > MOST {
            return Err(wrong(format!(
                "the result has {} bytes, and the launcher takes {MOST}: leave it in a file or a store",
                json.len()
            )));
        }
        let file = self.folder.join(format!("{rank}.result"));
        written(&file, json.as_bytes())
            .map_err(|error| wrong(format!("{} cannot be written: {error}", file.display())))
    }
}
