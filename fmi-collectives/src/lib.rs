//! The typed surface of `fmi`: communicators, messages, reduce operations, and collectives as
//! plans that one executor runs and one checker proves.

mod begin;
mod buf;
mod calibrate;
mod collectives;
mod communicator;
mod context;
mod executor;
mod judge;
mod links;
mod log;
mod message;
mod observe;
pub mod op;
mod operation;
pub mod plan;
mod point_to_point;
mod protocol;
mod signature;
mod store;
mod through;

pub use buf::Buf;
pub use communicator::Communicator;
pub use context::Context;
// Where the derive of `Protocol` looks for them.
pub use fmi_actors::{Error, PeerAttempt, Result, channel::Rung};
pub use links::{Connecting, PeerInfo};
pub use message::{Extent, Message, Scalar};
pub use operation::{Operation, Trouble};
pub use point_to_point::{ANY, Any, Probe, Receive, Source, Status, TagFilter};
pub use protocol::{Driver, Protocol, Request, Worker};
