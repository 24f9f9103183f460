//! The contract between the core and a channel.
//!
//! A channel makes [`Link`]s. A link joins two processes and carries the frames of all their
//! ranks; it promises at-least-once, unordered delivery, no more. What it receives it gives to
//! [`Node::accept`]. Every channel passes the conformance suite in `fmi-channels`.

use crate::{Node, frame::Frame, pair::Path};
use futures::future::BoxFuture;
use std::{fmt, net::IpAddr, sync::Arc};

/// A kind of wire.
pub trait Channel: fmt::Debug + Send + Sync {
    /// Its name in `FMI_CHANNELS` and in reports.
    fn name(&self) -> &'static str;

    /// The address that other processes reach this one at, if they can dial it. `own` is this
    /// side's address of a connection out of the machine.
    fn address(&self, own: IpAddr) -> Option<String>;

    /// Begins to accept links. Called once, on the service thread.
    fn start(&self, node: &Arc<Node>);

    /// Dials a process at the address that it registered. Runs on the service thread; the
    /// caller retries. The link must be [attached](crate::Peer::attach) by the channel.
    fn dial(
        &self,
        node: Arc<Node>,
        process: u32,
        address: String,
    ) -> BoxFuture<'static, Result<(), DialError>>;

    /// Stops accepting.
    fn stop(&self);
}

/// Why a link did not come about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct DialError {
    /// What happened.
    pub reason: String,
    /// Trying again is pointless (another token, say).
    pub fatal: bool,
}

/// A live connection to another process.
pub trait Link: fmt::Debug + Send + Sync {
    /// Name of its channel.
    fn channel(&self) -> &'static str;

    /// What it can do.
    fn path(&self) -> Path;

    /// What it would take without keeping it waiting for long.
    fn room(&self) -> Room;

    /// Another handle to the link, for one pair: where the link itself costs next to nothing, a
    /// count that all cores share would be most of its price.
    fn handle(&self) -> Option<Arc<dyn Link>> {
        None
    }

    /// Takes a frame, whatever [`room`](Self::room) said: callers ask first. From any thread.
    fn send(&self, frame: Frame);

    /// Moves what can be moved without blocking, both ways; true if something moved. From any
    /// thread; several may try at once.
    fn progress(&self) -> bool;

    /// Drives the link on the runtime that polls this, until the link is dead. Two may run at
    /// once, one a [`Seat`].
    fn drive(self: Arc<Self>, seat: Seat) -> BoxFuture<'static, ()>;

    /// Closes in good order: what was taken is written first, as far as it goes.
    fn close(&self);
}

/// What a link takes now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// Nothing.
    None,
    /// Collective and control frames.
    Reserved,
    /// Any frame.
    User,
}

/// Who drives a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seat {
    /// The arbiter of the ranks that use it.
    Home = 0,
    /// The service thread, while that arbiter computes.
    Service = 1,
}
