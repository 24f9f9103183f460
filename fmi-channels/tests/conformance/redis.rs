//! Mailboxes in a real Redis server, one for each test. Nothing may be left in it.

use fmi_actors::{Member, Node, Place, Settings, channel::Channel};
use fmi_channels::{conformance::Wire, conformance_suite, local::LocalLink, redis::Redis};
use std::{
    future::Future,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use test_servers::redis::Server;

conformance_suite!(Mailboxes::new(), on run);

/// Processes that have nothing in common but a server.
#[derive(Debug)]
struct Mailboxes {
    server: Option<Server>,
    job: String,
    /// Each job has its own, also where the nodes of the one before are still leaving.
    epoch: AtomicU32,
}

impl Mailboxes {
    fn new() -> Self {
        let job = format!("suite/{}", std::process::id());
        Self { server: Server::any(), job, epoch: AtomicU32::new(77) }
    }
}

impl Wire for Mailboxes {
    fn nodes(&self, processes: &[usize], settings: &Settings) -> Vec<Arc<Node>> {
        let url = self.server.as_ref().expect("tests run only with a server").url();
        let epoch = self.epoch.fetch_add(1, Ordering::Relaxed);
        let mut next = 0;
        let (members, channels): (Vec<_>, Vec<_>) = (0..)
            .zip(processes)
            .map(|(process, ranks)| {
                let first = next;
                next += *ranks as u32;
                let channel = futures::executor::block_on(connect(&url, &self.job));
                let channel = channel.unwrap();
                let address = channel.address(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
                let member = Member {
                    process,
                    ranks: (first..next).collect(),
                    addresses: vec![("redis".to_owned(), address)],
                    incarnation: 3,
                    ..Member::default()
                };
                (member, channel)
            })
            .unzip();
        (0..)
            .zip(channels)
            .map(|(process, channel)| {
                let place =
                    Place { process, epoch, members: members.clone(), model: Arc::default() };
                let node = Node::new(place, vec![channel], &[], settings.clone());
                LocalLink::attach(&node);
                node.start();
                node
            })
            .collect()
    }

    /// All connections are killed: what was in them is lost.
    fn cut(&self, _: &Arc<Node>, _: &Arc<Node>) -> bool {
        let Some(server) = &self.server else { return false };
        let kill = |kind| server.ask(&["CLIENT", "KILL", "TYPE", kind]) != ["0"];
        let (commands, pushes) = (kill("normal"), kill("pubsub"));
        commands || pushes
    }
}

/// Runs a test if there is a server, and sees that it leaves nothing there.
fn run(wire: &Mailboxes, test: impl Future<Output = ()>) {
    let Some(server) = &wire.server else { return };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(test);
    server.wait_until_empty(&format!("fmi:{{suite%2F{}", std::process::id()));
}

/// Connects from within a test's task, which waits: on tokio's budget for a task, which ends there,
/// it would wait for ever.
async fn connect(url: &str, job: &str) -> fmi_actors::Result<Arc<Redis>> {
    tokio::task::unconstrained(Redis::connect(url, job)).await
}
