//! Hole punching: two processes behind address translations or firewalls open the way for each
//! other by firing at the same moment. No I/O, no clock, no chance: a [`Punch`] is told what
//! happens and when, and says what to do; a transport does it.
//!
//! ```text
//! caller                         rendezvous                         answerer
//!   looks how it is seen  ── Call: its addresses ──────────────▶  looks how it is seen
//!   (fires, if it knows where to)
//!                         ◀─────────────── Ready: its addresses ──  fires
//!   fires                  ═══════════ shots, until they meet ════
//! ```
//!
//! A translation lets in what answers something that it has let out. One that *drops* the rest is
//! open as soon as both sides have fired, in whatever order. One that *refuses* the rest (a
//! reset) remembers it, too: what came too soon has spoilt that pair of ports for seconds. So when
//! shots are refused, further *rounds* follow, each from fresh ports that both sides have agreed
//! on. The side whose translation refuses fires first. If both refuse, both fire shots that get
//! past the own translation, but not as far as the other's, a few pairs of ports with a different
//! range each; then the caller fires in earnest. Where nothing lies between the two translations,
//! shots must cross on their way: each pair of ports tries another moment ([`schedule`]).
//!
//! Of two calls that cross the one of the lower process counts, and the other side answers it.
//! Notes may be lost, doubled, late, or garbage: a call is repeated, everything else follows from
//! it, and what belongs to no attempt that is under way does nothing. An attempt ends: linked,
//! or with a [`Failure`], after [`ATTEMPT`] at the latest.
//!
//! # Driving it
//!
//! Make one `Punch` for each peer, keep it, tell it what happens, and after each call do what
//! [`Punch::poll`] says until it says nothing, then wait for the next event or [`Punch::timer`]
//! ([`Punch::tick`]). A transport that accepts connections from those it fires at needs nothing
//! else; who is greeted how is not decided here.

mod attempt;
mod datagram;
mod failure;
mod machine;
mod note;
pub mod schedule;
mod sight;
#[cfg(test)]
mod tests;

pub use datagram::{Datagram, cookie_of};
pub use failure::Failure;
pub use machine::Punch;
pub use sight::{Mapping, Sight, is_private};

use fmi_actors::clock::Time;
use std::{fmt, net::SocketAddr, time::Duration};

/// How long an attempt may take.
pub const ATTEMPT: Duration = Duration::from_secs(3);

/// What is fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Connections from ports that this side chooses. A shot of the same port at the same address
    /// replaces the one before.
    Tcp,
    /// Datagrams ([`Datagram`]) from one socket.
    Udp,
}

/// What a transport does for a [`Punch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Find out how this side is seen, then call [`Punch::seen`]; at once with what is known, if
    /// that is no older than some 30 s and its ports do not [step](Mapping::Stepping).
    Look {
        /// Free ports that are to be reserved for this side's shots ([`Sight::spares`]).
        spares: usize,
    },
    /// Send a note to the other side's `Punch` ([`Punch::told`]).
    Tell(Vec<u8>),
    /// Fire, each at its time, the earliest first. What lies in the future is to be met to within
    /// some ten microseconds.
    Fire(Vec<Shot>),
    /// Udp: the way to this address is open, and it is this side that dials it.
    Dial(SocketAddr),
    /// The attempt is over; nothing more is fired. Connections that have come about may still
    /// be greeted.
    Over(Result<(), Failure>),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Look { spares } => write!(f, "look, {spares} ports"),
            Self::Tell(note) => write!(f, "tell {}", note::summary(note)),
            Self::Fire(shots) => {
                for shot in shots {
                    let Shot { port, to, at, hops } = shot;
                    write!(f, "fire {port} → {to} at {}", at.0)?;
                    if let Some(hops) = hops {
                        write!(f, ", {hops} hops")?;
                    }
                    f.write_str("; ")?;
                }
                Ok(())
            }
            Self::Dial(to) => write!(f, "dial {to}"),
            Self::Over(Ok(())) => f.write_str("over: linked"),
            Self::Over(Err(failure)) => write!(f, "over: {failure}"),
        }
    }
}

/// One connection attempt or datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shot {
    /// Local port.
    pub port: u16,
    /// Where to.
    pub to: SocketAddr,
    /// When; what is not in the future, at once.
    pub at: Time,
    /// Tcp: it is to get only so far. It opens the own translation and does not arrive; that it
    /// has not arrived is no reason to give its socket up.
    pub hops: Option<u8>,
}
