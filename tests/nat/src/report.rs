//! What a `nat-peer` prints: a line of JSON for each thing that happened.

use serde::{Deserialize, Serialize};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Report {
    /// The job is complete.
    Joined {
        /// Of the process that says so.
        rank: usize,
    },
    /// A link is up, and has carried messages both ways.
    Linked(Linked),
    /// A part of what is to be transferred has arrived.
    Progress {
        /// How much, in hundredths.
        percent: u64,
    },
    /// All has arrived, once, in order and unchanged.
    Transferred {
        /// How long it took.
        ms: f64,
    },
    /// The links to all others are up.
    Mesh {
        /// From the first to the last, from this rank's view.
        ms: f64,
        /// One for each other rank.
        links: Vec<Ended>,
    },
    /// An operation has failed.
    Failed {
        /// What the error says.
        error: String,
        /// The rank that it names, if it names one.
        names: Option<usize>,
    },
}

/// How a link came up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Linked {
    /// Milliseconds from the first send until the answer was there.
    pub answered_ms: f64,
    /// Links that were seen, one after the other, each with the milliseconds from the first send.
    pub links: Vec<(f64, Ended)>,
    /// What was tried to get there, as people read it.
    pub attempts: Vec<String>,
}

/// What a link is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ended {
    /// The rank at its other end.
    pub rank: usize,
    /// Name of its channel.
    pub channel: String,
    /// `direct`, `punched` or `relay`.
    pub rung: String,
}

impl Linked {
    /// The link that was there at last.
    #[must_use]
    pub fn last(&self) -> Option<&Ended> {
        self.links.last().map(|(_, link)| link)
    }
}
