//! What a simulation gives.

use super::Requests;
use std::{fmt::Debug, time::Duration};

/// How a simulation went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report<T> {
    /// How each rank ended.
    pub ends: Vec<End<T>>,
    /// When the last rank had its result.
    pub time: Duration,
    /// Messages in the longest chain in which each was sent after the one before it had
    /// arrived. Acknowledgements do not count.
    pub rounds: u32,
    /// Frames given to the wire.
    pub frames: u64,
    /// Their bytes, headers included.
    pub bytes: u64,
    /// Messages between processes. Frames that only keep a pair of ranks going, or bring a part of a
    /// message, are none.
    pub messages: u64,
    /// Bytes of the messages.
    pub payload: u64,
    /// Frames that got lost on it.
    pub lost: u64,
    /// Items that processes which lived to the end left in the store.
    pub stored: usize,
    /// What all processes have asked of the store. Where the links are a channel whose messages are
    /// [paid](fmi_model::channel::Requests), each of them counts, too.
    pub requests: Requests,
    /// A hash of every event and its time: equal for equal runs.
    pub trace: u64,
}

/// How a rank ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End<T> {
    /// With this value.
    Done(T),
    /// It was killed.
    Died,
    /// It waits for what cannot happen any more.
    Hung,
}

impl<T> Report<T> {
    /// What the ranks returned, in their order.
    ///
    /// # Panics
    /// When not all have.
    #[must_use]
    pub fn values(self) -> Vec<T> {
        let ends = self.ends.into_iter().enumerate();
        ends.map(|(rank, end)| match end {
            End::Done(value) => value,
            End::Died => panic!("rank {rank} has died"),
            End::Hung => panic!("rank {rank} hangs"),
        })
        .collect()
    }
}

impl<T> End<T> {
    /// The value, if there is one.
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(value) => Some(value),
            Self::Died | Self::Hung => None,
        }
    }
}
