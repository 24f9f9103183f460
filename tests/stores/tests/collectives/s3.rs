//! Over a bucket of an S3 server in the test's process, or the one that `FMI_TEST_S3_ENDPOINT` names.

#[path = "../../../../fmi-channels/tests/s3/faults.rs"]
#[allow(dead_code, reason = "the tests of the channel itself use more of it")]
mod faults;
#[path = "../../../../fmi-channels/tests/s3/server.rs"]
#[allow(dead_code, reason = "the tests of the channel itself use more of it")]
mod server;

use crate::{Store, on_all_sizes};
use fmi_actors::channel::Channel;
use fmi_channels::s3::S3;
use fmi_model::polling::Hint;
use futures::future::{LocalBoxFuture, join_all};
use server::Server;
use std::sync::Arc;
use store_tests::Job;

on_all_sizes!();

struct InS3 {
    server: Server,
    url: String,
}

impl Store for InS3 {
    async fn job(&self, processes: &[usize]) -> Job {
        let connect = || S3::with(&self.url, "collectives", Hint::Fast, self.server.options());
        let channels = join_all(processes.iter().map(|_| connect())).await.into_iter();
        Job::new(processes, channels.map(|channel| channel.unwrap() as Arc<dyn Channel>).collect())
    }
}

/// Runs a test, and sees that it leaves nothing in the bucket.
fn run(test: impl for<'a> FnOnce(&'a InS3) -> LocalBoxFuture<'a, ()>) {
    let server = Server::new();
    let store = InS3 { url: server.url(), server };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(test(&store));
    if let Server::Own(own) = &store.server {
        own.wait_until_empty(&store.url);
    }
}
