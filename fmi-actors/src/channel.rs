//! The contract between the core and a channel.
//!
//! A channel makes [`Link`]s. A link joins two processes and carries the frames of all their
//! ranks; it promises at-least-once, unordered delivery, no more. What it receives it gives to
//! [`Node::accept`]. A channel may know several [`Way`]s to a process; all ways of all channels make
//! up a ladder, which the core climbs. Every channel passes the conformance suite in `fmi-channels`.

use crate::{Member, Node, frame::Frame, pair::Path, store::Store};
use futures::future::BoxFuture;
use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

/// A kind of wire.
pub trait Channel: fmt::Debug + Send + Sync {
    /// Its name in `FMI_CHANNELS` and in reports.
    fn name(&self) -> &'static str;

    /// The address that other processes reach this one at, if they can dial it. `own` is this
    /// side's address of a connection out of the machine.
    fn address(&self, own: IpAddr) -> Option<String>;

    /// Begins to accept links. Called once, on the service thread.
    fn start(&self, node: &Arc<Node>);

    /// The ways to a process that this channel knows; none if it has no address of this channel.
    fn ways(&self, node: &Arc<Node>, to: &Member) -> Vec<Way>;

    /// A note that the same channel of another process has [sent](Node::tell). Called on the
    /// service thread.
    fn told(&self, _node: &Arc<Node>, _from: u32, _note: &[u8]) {}

    /// Stops accepting.
    fn stop(&self);

    /// Ready when nothing of this process is left anywhere else, after [`stop`](Self::stop).
    fn stopped(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Where processes can put what many read, if this channel has such a place.
    fn store(&self) -> Option<Arc<dyn Store>> {
        None
    }
}

/// A way to a process, which may lead there or not.
pub struct Way {
    /// Where it stands on the ladder.
    pub rung: Rung,
    /// For people: `tcp 10.0.0.1:4711`, `quic punched`.
    pub name: String,
    /// Better ways get this start before it is tried, unless they fail sooner.
    pub after: Duration,
    /// Tries once, on the service thread; the caller retries and limits the time. The channel
    /// [attaches](crate::Peer::attach) the link with the [rank](crate::Peer::next_rank) that a
    /// link of the quality given has.
    pub dial: Box<dyn Fn(u16) -> BoxFuture<'static, Result<(), DialError>> + Send + Sync>,
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Way").field("name", &self.name).field("rung", &self.rung).finish()
    }
}

/// How a link leads to the other process, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Rung {
    /// Through a store: a mailbox that one side writes and the other reads.
    Store,
    /// Through the rendezvous server, which cannot read it.
    Relay,
    /// Straight, through address translations and firewalls that both sides opened.
    Punched,
    /// Straight to an address of the process.
    Direct,
    /// It is on this machine, and both share memory.
    Machine,
    /// It is this process.
    Local,
}

impl Rung {
    /// Those that lead to other processes, the best first: the order in which they are preferred
    /// unless [`Settings::ladder`](crate::Settings::ladder) says otherwise.
    pub const LADDER: [Self; 5] =
        [Self::Machine, Self::Direct, Self::Punched, Self::Relay, Self::Store];

    /// Its name in the configuration and in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Relay => "relay",
            Self::Punched => "punched",
            Self::Direct => "direct",
            Self::Machine => "machine",
            Self::Local => "local",
        }
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Carries short notes between processes that have no link (yet): the rendezvous does.
pub trait Post: fmt::Debug + Send + Sync {
    /// Sends a note of a channel to the same channel of another process, at most once, without
    /// waiting. A note has at most [`MAX_NOTE`] bytes. Others may read it.
    fn tell(&self, process: u32, channel: &str, note: Vec<u8>);
}

/// Bytes that a note may have.
pub const MAX_NOTE: usize = 2048;

/// Why a link did not come about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct DialError {
    /// What happened.
    pub reason: String,
    /// Trying again is pointless (another token, say). It is tried once more all the same: damage on
    /// the way may look like that.
    pub fatal: bool,
}

impl DialError {
    /// One after which trying again makes sense.
    pub fn soft(reason: impl fmt::Display) -> Self {
        Self { reason: reason.to_string(), fatal: false }
    }
}

/// A live connection to another process.
pub trait Link: fmt::Debug + Send + Sync {
    /// Name of its channel.
    fn channel(&self) -> &'static str;

    /// How it leads to the other process.
    fn rung(&self) -> Rung;

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

    /// Whether it is memory: a look costs no system call, and whoever sends has to know whether
    /// anybody looks ([`park`](Self::park)).
    fn in_memory(&self) -> bool {
        false
    }

    /// Who looked with [`progress`](Self::progress) is about to sleep: what comes from now on has to wake
    /// the driver. True if something has come already.
    fn park(&self) -> bool {
        false
    }

    /// Whether what is under way keeps another process busy (a server, with a large value) for longer
    /// than a thread takes to wake: whoever waits for it parks, and leaves that process the core.
    fn rests(&self) -> bool {
        false
    }

    /// Somebody waits for receipts (the window is full, or everything is to have arrived): looks
    /// for them now and then until none is missing, and tells [`Node::receipt`]. Or the other
    /// process [leaves](crate::Peer::is_leaving): then the link ends as soon as nothing more can
    /// come from there. Only on [paths](Path::receipts) that have them; from any thread, returns at
    /// once.
    fn look(&self) {}

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
