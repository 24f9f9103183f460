//! Why hole punching has not led to a link.

use serde::{Deserialize, Serialize};

/// Why an attempt has failed, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// Nobody can say where to fire.
    #[error("symmetric address translation on both sides: its ports cannot be predicted")]
    Symmetric,
    /// One side's port is unknown, and the other lets in only whom it has fired at.
    #[error(
        "symmetric address translation on one side, and the other lets in only whom it has called"
    )]
    Filtered,
    /// What came too soon was refused, and nothing crossed.
    #[error("an address translation refuses what comes before it has let something out")]
    Refused,
    /// All shots were lost.
    #[error("nothing comes through")]
    Silent,
    /// The other side has not answered the call.
    #[error("the other side does not answer")]
    NoAnswer,
    /// The two have no address at which one could reach the other.
    #[error("there is no address to fire at")]
    NoAddress,
    /// One side does not want a link any more, or has none of this kind.
    #[error("given up")]
    Withdrawn,
    /// The side that says so has a link, which the other will see, too.
    #[error("there is a link already")]
    Linked,
}
