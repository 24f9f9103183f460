//! Directories of contents under names: the same tests over each kind of place.

mod folder;
mod ground;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
mod redis_server;
#[cfg(feature = "s3")]
mod s3;
#[cfg(feature = "s3")]
#[path = "../s3/plain.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod s3_server;
mod suite;
