//! Ranks that take turns: processes on the cores of their machine, ranks of one process on its threads.

use crate::Seconds;
use serde::{Deserialize, Serialize};

/// What it takes that there are more processes than cores, or inside of a process more ranks than threads: it depends
/// on how a channel's readers wait, and on what wakes them.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Turns {
    /// What it takes a core to turn to another process, a thread to another rank.
    #[serde(skip_serializing_if = "Seconds::is_zero")]
    pub switch: Seconds,
    /// What it takes an idle core to go on. Where each process has a core nobody sleeps so deeply, and the channel's
    /// latency has it.
    #[serde(skip_serializing_if = "Seconds::is_zero")]
    pub idle: Seconds,
    /// What each further process takes of a core before it comes to the one that can go on: it looks, and finds
    /// nothing.
    #[serde(skip_serializing_if = "Seconds::is_zero")]
    pub look: Seconds,
    /// What each byte takes longer, on either side, for each further process of a core: it has left the cache, and
    /// windows fill while nobody reads.
    #[serde(skip_serializing_if = "Seconds::is_zero")]
    pub per_byte: Seconds,
}

impl Turns {
    /// They take no time.
    pub const NOTHING: Self = Self {
        switch: Seconds::ZERO,
        idle: Seconds::ZERO,
        look: Seconds::ZERO,
        per_byte: Seconds::ZERO,
    };

    /// Whether they take no time.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::NOTHING
    }

    /// What it takes a core to turn to another one of so many processes that share so many cores.
    #[must_use]
    pub fn turn(&self, processes: usize, cores: usize) -> Seconds {
        self.switch + self.look * further(processes, cores)
    }

    /// What it takes an idle one until it goes on.
    #[must_use]
    pub fn wake(&self, processes: usize, cores: usize) -> Seconds {
        match processes > cores {
            true => self.idle + self.look * further(processes, cores),
            false => Seconds::ZERO,
        }
    }

    /// What each byte takes longer.
    #[must_use]
    pub fn byte(&self, processes: usize, cores: usize) -> Seconds {
        self.per_byte * further(processes, cores)
    }

    /// All times, by their names.
    pub(super) fn times_mut(&mut self) -> [(&'static str, &mut Seconds); 4] {
        [
            ("switch", &mut self.switch),
            ("idle", &mut self.idle),
            ("look", &mut self.look),
            ("per_byte", &mut self.per_byte),
        ]
    }
}

/// How many processes a core has besides the one that runs.
fn further(processes: usize, cores: usize) -> f64 {
    processes.saturating_sub(cores) as f64 / cores.max(1) as f64
}
