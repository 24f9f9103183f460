//! Sockets that a runtime's event queue watches.

use socket2::Socket;
use std::io;
use tokio::io::{Interest, unix::AsyncFd};

/// Registers a socket with the current runtime's event queue.
pub(crate) fn watch(socket: Socket) -> io::Result<AsyncFd<Socket>> {
    // SAFETY: the socket owns its descriptor, keeps it until it is dropped, and moves with the
    // AsyncFd, which is dropped as one.
    unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE | Interest::WRITABLE) }
        .map_err(|error| error.into_parts().1)
}
