//! Over a Redis server of the test's own, or the one that `FMI_TEST_REDIS_URL` names.

use crate::{Store, on_all_sizes};
use fmi_actors::channel::Channel;
use fmi_channels::redis::Redis;
use futures::future::{LocalBoxFuture, join_all};
use std::sync::Arc;
use store_tests::Job;
use test_servers::redis::Server;

on_all_sizes!();

struct InRedis {
    server: Server,
    name: String,
}

impl Store for InRedis {
    async fn job(&self, processes: &[usize]) -> Job {
        let url = self.server.url();
        let channels = processes.iter().map(|_| Redis::connect(&url, &self.name));
        let channels = join_all(channels).await.into_iter();
        Job::new(processes, channels.map(|channel| channel.unwrap() as Arc<dyn Channel>).collect())
    }
}

/// Runs a test if there is a server, and sees that it leaves nothing there.
fn run(test: impl for<'a> FnOnce(&'a InRedis) -> LocalBoxFuture<'a, ()>) {
    let Some(server) = Server::any() else { return };
    let name = format!("collectives-{}-{}", std::process::id(), crate::common::unique());
    let store = InRedis { server, name };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(test(&store));
    store.server.wait_until_empty(&format!("fmi:{{{}", store.name));
}
