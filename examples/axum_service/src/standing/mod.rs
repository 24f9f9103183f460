//! One group that lasts: rank 0 serves HTTP and drives, the others serve what it asks.
//!
//! [`work`] is what they compute, [`group`] keeps rank 0 in a working group, [`worker`] the others,
//! [`http`] is plain axum.

pub mod group;
pub mod http;
pub mod work;
pub mod worker;
