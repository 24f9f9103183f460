//! Servers of several kinds: users, TLS, databases, a cluster, sentinels.

use super::{
    Job,
    several::{Sentinel, cluster},
};
use bytes::Bytes;
use fmi_actors::{
    frame::Space,
    store::{Item, Part},
};
use fmi_channels::conformance::Bed;
use std::time::{Duration, Instant};
use test_servers::redis::Server;

/// Four processes send to each other, small and large, and publish.
async fn work(url: &str) -> Job {
    let job = Job::at(url);
    let bed = Bed::new(&job, &[1, 2, 1]);
    let talked = bed
        .each(|rank| async move {
            let size = 4;
            for round in 0..20_u32 {
                let length = if round % 5 == 0 { 300_000 } else { 100 };
                for to in (0..size).filter(|to| *to != rank.rank()) {
                    rank.put(to, round, vec![rank.rank() as u8; length]).await;
                }
                for from in (0..size).filter(|from| *from != rank.rank()) {
                    let got = rank.get(from, round).await;
                    assert_eq!(got.payload.bytes().unwrap(), vec![from as u8; length]);
                }
            }
            rank.flushed().await;
        })
        .await;
    assert_eq!(talked.len(), 4);
    for from in 0..4 {
        let item = Item { space: Space { scope: 1, number: 1 }, from, part: Part::Block(0) };
        let store = |rank: u32| bed.node(rank as usize).store().unwrap();
        let content = Bytes::from(vec![from as u8; 1_500_000]);
        store(from).put(item, content.clone(), 1).await.unwrap();
        let got = store((from + 1) % 4).get(item, 8).await.unwrap();
        assert_eq!(got.as_slice(), &content[..]);
    }
    drop(bed);
    job
}

/// Nothing that is sent in one go is larger than what the strictest server takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_the_least_limit_of_a_value() {
    let Some(server) = Server::start(&["--proto-max-bulk-len", "1mb"]) else { return };
    let job = work(&server.url()).await;
    let bed = Bed::new(&job, &[1, 1]);
    bed.rank(0).put(1, 0, vec![7; 5_000_000]).await;
    let got = bed.bounded("a large message", bed.rank(1).get(0, 0)).await;
    assert_eq!(got.payload.bytes().unwrap(), vec![7; 5_000_000]);
    drop(bed);
    server.wait_until_empty(&job.prefix());
}

/// What docs/redis.md says that a user needs.
const ACL: &str = "fmi on >secret ~fmi:* &fmi:* +set +get +getdel +getrange +del +xadd +xrange \
    +xtrim +xinfo +pexpire +rename +exists +eval +evalsha +script|load +publish +subscribe +sadd \
    +scard +ping +hello +select";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_just_what_is_needed() {
    let user: Vec<_> = ["--user"].into_iter().chain(ACL.split_whitespace()).collect();
    let Some(server) = Server::start(&user) else { return };
    let job = work(&server.url().replace("redis://", "redis://fmi:secret@")).await;
    server.wait_until_empty(&job.prefix());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_database() {
    let Some(server) = Server::start(&["--notify-keyspace-events", "KA"]) else { return };
    let job = work(&format!("{}/3", server.url())).await;
    assert_eq!(server.keys(&job.prefix()), Vec::<String>::new());
    let end = Instant::now() + Duration::from_secs(10);
    // Databases that hold nothing are not listed.
    while server.ask(&["INFO", "keyspace"]).concat().contains("db3") {
        assert!(Instant::now() < end, "{:?}", server.ask(&["INFO", "keyspace"]));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(feature = "tcp")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encrypted() {
    use fmi_channels::redis::Redis;
    use test_servers::redis::free_port;
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let files = tempfile::tempdir().unwrap();
    let (certificate, key) = (files.path().join("cert.pem"), files.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (port, certificate) = (free_port().to_string(), certificate.display().to_string());
    let tls = [
        "--tls-port",
        &port,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key.display().to_string(),
        "--tls-auth-clients",
        "no",
        "--tls-ca-cert-file",
        &certificate,
    ]
    .map(str::to_owned);
    let tls: Vec<_> = tls.iter().map(String::as_str).collect();
    let Some(server) = Server::start(&tls) else { return };
    let url = format!("rediss://127.0.0.1:{port}");
    let job = work(&format!("{url}?ca={certificate}")).await;
    server.wait_until_empty(&job.prefix());
    // Whom nobody has vouched for is not trusted.
    let error = Redis::connect(&url, "job").await.unwrap_err().to_string();
    assert!(error.contains("not trusted") && error.contains("?ca=FILE"), "{error}");
    let plain = server.url().replace("redis://", "rediss://");
    let error = Redis::connect(&plain, "job").await.unwrap_err().to_string();
    assert!(error.contains("TLS") || error.contains("rediss"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_three() {
    let Some(servers) = cluster() else { return };
    let job = work(&format!("{}?cluster=true", servers[0].url())).await;
    servers.iter().for_each(|server| server.wait_until_empty(&job.prefix()));
    // Each mailbox has its place, and not all the same one.
    let used = |server: &Server| server.ask(&["INFO", "commandstats"]).concat().contains("xadd");
    assert!(servers.iter().filter(|server| used(server)).count() > 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_know_the_master() {
    let Some(server) = Server::start(&[]) else { return };
    let sentinel = Sentinel::of(&server);
    let port = sentinel.port;
    let job = work(&format!("redis://127.0.0.1:{port}?sentinel=main")).await;
    server.wait_until_empty(&job.prefix());
    let wrong = format!("redis://127.0.0.1:{port}?sentinel=other");
    let error = fmi_channels::redis::Redis::connect(&wrong, "job").await.unwrap_err().to_string();
    assert!(error.contains("no sentinel knows a master \"other\""), "{error}");
}
