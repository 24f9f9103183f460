//! Directories: where the processes of a job find each other.
//!
//! A [`Directory`] takes a process' [`Registration`] and gives a [`Membership`]: who else is in the
//! job once all have come, and what happens to them from then on. The contract asks for little, so
//! that anything that keeps small values under names can be one.
//!
//! | directory | URL | what it needs | notes, so punching | relay, rejoin |
//! |---|---|---|---|---|
//! | `Server` | `tcp://`, `tls://` | `fmi rendezvous` | yes | yes |
//! | [`Shared`] | `file://` | a folder that all processes can write to | no | no |
//! | [`Shared`] | `redis://`, `rediss://` | a Redis server | no | no |
//! | [`Shared`] | `s3://` | a bucket | no | no |
//!
//! The last three are one directory ([`shared`]) over a small contract of names (`names`), which
//! each kind of place fulfils in a file of its own.

mod folder;
pub(crate) mod names;
#[cfg(feature = "tcp")]
mod server;
pub mod shared;

#[cfg(feature = "tcp")]
pub use server::Server;
pub use shared::Shared;

#[cfg(feature = "tcp")]
use crate::outside::Outside;
use crate::rendezvous::{Event, Member, Registration};
use fmi_actors::{Reason, Result, channel::Post, meter::Meter};
use futures::future::BoxFuture;
use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

/// A place where processes register. Used on a tokio runtime that keeps running.
pub trait Directory: fmt::Debug + Send + Sync {
    /// Takes a place in a job; tries until `deadline`, which also holds for
    /// [`Membership::complete`].
    fn register<'a>(
        &'a self,
        registration: Register<'a>,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<Arc<dyn Membership>>>;
}

/// The registration of a process that others are likely to reach at this address.
pub type Register<'a> = Box<dyn FnMut(IpAddr) -> Registration + Send + 'a>;

/// A place in a job. Dropped without [`leave`](Self::leave), it is a death: the others are told.
pub trait Membership: fmt::Debug + Send + Sync {
    /// Waits until all ranks of the job have registered. May be called again.
    fn complete(&self) -> BoxFuture<'_, Result<Formed>>;

    /// The next event, or `None` if nothing more can come. Cancel-safe.
    fn event(&self) -> BoxFuture<'_, Option<Event>>;

    /// Tells all others that a rank failed. Does not wait; [`leave`](Self::leave) does.
    fn abort(&self, rank: u32, reason: Reason);

    /// Leaves in good order, within seconds.
    fn leave(&self) -> BoxFuture<'_, ()>;

    /// Who carries notes between processes that have no link, if this directory can.
    fn post(&self) -> Option<Arc<dyn Post>> {
        None
    }

    /// From now on this meter counts what the directory asks of a store, and what it has asked.
    fn charge(&self, _meter: &Arc<Meter>) {}

    /// What can be learnt here of the way out, if there is somebody to ask.
    #[cfg(feature = "tcp")]
    fn outside(&self) -> Option<Outside> {
        None
    }
}

/// A complete job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Formed {
    /// Number of this process.
    pub process: u32,
    /// Which run of the job it is.
    pub epoch: u32,
    /// All processes.
    pub members: Arc<[Member]>,
    /// The model of time and money by which all go: the text of the lowest process that
    /// [has one](Registration::model), empty if none has.
    pub model: Arc<str>,
}
