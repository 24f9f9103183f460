//! Real replicas, over real HTTP: requests through each, many at once, replicas that die, hang and
//! end, clients that leave, and what is left of all that.

mod replicas;

use replicas::{Bed, Client, Replica, bounded, eventually};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Answered within a moment.
const SHORT: u32 = 20;
/// Not over before the test is.
const ENDLESS: u32 = u32::MAX;

/// Every rank has its part, and however many there are, they come to the same.
fn assert_answer((status, body): &(u16, Value), ranks: usize) {
    assert_eq!(*status, 200, "{body}");
    assert_eq!(body["ranks"], ranks, "{body}");
    // Of 10,000 points, scattered evenly over a square: what three clusters of them come to.
    let spread = body["spread"].as_f64().unwrap();
    assert!((spread - 0.0713).abs() < 0.005, "{body}");
    assert_eq!(body["centres"].as_array().map(Vec::len), Some(3), "{body}");
}

#[track_caller]
fn assert_refused((status, body): &(u16, Value), expected: u16, why: &str) {
    assert_eq!(*status, expected, "{body}");
    assert_eq!(body["retry"], json!(true), "{body}");
    assert!(body["error"].as_str().is_some_and(|error| error.contains(why)), "{body}");
}

/// Nobody is in a group, and nobody at a rendezvous.
async fn assert_idle(client: &Client, replicas: &[&Replica]) {
    for replica in replicas {
        eventually("nothing is left", async || {
            let health = client.health(replica).await;
            health["groups"] == 0 && health["at_its_rendezvous"] == 0
        })
        .await;
    }
}

/// Until all of them take part in so many groups that have formed.
async fn in_groups(client: &Client, replicas: &[&Replica], groups: usize) {
    for replica in replicas {
        eventually("the groups have formed", async || {
            client.health(replica).await["at_work"] == groups
        })
        .await;
    }
}

#[tokio::test]
async fn any_replica_answers_for_all() {
    bounded(async {
        let bed = Bed::new(3);
        let (replicas, client) = (bed.start_all(&[]).await, Client::new());
        let alone = client.ask(&replicas[0], SHORT).await;
        for replica in &replicas {
            let answer = client.ask(replica, SHORT).await;
            assert_answer(&answer, 3);
            // Sums of other parts are rounded otherwise, but the parts are the same here.
            assert_eq!(answer, alone);
        }
        assert_idle(&client, &replicas.iter().collect::<Vec<_>>()).await;
    })
    .await;
}

#[tokio::test]
async fn groups_overlap() {
    bounded(async {
        // Groups of two of four replicas: each is in several at once.
        let bed = Bed::new(4);
        let settings = [("RANKS", "2-2"), ("GROUPS", "64")];
        let (replicas, client) = (bed.start_all(&settings).await, Client::new());
        let asks = (0..32).map(|number| {
            let (client, address) = (client.clone(), replicas[number % 4].address.clone());
            tokio::spawn(async move { client.ask_at(&address, SHORT).await })
        });
        for answer in asks.collect::<Vec<_>>() {
            assert_answer(&answer.await.unwrap(), 2);
        }
        assert_idle(&client, &replicas.iter().collect::<Vec<_>>()).await;
    })
    .await;
}

#[tokio::test]
async fn a_dead_replica_is_done_without_and_comes_back() {
    bounded(async {
        let bed = Bed::new(3);
        let (mut replicas, client) = (bed.start_all(&[]).await, Client::new());
        assert_answer(&client.ask(&replicas[0], SHORT).await, 3);
        // One that dies in the middle of a request, which says so: half of it is done elsewhere.
        let asked = client.begin(&replicas[0], ENDLESS);
        in_groups(&client, &replicas.iter().collect::<Vec<_>>(), 1).await;
        replicas[2].kill().await;
        assert_refused(&asked.await.unwrap(), 503, "rank ");
        assert_idle(&client, &[&replicas[0], &replicas[1]]).await;
        // One that is not there.
        for replica in &replicas[..2] {
            assert_answer(&client.ask(replica, SHORT).await, 2);
        }
        replicas[2] = bed.start(2, &[]).await;
        for replica in &replicas {
            assert_answer(&client.ask(replica, SHORT).await, 3);
        }
    })
    .await;
}

#[tokio::test]
async fn a_group_has_as_many_ranks_as_it_needs_or_none() {
    bounded(async {
        let bed = Bed::new(3);
        let (mut replicas, client) = (bed.start_all(&[("RANKS", "3-3")]).await, Client::new());
        replicas[1].kill().await;
        let answer = client.ask(&replicas[0], SHORT).await;
        assert_refused(&answer, 503, "2 replicas are ready, and a group needs 3");
    })
    .await;
}

