//! The rendezvous: the place where the processes of a job find each other.
//!
//! A process [registers](Client::connect) with the list of its ranks. When all ranks of the job
//! have come, every process gets the list of all [members](Member); from then on it hears when
//! one is gone, leaves or fails. The rendezvous carries no messages between ranks, and a job that
//! is complete survives its loss. When a process is gone, its job is broken: survivors (with
//! [`After`] in their registration) and newcomers form the job's next epoch.
//!
//! | part | what | I/O |
//! |---|---|---|
//! | `job` | one job: who has which rank, and the log that all its processes read | none |
//! | `regroup` | how long a broken job's next epoch waits for whom | none |
//! | `hall` | all jobs, epochs, limits | none |
//! | `pulse` | when a connection counts as dead | none |
//! | `protocol` | requests and answers | none |
//! | `wire` | frames on a stream, bounded | any stream |
//! | `server` | a task a connection around the hall | TCP |
//! | `client`, `session` | registration, and the task that keeps it | TCP |
//!
//! Every connection opens with the [handshake](crate::handshake). TCP here is authenticated, not
//! encrypted: job names and addresses can be read on the way.

mod client;
mod hall;
mod job;
mod protocol;
mod pulse;
mod regroup;
mod server;
mod session;
mod wire;

pub use client::{Client, Event};
pub use protocol::{After, Member, Ranks, Registered, Registration, Terms};
pub use server::{Options, Server};
