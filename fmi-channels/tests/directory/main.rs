//! Directories of contents under names: the same tests over each kind of place.

mod folder;
mod ground;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
mod redis_server;
mod suite;
