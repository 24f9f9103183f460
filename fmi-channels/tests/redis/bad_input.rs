//! What is wrong with a server, or with what is in it, is said at once and with what to do.

use super::{Job, until};
use fmi_actors::{Error, Reason, mailbox::Failure};
use fmi_channels::{conformance::Bed, redis::Redis};
use std::{
    io::{Read, Write},
    net::TcpListener,
};
use test_servers::redis::{Server, free_port};

/// Connects to what cannot be used; what the error says.
async fn refused(url: &str) -> String {
    match Redis::connect(url, "job").await {
        Err(error @ Error::Store { .. }) => {
            let text = error.to_string();
            assert!(!text.contains("secret"), "{text}");
            text
        }
        other => panic!("{url}: {other:?}"),
    }
}

#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
}

#[tokio::test]
async fn a_wrong_password() {
    let Some(server) = Server::start(&["--requirepass", "secret"]) else { return };
    let at = server.url().replace("redis://", "");
    says(&refused(&format!("redis://:wrong-secret@{at}")).await, &[&at, "WRONGPASS", "PASSWORD"]);
    says(&refused(&format!("redis://{at}")).await, &[&at, "NOAUTH", "PASSWORD"]);
    Redis::connect(&format!("redis://:secret@{at}"), "job").await.unwrap();
    Redis::connect(&format!("redis://default:secret@{at}"), "job").await.unwrap();
}

#[tokio::test]
async fn a_user_who_may_not() {
    let user = "--user reader on >secret ~fmi:* &fmi:* +@read +@connection";
    let user: Vec<_> = user.split_whitespace().collect();
    let Some(server) = Server::start(&user) else { return };
    let url = server.url().replace("redis://", "redis://reader:secret@");
    says(&refused(&url).await, &["NOPERM", "ACL SETUSER"]);
}

#[tokio::test]
async fn a_replica() {
    let Some(master) = Server::start(&[]) else { return };
    let port = master.port().to_string();
    let Some(replica) = Server::start(&["--replicaof", "127.0.0.1", &port]) else { return };
    says(&refused(&replica.url()).await, &["READONLY", "master"]);
}

#[tokio::test]
async fn a_server_that_is_full() {
    let Some(server) = Server::start(&["--maxmemory", "1kb"]) else { return };
    says(&refused(&server.url()).await, &["OOM", "maxmemory"]);
}

#[tokio::test]
async fn a_cluster_that_is_not_called_one() {
    let Some(server) = Server::start(&["--cluster-enabled", "yes"]) else { return };
    // It has no slots yet.
    says(&refused(&server.url()).await, &["CLUSTERDOWN"]);
    says(&refused(&format!("{}?cluster=true", server.url())).await, &["slot"]);
}

#[tokio::test]
async fn nobody_there() {
    let text = refused(&format!("redis://127.0.0.1:{}", free_port())).await;
    says(&text, &["cannot connect", "refused"]);
}

#[tokio::test]
async fn something_else_there() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.read(&mut [0; 100]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    refused(&format!("redis://127.0.0.1:{port}")).await;
}

#[tokio::test]
async fn no_url() {
    for url in ["redis://", "http://host", "redis://host/first", "redis://host?x=1"] {
        let error = Redis::connect(url, "job").await.unwrap_err();
        assert!(matches!(error, Error::Config { .. }), "{error:?}");
    }
}

/// Writes into the store what does not belong there, and returns why the receiver then gives up the
/// sender.
async fn spoiled(spoil: impl Fn(&Server, &str)) -> String {
    spoiled_by(async |_, server, mailbox| spoil(server, mailbox)).await
}

