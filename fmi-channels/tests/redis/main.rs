//! What Redis servers do to a job, and what a job does to them, with real servers.
#![cfg(feature = "redis")]

mod bad_input;
mod crash;
mod idle;
mod outages;
mod servers;
mod several;
mod shelf;
mod survival;

use fmi_actors::{Member, Node, Place, Settings};
use fmi_channels::{conformance::Wire, local::LocalLink, redis::Redis};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Processes of a job that have nothing in common but a server.
#[derive(Debug)]
struct Job {
    url: String,
    name: String,
}

impl Job {
    fn at(url: &str) -> Self {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Self { url: url.to_owned(), name: format!("job-{}-{number}", std::process::id()) }
    }

    /// What all its keys begin with.
    fn prefix(&self) -> String {
        format!("fmi:{{{}.", self.name)
    }
}

impl Wire for Job {
    fn nodes(&self, processes: &[usize], settings: &Settings) -> Vec<Arc<Node>> {
        let mut next = 0;
        let members: Vec<_> = (0..)
            .zip(processes)
            .map(|(process, ranks)| {
                let first = next;
                next += *ranks as u32;
                Member {
                    process,
                    ranks: (first..next).collect(),
                    addresses: vec![("redis".to_owned(), "mailbox".to_owned())],
                    incarnation: 3,
                    ..Member::default()
                }
            })
            .collect();
        (0..processes.len() as u32)
            .map(|process| {
                let channel = futures::executor::block_on(connect(&self.url, &self.name));
                let place =
                    Place { process, epoch: 5, members: members.clone(), model: Arc::default() };
                let node = Node::new(place, vec![channel.unwrap()], &[], settings.clone());
                LocalLink::attach(&node);
                node.start();
                node
            })
            .collect()
    }

    fn cut(&self, _: &Arc<Node>, _: &Arc<Node>) -> bool {
        false
    }
}

/// Waits, and holds the thread, until something is so that nobody tells of.
#[track_caller]
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !so() {
        assert!(Instant::now() < end, "not in 30 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Connects from within a test's task, which waits: on tokio's budget for a task, which ends there,
/// it would wait for ever.
async fn connect(url: &str, job: &str) -> fmi_actors::Result<Arc<Redis>> {
    tokio::task::unconstrained(Redis::connect(url, job)).await
}
