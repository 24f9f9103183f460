//! Deadlines and bounds on memory.

use std::time::Duration;

/// How long to wait for what. Every wait of the library has one of these deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deadlines {
    /// Until all ranks of the job have joined. 60 s if not set.
    pub join: Duration,
    /// A peer that gives no sign of life for so long is lost. 10 s if not set.
    pub silent: Duration,
    /// One operation on peers that are alive. 15 min if not set.
    pub operation: Duration,
    /// After a loss, how long the ranks that rejoin wait for replacements of those that are gone
    /// before they go on without; at most half of `join`. 5 s if not set.
    pub grace: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            join: Duration::from_secs(60),
            silent: Duration::from_secs(10),
            operation: Duration::from_secs(15 * 60),
            grace: Duration::from_secs(5),
        }
    }
}

/// Bounds on memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// What may wait to be sent to one peer; then `send` waits. One message of any size fits an
    /// empty outbox. 4 MiB if not set.
    pub outbox: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { outbox: 4 << 20 }
    }
}
