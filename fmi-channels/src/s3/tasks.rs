//! What still runs for the channel of a process: its end waits for it.

use super::runtime;
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;

/// Counts tasks.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    running: AtomicUsize,
    idle: Notify,
}

impl Tasks {
    /// Runs a future on the thread of all requests.
    pub(super) fn spawn(self: &Arc<Self>, future: impl Future<Output = ()> + Send + 'static) {
        struct Guard(Arc<Tasks>);
        impl Drop for Guard {
            fn drop(&mut self) {
                if self.0.running.fetch_sub(1, Ordering::AcqRel) == 1 {
                    self.0.idle.notify_waiters();
                }
            }
        }
        self.running.fetch_add(1, Ordering::AcqRel);
        let guard = Guard(Arc::clone(self));
        runtime::spawn(async move {
            let _guard = guard;
            future.await;
        });
    }

    /// Waits until none runs, but no longer than `patience`.
    pub(super) async fn ended(&self, patience: Duration) -> bool {
        let ended = async {
            loop {
                let idle = self.idle.notified();
                tokio::pin!(idle);
                // Before the look: what ends after it is noticed.
                idle.as_mut().enable();
                if self.running.load(Ordering::Acquire) == 0 {
                    return;
                }
                idle.await;
            }
        };
        tokio::time::timeout(patience, ended).await.is_ok()
    }
}
