//! The actors under `fmi`: ranks, channels, supervisor, service thread, mailbox and pair layer.
//!
//! This crate speaks bytes. Everything typed is in `fmi-collectives`; users depend on `fmi` alone.

pub mod codec;
mod error;

pub use error::{Error, Reason, Result};
