//! Links through real address translations: network namespaces of this machine, with nftables
//! between them, and processes of a job inside.
//!
//! | part | what |
//! |---|---|
//! | [`lab`] | an internet with address translations and firewalls, made and removed in milliseconds |
//! | [`job`] | a rendezvous in it, and processes (`nat-peer`) that do a task and report |
//! | [`report`] | what they report |
//!
//! It needs root, `ip` and `nft`. [`lab::missing`] says what is not there; tests then print it and
//! end.

pub mod job;
pub mod lab;
pub mod report;