#[tokio::test]
async fn one_that_hangs_keeps_nobody_waiting_for_long() {
    bounded(async {
        let bed = Bed::new(3);
        let (replicas, client) = (bed.start_all(&[]).await, Client::new());
        replicas[1].signal(libc::SIGSTOP);
        let start = Instant::now();
        assert_answer(&client.ask(&replicas[0], SHORT).await, 2);
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        replicas[1].signal(libc::SIGCONT);
        // In the middle of a request.
        let asked = client.begin(&replicas[0], ENDLESS);
        in_groups(&client, &replicas.iter().collect::<Vec<_>>(), 1).await;
        replicas[1].signal(libc::SIGSTOP);
        let start = Instant::now();
        let (status, body) = asked.await.unwrap();
        assert_eq!((status, &body["retry"]), (503, &json!(true)), "{body}");
        assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
        replicas[1].signal(libc::SIGCONT);
        assert_idle(&client, &replicas.iter().collect::<Vec<_>>()).await;
        assert_answer(&client.ask(&replicas[0], SHORT).await, 3);
    })
    .await;
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_group_with_it() {
    bounded(async {
        let bed = Bed::new(3);
        let (replicas, client) = (bed.start_all(&[]).await, Client::new());
        let all: Vec<_> = replicas.iter().collect();
        let asked = client.begin(&replicas[1], ENDLESS);
        in_groups(&client, &all, 1).await;
        let start = Instant::now();
        asked.abort();
        assert!(asked.await.unwrap_err().is_cancelled());
        assert_idle(&client, &all).await;
        // Not because its time was over.
        assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
        assert_answer(&client.ask(&replicas[1], SHORT).await, 3);
    })
    .await;
}

#[tokio::test]
async fn places_are_limited() {
    bounded(async {
        let bed = Bed::new(3);
        let settings = [("GROUPS", "1"), ("RANKS", "1-2")];
        let (replicas, client) = (bed.start_all(&settings).await, Client::new());
        let asked = client.begin(&replicas[0], ENDLESS);
        in_groups(&client, &[&replicas[0]], 1).await;
        assert_refused(&client.ask(&replicas[0], SHORT).await, 429, "is in 1 groups");
        let mut busy = 0;
        eventually("two are in the group", async || {
            busy = 0;
            for replica in &replicas[1..] {
                busy += client.health(replica).await["groups"].as_u64().unwrap();
            }
            busy == 1
        })
        .await;
        // Of the others one is in that group, and the third answers alone.
        let mut answers = Vec::new();
        for replica in &replicas[1..] {
            answers.push(client.ask(replica, SHORT).await);
        }
        answers.sort_by_key(|(status, _)| *status);
        assert_answer(&answers[0], 1);
        assert_refused(&answers[1], 429, "is in 1 groups");
        asked.abort();
    })
    .await;
}

#[tokio::test]
async fn strangers_are_not_let_in() {
    bounded(async {
        let bed = Bed::new(2);
        let (replicas, client) = (bed.start_all(&[]).await, Client::new());
        let invitation =
            json!({ "job": "x", "rank": 1, "size": 2, "rendezvous": "tcp://127.0.0.1:1" });
        for (path, body) in [("/internal/ready", Value::Null), ("/internal/join", invitation)] {
            for proof in ["", "0-00", "bad"] {
                let (status, _) = client.post(&replicas[0].address, path, proof, &body).await;
                assert_eq!(status, 401, "{path} {proof}");
            }
        }
        let wrong = json!({ "clusters": 0, "epochs": 1 });
        let (status, body) = client.post(&replicas[0].address, "/clusters", "", &wrong).await;
        assert_eq!((status, &body["error"]), (400, &json!("clusters: from 1 to 64")));
    })
    .await;
}

#[tokio::test]
async fn nothing_is_left_of_many_requests() {
    bounded(async {
        let bed = Bed::new(3);
        let (replicas, client) = (bed.start_all(&[]).await, Client::new());
        let all: Vec<_> = replicas.iter().collect();
        let many = async |requests: usize| {
            for number in 0..requests {
                let replica = &replicas[number % 3];
                if number % 4 == 3 {
                    // A client that leaves: at once, or in the middle of it.
                    let asked = client.begin(replica, ENDLESS);
                    if number % 8 == 3 {
                        in_groups(&client, &[replica], 1).await;
                    }
                    asked.abort();
                    let _ = asked.await;
                    assert_idle(&client, &all).await;
                } else {
                    assert_answer(&client.ask(replica, SHORT).await, 3);
                }
            }
            assert_idle(&client, &all).await;
        };
        many(60).await;
        let before: Vec<_> = replicas.iter().map(Replica::holds).collect();
        many(240).await;
        for (replica, before) in replicas.iter().zip(before) {
            // Connections that were closed are gone a moment later.
            eventually(&format!("no more than {before:?}"), async || {
                let now = replica.holds();
                now.descriptors <= before.descriptors + 4 && now.threads <= before.threads + 2
            })
            .await;
            let now = replica.holds();
            assert!(now.kilobytes < before.kilobytes + 4096, "{before:?}, then {now:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn one_that_is_told_to_end_finishes_and_takes_no_more() {
    bounded(async {
        let bed = Bed::new(3);
        let (mut replicas, client) = (bed.start_all(&[]).await, Client::new());
        // It leads one group, and is in that of another, for as long as this takes.
        let begin = |replica| client.begin_within(replica, Duration::from_secs(2));
        let (own, other) = (begin(&replicas[0]), begin(&replicas[1]));
        in_groups(&client, &replicas.iter().collect::<Vec<_>>(), 2).await;
        replicas[0].signal(libc::SIGTERM);
        eventually("it takes no more", async || !replicas[0].accepts().await).await;
        assert_answer(&client.ask(&replicas[1], SHORT).await, 2);
        assert_answer(&own.await.unwrap(), 3);
        assert_answer(&other.await.unwrap(), 3);
        assert!(replicas[0].child.wait().await.unwrap().success());
        assert_answer(&client.ask(&replicas[2], SHORT).await, 2);
    })
    .await;
}

/// The figures in README.md. What one replica needs is not for the group.
#[tokio::test]
#[ignore = "measures"]
async fn how_long_it_takes() {
    bounded(async {
        for size in [1, 3] {
            let bed = Bed::new(size);
            let (replicas, client) = (bed.start_all(&[]).await, Client::new());
            let mut took = Vec::new();
            for _ in 0..200 {
                let start = Instant::now();
                let (status, body) = client.ask(&replicas[0], 1).await;
                assert_eq!((status, &body["ranks"]), (200, &json!(size)), "{body}");
                took.push(start.elapsed());
            }
            took.sort_unstable();
            println!("{size} replicas: median {:?}, 90 % {:?}", took[100], took[180]);
        }
    })
    .await;
}
