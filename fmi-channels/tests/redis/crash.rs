//! What a process leaves behind that ends without a word: nothing for ever.

use super::{Job, until};
use bytes::Bytes;
use fmi_actors::{
    frame::Space,
    store::{Item, Part},
};
use fmi_channels::conformance::Bed;
use std::{
    process::{Command, Stdio},
    time::Duration,
};
use test_servers::redis::Server;

/// Names the server to the process that is to crash.
const URL: &str = "FMI_TEST_CRASH_AT";

/// Keys that live for ever, found in one go.
const FOREVER: &str = "local found = {} \
     for _, key in ipairs(redis.call('KEYS', '*')) do \
       if redis.call('PTTL', key) == -1 then table.insert(found, key) end end \
     return found";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_crash_leaves_behind_goes_by_itself() {
    if let Ok(url) = std::env::var(URL) {
        crash(&url).await;
    }
    let Some(server) = Server::start(&[]) else { return };
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::what_a_crash_leaves_behind_goes_by_itself", "--nocapture"])
        .env(URL, format!("{}?ttl=3", server.url()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut looks = 0;
    until("it crashes", || {
        assert_eq!(server.ask(&["EVAL", FOREVER, "0"]), Vec::<String>::new());
        looks += 1;
        child.try_wait().unwrap().is_some()
    });
    assert!(looks > 1);
    let left = server.ask(&["KEYS", "*"]);
    for kind in [":in", ":s:", ":v:"] {
        assert!(left.iter().any(|key| key.contains(kind)), "none of {kind} in {left:?}");
    }
    assert_eq!(server.ask(&["EVAL", FOREVER, "0"]), Vec::<String>::new());
    for key in left {
        let time = server.ask(&["PTTL", &key])[0].parse::<i64>().unwrap();
        assert!(time <= 3000, "{key} lives {time} ms");
    }
    until("all is gone", || server.ask(&["DBSIZE"]) == ["0"]);
}

/// Sends and publishes, and ends in the middle of it as if it were killed.
async fn crash(url: &str) {
    let bed = Bed::new(&Job::at(url), &[1, 1]);
    let item = |number| Item { space: Space { scope: 1, number }, from: 0, part: Part::Block(0) };
    let store = bed.node(0).store().unwrap();
    for number in 0..30 {
        bed.rank(0).put(1, 0, vec![1; 1000 * number as usize]).await;
        bed.rank(1).get(0, 0).await;
        let content = Bytes::from(vec![1; 20_000 * number as usize]);
        store.put(item(number), content, 1).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // So that the others' part is still under way: a value that nobody reads any more.
    let server = url.trim_start_matches("redis://127.0.0.1:").split('?').next().unwrap();
    Server::tell(server.parse().unwrap(), &["CLIENT", "KILL", "TYPE", "pubsub"]);
    bed.rank(0).put(1, 0, vec![1; 100_000]).await;
    let values = || {
        let keys = Server::tell(server.parse().unwrap(), &["KEYS", "*"]);
        keys.iter().any(|key| key.contains(":v:"))
    };
    let mut looks = 0;
    while !values() && looks < 1000 {
        looks += 1;
    }
    // SAFETY: ends the process; nothing runs after it.
    unsafe { libc::_exit(0) };
}
