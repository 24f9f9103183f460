//! Sockets that a runtime's event queue watches.

use std::{io, os::fd::OwnedFd};
use tokio::io::{Interest, unix::AsyncFd};

/// Registers a socket with the current runtime's event queue, for these events.
pub(crate) fn watch(socket: impl Into<OwnedFd>, of: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is owned, stays open until it is dropped, and moves with the AsyncFd,
    // which is dropped as one.
    unsafe { AsyncFd::register_with_interest(socket.into(), of) }
        .map_err(|error| error.into_parts().1)
}
