//! The `fmi` program from outside: the real binary, real processes, each test with a time limit.

mod bench;
mod bill;
mod doctor;
mod explain;
#[cfg(feature = "s3")]
#[path = "../../../fmi-channels/tests/s3/faults.rs"]
#[allow(dead_code, reason = "other tests break more")]
mod faults;
mod folder;
mod ranks;
#[cfg(feature = "redis")]
mod redis;
mod rendezvous;
mod run;
#[cfg(feature = "s3")]
mod s3;
#[cfg(feature = "s3")]
#[path = "../../../fmi-channels/tests/s3/server.rs"]
#[allow(dead_code, reason = "other tests ask more of it")]
mod server;
mod support;
