//! The rendezvous: the place where the processes of a job find each other.
//!
//! A process [registers](Client::connect) with the list of its ranks. When all ranks of the job
//! have come, every process gets the list of all [members](Member), and the model that one of them
//! brought for all; from then on it hears when
//! one is gone, leaves or fails. Processes without a link have
//! the rendezvous carry short [notes](Client::tell) between them; messages between ranks never pass
//! there, and a job that is complete survives its loss. When a process is gone, its job is broken: survivors (with
//! [`After`] in their registration) and newcomers form the job's next epoch.
//!
//! | part | what | I/O |
//! |---|---|---|
//! | `job` | one job: who has which rank, and the log that all its processes read | none |
//! | `models` | whose model becomes the group's | none |
//! | `regroup` | how long a broken job's next epoch waits for whom | none |
//! | `hall` | all jobs, epochs, limits | none |
//! | `pulse` | when a connection counts as dead | none |
//! | `protocol`, `event` | requests and answers, and what comes of them | none |
//! | `wire` | frames on a stream, bounded | any stream |
//! | `bucket`, `crowd` | how often somebody may do something | none |
//! | `letters` | notes that wait for those they are for | none |
//! | `mirror` | where sockets learn how they look from outside | TCP, UDP |
//! | `relay` | joins two connections into one | TCP |
//! | `counts`, `monitor` | what a server has done, for metrics | none |
//! | `tls`, `stream` | certificates, and connections with or without them | TCP |
//! | `tcpunch` | TCPunch's own protocol, on a port of its own | TCP |
//! | `server`, `floor`, `visit` | a task a connection around the hall | TCP |
//! | `client`, `session`, `post` | registration, the task that keeps it, and notes | TCP |
//!
//! Every connection opens with the [handshake](crate::handshake). It authenticates only: job names
//! and addresses can be read on the way, unless the server has a [`Certificate`].

#[cfg(feature = "tcp")]
mod bucket;
#[cfg(feature = "tcp")]
mod client;
#[cfg(feature = "tcp")]
mod counts;
#[cfg(feature = "tcp")]
mod crowd;
mod event;
#[cfg(feature = "tcp")]
mod floor;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
#[cfg(feature = "tcp")]
mod hall;
#[cfg(feature = "tcp")]
mod job;
#[cfg(feature = "tcp")]
mod letters;
#[cfg(feature = "tcp")]
pub mod mirror;
mod models;
#[cfg(feature = "tcp")]
mod monitor;
#[cfg(feature = "tcp")]
mod post;
mod protocol;
#[cfg(feature = "tcp")]
mod pulse;
#[cfg(feature = "tcp")]
mod regroup;
#[cfg(feature = "tcp")]
pub mod relay;
#[cfg(feature = "tcp")]
mod server;
#[cfg(feature = "tcp")]
mod session;
#[cfg(feature = "tcp")]
mod stream;
#[cfg(feature = "tcp")]
mod tcpunch;
#[cfg(feature = "tcp")]
mod tls;
#[cfg(feature = "tcp")]
mod visit;
#[cfg(feature = "tcp")]
mod wire;

pub use event::Event;
pub(crate) use models::Models;
pub(crate) use protocol::model;
pub use protocol::{After, MAX_MODEL, Member, MirrorPorts, Ranks, Registered, Registration, Terms};
#[cfg(feature = "tcp")]
pub use {
    client::{Client, Reach},
    monitor::{Figures, Monitor},
    post::Post,
    server::{Mirrors, Options, Server},
    tcpunch::TcPunch,
    tls::Certificate,
};
