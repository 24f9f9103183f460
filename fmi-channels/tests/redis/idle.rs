//! Who waits costs nothing.

use super::{Job, until};
use fmi_channels::conformance::Bed;
use std::time::Duration;
use test_servers::redis::Server;

/// CPU time of this process so far, in ticks of 10 ms.
fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// A message is waited for without polling: next to no CPU, and a command a second or so for signs
/// of life.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_wait_costs_no_cpu_and_few_commands() {
    let Some(server) = Server::start(&[]) else { return };
    let bed = Bed::new(&Job::at(&server.url()), &[1, 1]);
    bed.rank(0).put(1, 0, vec![1; 10]).await;
    bed.rank(1).get(0, 0).await;
    bed.rank(0).flushed().await;
    let waits = bed.rank(1).take(Some(0), None);
    let mut before = ticks();
    until("all have come to rest", || {
        std::thread::sleep(Duration::from_millis(300));
        let now = ticks();
        std::mem::replace(&mut before, now) == now
    });
    let asked = || {
        let info = server.ask(&["INFO", "stats"]).concat();
        let rest = info.split("total_commands_processed:").nth(1).unwrap();
        rest.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    let (before, commands) = (ticks(), asked());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (burnt, commands) = (ticks() - before, asked() - commands);
    assert!(burnt <= 6, "{burnt} of 300 ticks while all wait");
    assert!(commands <= 40, "{commands} commands while nothing happens");
    bed.rank(0).put(1, 0, vec![2; 10]).await;
    waits.await.unwrap();
}
