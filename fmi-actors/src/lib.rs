//! The actors under `fmi`: ranks, channels, supervisor, service thread, mailbox and pair layer.
//!
//! This crate speaks bytes. Everything typed is in `fmi-collectives`; users depend on `fmi` alone.

pub mod actor;
mod another_core;
mod awaited;
mod board;
pub mod channel;
pub mod clock;
pub mod codec;
pub mod copies;
pub mod endpoint;
mod error;
pub mod frame;
pub mod home;
pub mod keeper;
pub mod mailbox;
pub mod meter;
mod node;
pub mod pair;
mod payload;
mod peer;
mod reads;
mod rejoin;
mod roster;
pub mod service;
mod sleeper;
pub mod store;

pub use awaited::Awaited;
pub use board::SIGNAL;
pub use endpoint::Endpoint;
pub use error::{Error, NoRejoin, Reason, Result};
pub use node::{Goodbye, Node, Place, Settings};
pub use payload::{AlignedBuf, Payload};
pub use peer::{LinkRank, Member, Mesh, Peer, PeerAttempt};
pub use rejoin::{Regroup, Successor};
pub use roster::Roster;

use clock::{Clock, SystemClock, Time};

/// The time now, on the machine's clock.
#[must_use]
pub fn now() -> Time {
    SystemClock.now()
}

/// Spreads every bit over all others (the finaliser of splitmix64), for ids and dice that must be
/// the same on all ranks and in every run.
#[must_use]
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