async fn spoiled_by(spoil: impl AsyncFn(&Bed, &Server, &str)) -> String {
    let Some(server) = Server::start(&[]) else { return "skipped".to_owned() };
    let job = Job::at(&server.url());
    let bed = Bed::new(&job, &[1, 1]);
    bed.rank(0).put(1, 0, vec![1; 10]).await;
    bed.rank(1).get(0, 0).await;
    bed.rank(0).flushed().await;
    let waits = bed.rank(1).take(Some(0), None);
    spoil(&bed, &server, &format!("{}5.1}}", job.prefix())).await;
    let lost = bed.bounded("the receiver", waits).await.unwrap_err();
    let Failure::Lost { rank: 0, reason: Reason::Error(reason) } = lost else { panic!("{lost:?}") };
    reason
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_entry_in_a_mailbox() {
    let reason = spoiled(|server, mailbox| {
        server.ask(&["CLIENT", "PAUSE", "0"]);
        server.ask(&["XADD", &format!("{mailbox}:in"), "*", "some", "thing"]);
        // The entry is read when the bell comes back.
        server.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    })
    .await;
    assert!(reason == "skipped" || reason.contains("nothing that fmi has written"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_message_on_a_bell() {
    for (ring, words) in [
        ("hello", None),
        ("hello\nthere", Some("something else uses the channel")),
        ("9999999999999-1\nthere", Some("nothing that fmi has written")),
    ] {
        // Without a number it is a call to look.
        let Some(words) = words else { continue };
        let reason = spoiled(|server, mailbox| {
            server.ask(&["PUBLISH", &format!("{mailbox}:bell"), ring]);
        })
        .await;
        assert!(reason == "skipped" || reason.contains(words), "{reason}");
    }
}

/// Another kind of key in the place of a mailbox: who writes there learns it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_key_in_the_place_of_a_mailbox() {
    let Some(server) = Server::start(&[]) else { return };
    let job = Job::at(&server.url());
    let bed = Bed::new(&job, &[1, 1]);
    bed.rank(0).put(1, 0, vec![1; 10]).await;
    bed.rank(1).get(0, 0).await;
    bed.rank(0).flushed().await;
    server.ask(&["SET", &format!("{}5.1}}:in", job.prefix()), "something"]);
    let _ = bed.rank(0).post(1, 0, vec![2; 10]).await;
    let flushed = bed.bounded("the sender", bed.rank(0).flush()).await;
    let text = format!("{flushed:?}");
    assert!(flushed.is_err() && text.contains("WRONGTYPE"), "{text}");
}

/// A value that is altered between the one who writes it and the one who reads it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_somebody_alters() {
    let reason = spoiled_by(async |bed, server, mailbox| {
        // Who writes has to wait, in the order in which it came.
        server.ask(&["CLIENT", "PAUSE", "20000", "WRITE"]);
        bed.rank(0).put(1, 0, vec![1; 40_000]).await;
        let waits = |command: &str| {
            until(command, || {
                let clients = server.ask(&["CLIENT", "LIST"]).concat();
                let word = format!("cmd={command} ");
                clients.lines().any(|client| client.contains(&word) && client.contains("flags=b"))
            });
        };
        waits("set");
        let (port, value) = (server.port(), format!("{mailbox}:v:0:1"));
        let altering = std::thread::spawn(move || {
            Server::tell(port, &["SETRANGE", &value, "100", "something"]);
        });
        waits("setrange");
        server.ask(&["CLIENT", "UNPAUSE"]);
        altering.join().unwrap();
    })
    .await;
    assert!(reason == "skipped" || reason.contains("is altered"), "{reason}");
}

/// What a user must not do any more fails at once, and says what is to be allowed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permission_that_is_taken_away() {
    let Some(server) = Server::start(&[]) else { return };
    server.ask(&["ACL", "SETUSER", "fmi", "on", ">secret", "~fmi:*", "&fmi:*", "+@all"]);
    let job = Job::at(&server.url().replace("redis://", "redis://fmi:secret@"));
    let bed = Bed::new(&job, &[1, 1]);
    bed.rank(0).put(1, 0, vec![1; 10]).await;
    bed.rank(1).get(0, 0).await;
    bed.rank(0).flushed().await;
    server.ask(&["ACL", "SETUSER", "fmi", "-xadd"]);
    let _ = bed.rank(0).post(1, 0, vec![2; 10]).await;
    let text = format!("{:?}", bed.bounded("the sender", bed.rank(0).flush()).await);
    says(&text, &["Err", "ACL SETUSER"]);
    assert!(!text.contains("secret"), "{text}");
}
