//! What all ranks share that use a store.

use crate::{Bytes, Seconds};
use serde::{Deserialize, Serialize};

/// A server that answers one request after the other. Whoever comes while it is busy waits.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// How long any request keeps it busy.
    pub request: Seconds,
    /// How long each byte of it does.
    pub per_byte: Seconds,
}

impl Server {
    /// How long a request keeps it busy.
    #[must_use]
    pub fn busy(&self, bytes: Bytes) -> Seconds {
        self.request + self.per_byte * bytes.get()
    }
}
