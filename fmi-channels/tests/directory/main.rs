//! Directories of contents under names: the same tests over each kind of place.

mod folder;
mod ground;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "s3")]
mod s3;
mod suite;
