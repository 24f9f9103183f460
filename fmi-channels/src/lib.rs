//! The wires of `fmi`, one folder a channel, and the rendezvous by which processes find each
//! other.

#[cfg(any(feature = "redis", feature = "s3"))]
mod account;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "tcp")]
pub mod dial;
#[cfg(feature = "meet")]
pub mod directory;
#[cfg(any(feature = "quic", feature = "redis"))]
mod engine;
#[cfg(any(feature = "tcp", feature = "redis"))]
mod events;
#[cfg(feature = "tcp")]
mod framing;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
#[cfg(feature = "tcp")]
pub mod greeting;
#[cfg(feature = "meet")]
pub mod handshake;
#[cfg(any(feature = "redis", feature = "s3"))]
mod hidden;
#[cfg(feature = "tcp")]
pub mod identity;
#[cfg(feature = "tcp")]
mod interfaces;
#[cfg(feature = "tcp")]
mod listen;
pub mod local;
#[cfg(feature = "tcp")]
pub mod outside;
#[cfg(feature = "tcp")]
pub mod punch;
#[cfg(feature = "quic")]
pub mod quic;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "tcp")]
pub mod relay;
#[cfg(feature = "meet")]
pub mod rendezvous;
#[cfg(feature = "s3")]
pub mod s3;
#[cfg(all(feature = "shm", target_os = "linux"))]
pub mod shm;
pub mod sim;
#[cfg(feature = "tcp")]
pub mod tcp;
#[cfg(any(feature = "quic", feature = "redis"))]
mod watch;
