//! Over a bucket of an S3 server in the test's process, or the one that `FMI_TEST_S3_ENDPOINT` names.

use crate::{Store, on_all_sizes};
use fmi_actors::channel::Channel;
use fmi_channels::s3::S3;
use fmi_model::polling::Hint;
use futures::future::{LocalBoxFuture, join_all};
use std::sync::Arc;
use store_tests::Job;
use test_servers::s3::Server;

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
    let server = Server::any();
    let store = InS3 { url: server.url(), server };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(test(&store));
    store.server.wait_until_empty(&store.url);
}
