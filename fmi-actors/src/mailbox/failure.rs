//! Why a wait ends without a message.

use crate::{Error, Payload, Reason, codec, frame::Signature};
use serde::{Deserialize, Serialize};

/// Why a wait ends without a message. Travels in notices (rule 6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// A rank (world number) is gone.
    Lost {
        /// Which.
        rank: u32,
        /// Why.
        reason: Reason,
    },
    /// A rank gave up the collective.
    Abandoned {
        /// Which.
        rank: u32,
        /// Why.
        reason: Reason,
    },
    /// Two ranks disagree about the collective.
    Mismatch {
        /// A rank and what it called.
        left: (u32, Signature),
        /// Another rank and what that one called.
        right: (u32, Signature),
    },
    /// The rank was closed.
    Closed,
    /// There is no memory for the message.
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// A store refuses, or could not be reached.
    Store {
        /// Which one.
        store: String,
        /// What was attempted.
        what: String,
        /// What it says.
        reason: String,
    },
    /// A store has lost what was put there.
    Forgotten {
        /// Which one.
        store: String,
        /// What is lost.
        what: String,
    },
}

impl Failure {
    /// What a store says.
    #[must_use]
    pub fn of_store(name: &str, error: Error) -> Self {
        match error {
            Error::Store { store, what, reason } => Self::Store { store, what, reason },
            Error::Lost { store, what } => Self::Forgotten { store, what },
            Error::TooLarge { bytes } => Self::TooLarge { bytes },
            other => Self::Store {
                store: name.to_owned(),
                what: "a payload".to_owned(),
                reason: other.to_string(),
            },
        }
    }

    /// As it travels in the place of a payload.
    pub(crate) fn to_payload(&self) -> Payload {
        let bytes = codec::encode(self).unwrap_or_default();
        // Empty would say that the payload is there.
        Payload::from_vec(if bytes.is_empty() { vec![0xff] } else { bytes })
    }

    /// From where a payload should have been.
    pub(crate) fn from_payload(payload: &Payload) -> Self {
        codec::decode(payload.bytes().unwrap_or_default()).unwrap_or_else(|_| Self::Store {
            store: "the sender's store".to_owned(),
            what: "a payload".to_owned(),
            reason: "it could not be put there".to_owned(),
        })
    }
}
