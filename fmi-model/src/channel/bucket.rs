//! The network of a function: a burst at full rate, then a trickle.

use crate::{Bandwidth, Bytes, Seconds};
use serde::{Deserialize, Serialize};

/// A token bucket: what a process sends goes at full rate until the burst is used up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// So many bytes at full rate.
    pub burst: Bytes,
    /// What each further byte takes.
    pub per_byte: Seconds,
}

impl Bucket {
    /// A burst and the rate that is sustained afterwards.
    #[must_use]
    pub fn new(burst: Bytes, sustained: Bandwidth) -> Self {
        Self { burst, per_byte: Bytes::new(1) / sustained }
    }

    /// How long so many bytes take at least, from a full bucket.
    #[must_use]
    pub fn time(&self, bytes: Bytes) -> Seconds {
        self.per_byte * bytes.get().saturating_sub(self.burst.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_burst_is_free() {
        let bucket = Bucket::new(Bytes::new(145_000_000), Bandwidth::new(78e6));
        assert_eq!(bucket.time(Bytes::new(100_000_000)), Seconds::ZERO);
        let half = bucket.time(Bytes::new(500_000_000)).get();
        assert!((half - 355.0 / 78.0).abs() < 1e-9);
    }
}
