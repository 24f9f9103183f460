//! What others have measured, and how well the model predicts it.
//!
//! The tables are in `fmi-model/published/`, with their source. [`Fitted`] finds the parameters of each
//! channel from point-to-point transfers and a fan-out to 8; [`validate`](validate::validate) predicts everything else from them, by
//! playing FMI's own algorithms through ([`algorithms`]), and puts the model that FMI's authors
//! published beside ([`authors`]).

pub mod algorithms;
pub mod authors;
pub mod cells;
mod fitted;
mod tables;
pub mod validate;

pub use fitted::{Fitted, profile};
pub use tables::{Collective, FanOut, KMeans, Tables, Transfer};

use serde::{Deserialize, Serialize};
use std::fmt;

/// A channel of FMI's that was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Hole-punched TCP.
    Direct,
    /// One `cache.t3.small`.
    Redis,
    /// S3.
    S3,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Direct, Self::Redis, Self::S3];

    /// As in the tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Redis => "redis",
            Self::S3 => "s3",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
