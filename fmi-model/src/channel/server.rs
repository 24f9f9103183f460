//! What all ranks share that use a store.

use crate::{Bytes, Seconds};
use serde::{Deserialize, Serialize};

/// A server that answers one request after the other. Whoever comes while it is busy waits.
///
/// Elsewhere, what it does is a part of what its clients' requests take: a leg of the channel has it.
/// [Here](Self::here) it is not, because it is work of a core that ranks want, too.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// How long any request keeps it busy.
    pub request: Seconds,
    /// How long each byte of it does.
    pub per_byte: Seconds,
    /// Whether it runs on the machine of the ranks, on one of the cores that they share.
    #[serde(skip_serializing_if = "is_false")]
    pub here: bool,
}

fn is_false(here: &bool) -> bool {
    !here
}

impl Server {
    /// How long a request keeps it busy.
    #[must_use]
    pub fn busy(&self, bytes: Bytes) -> Seconds {
        self.request + self.per_byte * bytes.get()
    }
}
