//! Waiting for events of the socket.

use super::socket::Socket;
use crate::engine::Engine;
use std::{io, net::UdpSocket, sync::Arc, task::Poll};
use tokio::io::{Interest, unix::AsyncFd};

/// Registers a duplicate of the socket with the current runtime's event queue.
pub(super) fn events(socket: &Socket, of: Interest) -> io::Result<AsyncFd<UdpSocket>> {
    let duplicate = socket.duplicate()?;
    // SAFETY: the socket owns its descriptor, keeps it until it is dropped, and moves with the
    // AsyncFd, which is dropped as one.
    unsafe { AsyncFd::register_with_interest(duplicate, of) }.map_err(|error| error.into_parts().1)
}

/// Nudges with every event, on the runtime that polls this.
pub(super) async fn look(engine: Arc<Engine>, socket: Arc<Socket>) {
    let events = match events(&socket, Interest::READABLE) {
        Ok(events) => events,
        Err(error) => return tracing::error!(%error, "cannot watch a socket"),
    };
    // What came before the first event.
    engine.attend(|| socket.nudge());
    let _: io::Result<()> = std::future::poll_fn(|context| {
        loop {
            match events.poll_read_ready(context) {
                Poll::Ready(Ok(mut ready)) => {
                    // Cleared before the read: what comes after it sets it again.
                    ready.clear_ready();
                    engine.attend(|| socket.nudge());
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
}
