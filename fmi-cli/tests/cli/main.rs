//! The `fmi` program from outside: the real binary, real processes, each test with a time limit.

mod bench;
mod bill;
mod doctor;
mod explain;
mod folder;
mod ranks;
#[cfg(feature = "redis")]
mod redis;
mod rendezvous;
mod run;
#[cfg(feature = "s3")]
mod s3;
#[cfg(feature = "s3")]
#[path = "../../../fmi-channels/tests/s3/plain.rs"]
#[allow(dead_code, reason = "the tests of directories use the rest")]
mod s3_server;
mod support;
