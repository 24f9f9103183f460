//! Waiting for events of the socket.

use super::socket::Socket;
use crate::{engine::Engine, events::watch};
use std::{io, os::fd::OwnedFd, sync::Arc, task::Poll};
use tokio::io::{Interest, unix::AsyncFd};

/// Registers a duplicate of the socket with the current runtime's event queue.
pub(super) fn events(socket: &Socket, of: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    watch(socket.duplicate()?, of)
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
