//! When to end.

use tokio::signal::unix::{SignalKind, signal};

/// SIGTERM or Ctrl-C.
pub async fn terminated() {
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        // Without signals it runs until it is killed.
        _ => std::future::pending().await,
    }
}
