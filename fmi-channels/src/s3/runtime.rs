//! The thread that all requests of a process run on: neither ranks that compute nor the service
//! thread wait for signatures and TLS, and whoever calls need not be in a runtime of tokio's.

use fmi_actors::{Error, Result};
use std::{
    future::Future,
    sync::{OnceLock, mpsc},
};
use tokio::runtime::{Builder, Handle};

/// Spawns a future there.
pub(super) fn spawn(
    future: impl Future<Output = ()> + Send + 'static,
) -> tokio::task::JoinHandle<()> {
    handle().spawn(future)
}

/// Runs a future there; it ends when the one returned is dropped.
pub(super) async fn run<T: Send + 'static>(
    future: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    struct Abort(tokio::task::AbortHandle);
    impl Drop for Abort {
        fn drop(&mut self) {
            self.0.abort();
        }
    }
    let task = handle().spawn(future);
    let _abort = Abort(task.abort_handle());
    task.await.unwrap_or_else(|error| {
        Err(Error::System { what: "a request to S3", reason: error.to_string() })
    })
}

fn handle() -> &'static Handle {
    static HANDLE: OnceLock<Handle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let (send, receive) = mpsc::channel();
        std::thread::Builder::new()
            .name("fmi-s3".into())
            .spawn(move || {
                let runtime = Builder::new_current_thread().enable_all().build();
                let runtime = runtime.expect("an event queue for S3");
                let _ = send.send(runtime.handle().clone());
                // Runs until the process ends.
                runtime.block_on(std::future::pending::<()>());
            })
            .expect("a thread for S3");
        receive.recv().expect("the thread for S3 starts")
    })
}
