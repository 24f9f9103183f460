//! Equal replicas of a service: whichever receives a request forms a communicator for it.
//!
//! ```text
//! client ── POST /clusters ──▶ replica (rank 0) ── POST /internal/ready ──▶ the others: who has room?
//!                                  │            ── POST /internal/join  ──▶ those: job, rank, size, rendezvous
//!                                  ◀──── they meet at its rendezvous, compute, and leave ────▶
//!                                  ◀──────── and only then answer /internal/join ────────────
//! ```
//!
//! An invitation is a request that lasts as long as the part of the one who is invited. So whatever
//! ends one of both ends the other: a client that leaves drops its handler here, with it the
//! connections to the others, and so their handlers and their ranks. No task outlives its request.
//!
//! [`work`] is what they compute, and all that another service has to replace; `group` forms and
//! dissolves, `peers` knows who else is there, `proof` guards what replicas tell each other, `http` is
//! plain axum, `settings` the environment.

mod group;
mod http;
mod peers;
mod proof;
mod settings;
pub mod work;

pub use group::{Refusal, Replica};
pub use http::router;
pub use settings::Settings;
