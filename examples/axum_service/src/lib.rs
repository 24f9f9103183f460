//! Ranks inside of an axum service, in two ways.
//!
//! [`per_request`]: equal replicas; whichever receives a request forms a communicator with the
//! others for it, and dissolves it with the answer. [`standing`]: one group that lasts, whose rank 0
//! serves HTTP and whose other ranks serve what it asks. README.md says which is for whom.

pub mod per_request;
pub mod shutdown;
pub mod standing;
