//! Servers that do for a while what they should not: everything arrives once, in order.

use super::{
    Job,
    several::{Sentinel, cluster, migrate},
    survival::{after, disturbed, disturbed_job},
    until,
};
use fmi_channels::conformance::Bed;
use test_servers::redis::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_master_dies_and_a_replica_takes_over() {
    let Some(mut master) = Server::start(&[]) else { return };
    let port = master.port().to_string();
    let copies = ["--replicaof", "127.0.0.1", &port];
    let Some(replica) = Server::start(&copies) else { return };
    let says = |port, section, word| Server::tell(port, &["INFO", section]).concat().contains(word);
    until("the replica is up to date", || {
        says(replica.port(), "replication", "master_link_status:up")
    });
    let sentinel = Sentinel::of(&master);
    until("the sentinel knows of it", || says(sentinel.port, "sentinel", "slaves=1"));
    // A value that the master has given away for the last time may still be at the replica, which had
    // not heard of it: it goes by itself, and only after the replica has taken over.
    let job = Job::at(&format!("{}&ttl=8", sentinel.url()));
    // Early: what has not gone through by then needs the replica.
    disturbed_job(&job, 1000, 100, |turn| {
        if turn == 0 {
            master.kill();
        }
    })
    .await;
    assert!(says(replica.port(), "replication", "role:master"));
    replica.wait_until_empty(&job.prefix());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_a_replica_for_a_while() {
    let Some(mut server) = Server::start(&[]) else { return };
    disturbed(&mut server, 600, 300, |server, _| {
        server.ask(&["CONFIG", "RESETSTAT"]);
        // Of nobody: it keeps what it has, and takes nothing.
        server.ask(&["REPLICAOF", "127.0.0.1", "1"]);
        after(server.port(), "errorstats", "errorstat_READONLY", &["REPLICAOF", "NO", "ONE"]);
    })
    .await;
}

/// One that throws away what it has when it is full, whatever that is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_evicts() {
    for policy in ["allkeys-random", "volatile-lru"] {
        let Some(server) = Server::start(&["--maxmemory-policy", policy]) else { return };
        // What is left of those that were told of in a letter that is gone goes by itself.
        let job = Job::at(&format!("{}?ttl=3", server.url()));
        disturbed_job(&job, 600, 200, |_| {
            server.ask(&["CONFIG", "SET", "maxmemory", "1mb"]);
            server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
        })
        .await;
        server.wait_until_empty(&job.prefix());
        let evicted = server.ask(&["INFO", "stats"]).concat();
        assert!(!evicted.contains("evicted_keys:0\r"), "nothing was thrown away: {evicted}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_moves_a_mailbox() {
    let Some(servers) = cluster() else { return };
    let job = Job::at(&format!("{}?cluster=true", servers[0].url()));
    let mailbox = format!("{}5.1}}:in", job.prefix());
    disturbed_job(&job, 1000, 100, |_| migrate(&servers, &mailbox)).await;
    servers.iter().for_each(|server| server.wait_until_empty(&job.prefix()));
}

/// A job that says nothing for longer than its keys live.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_is_not_the_end() {
    let Some(server) = Server::start(&[]) else { return };
    let job = Job::at(&format!("{}?ttl=0.5", server.url()));
    let bed = Bed::new(&job, &[1, 1]);
    bed.rank(0).put(1, 0, vec![1; 10]).await;
    bed.rank(1).get(0, 0).await;
    let clock = || server.ask(&["TIME"])[0].parse::<u64>().unwrap();
    let began = clock();
    until("twice the time to live has passed", || clock() >= began + 2);
    assert_eq!(server.keys(&job.prefix()).len(), 2, "the mailboxes");
    bed.rank(0).put(1, 0, vec![2; 40_000]).await;
    assert_eq!(bed.rank(1).get(0, 0).await.payload.bytes().unwrap(), vec![2; 40_000]);
    drop(bed);
    server.wait_until_empty(&job.prefix());
}
