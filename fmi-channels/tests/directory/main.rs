//! Directories of contents under names: the same tests over each kind of place.

#[cfg(feature = "s3")]
#[path = "../s3/faults.rs"]
#[allow(dead_code, reason = "the tests of the channel itself break more")]
mod faults;
mod folder;
mod ground;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
mod redis_server;
#[cfg(feature = "s3")]
mod s3;
#[cfg(feature = "s3")]
#[path = "../s3/server.rs"]
#[allow(dead_code, reason = "the tests of the channel itself use more of it")]
mod server;
mod suite;
