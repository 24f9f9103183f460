//! Waits of known lengths for messages through a bucket: what they cost and how late they are, and
//! that the meter has counted every request.
//!
//! `FMI_POLLING_WAITS=200 cargo test -p fmi-channels --features s3 --test s3_polling -- --nocapture`
//! prints the table of `docs/model.md`: against a server in this process whose answers take 20 ms, or
//! against a real one ([`server`]).

#![cfg(feature = "s3")]

#[path = "../s3/faults.rs"]
#[expect(dead_code, reason = "other tests have more of them")]
mod faults;
#[path = "../s3/server.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod server;

use faults::Fault;
use fmi_actors::{
    Endpoint, Member, Node, Payload, Place, Settings,
    channel::Channel,
    frame::{Datatype, Space},
    mailbox::Filter,
};
use fmi_channels::{
    local::LocalLink,
    s3::{Options, Requests, S3},
};
use fmi_model::{
    Bytes, Dollars, Seconds,
    polling::{
        CAP, Hint, LookPrices,
        trial::{Arrivals, Trial},
    },
    prices::{Prices, Request},
};
use server::Server;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const SCOPE: u64 = 1;
/// How long our own server takes to answer a look.
const ANSWER: u64 = 20;

fn prices() -> LookPrices {
    Prices::aws().look(Request::Get, Bytes::gib(1))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cheap_looks_seldom_and_the_meter_counts_all() {
    let server = server();
    let waits = vec![Seconds::new(0.4); 5];
    let cheap = Run::new(&server, Hint::Cheap, waits.clone()).await;
    let fast = Run::new(&server, Hint::Fast, waits).await;
    assert_eq!((cheap.late.len(), fast.late.len()), (5, 5));
    assert!(cheap.looks >= 5, "each is found by a look: {cheap:?}");
    assert!(cheap.looks * 2 < fast.looks, "{cheap:?} {fast:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn table_for_the_docs() {
    let Some(count) = std::env::var("FMI_POLLING_WAITS").ok() else { return };
    let count: usize = count.parse().expect("a number");
    let server = server();
    let longest = total(&Arrivals::Uniform.draw(count, 7));
    let cheap = Arrivals::ALL.map(|kind| {
        // Side by side, and all for as long: of short waits there are more.
        let most = longest / total(&kind.draw(count, 7)) * count as f64;
        Run::new(&server, Hint::Cheap, kind.draw(most as usize, 7))
    });
    let cheap = futures::future::join_all(cheap).await;
    // One after the other: together they would wait for the server.
    let mut fast = Vec::new();
    for kind in Arrivals::ALL {
        fast.push(Run::new(&server, Hint::Fast, kind.draw(count.min(20), 7)).await);
    }
    // Of a look that began just when the message was there.
    let least = cheap.iter().chain(&fast).flat_map(|run| run.late.iter().copied());
    let least = least.fold(Seconds::new(60.0), Seconds::min);
    println!("{longest} of waits each; one look takes {least}\n");
    println!(
        "| arrivals | waits | best fixed interval | oracle | best fixed | `cheap` | `cheap` : best fixed | \
         simulated | looks | late | back to back | `fast` | `fast` : back to back |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    );
    let trial = Trial { prices: prices(), round_trip: least };
    for ((kind, cheap), fast) in Arrivals::ALL.into_iter().zip(&cheap).zip(&fast) {
        let (interval, fixed) = trial.best_fixed(&cheap.waits);
        let (money, number) = (cheap.money(least), cheap.waits.len() as f64);
        let mean = |run: &Run| total(&run.late) / run.late.len() as f64;
        // As long as looks took in this very run.
        let back = Trial { round_trip: fast.look_time(), ..trial };
        let late = back.back_to_back(&fast.waits).late;
        let back = late / fast.waits.len() as f64 + back.round_trip;
        println!(
            "| {kind} | {number} | {:.0} ms | {} | {} | {money} | {:.2} | {:.2} | {:.1} | {:.0} ms | {:.1} ms | \
             {:.1} ms | {:.2} |",
            interval.get() * 1e3,
            trial.oracle(&cheap.waits).money,
            fixed.money,
            money / fixed.money,
            trial.polled(&cheap.waits, Hint::Cheap).money / fixed.money,
            cheap.looks as f64 / number,
            (mean(cheap) - least).get() * 1e3,
            back.get() * 1e3,
            mean(fast).get() * 1e3,
            mean(fast) / back,
        );
    }
}

fn server() -> Server {
    let server = Server::new();
    if let Server::Own(own) = &server {
        own.faults.add(hyper::Method::GET, "", Fault::Slow(ANSWER), usize::MAX);
    }
    server
}

/// What became of waits, one after the other.
#[derive(Debug)]
struct Run {
    /// How long after the beginning of each its message was in the store; as far as that is known.
    waits: Vec<Seconds>,
    /// From then until it was received.
    late: Vec<Seconds>,
    looks: u64,
}

impl Run {
    async fn new(server: &Server, hint: Hint, waits: Vec<Seconds>) -> Self {
        let options = Options { prices: Some(prices()), looks: CAP.get(), ..server.options() };
        // No other looks than those for the message.
        let options = Options { seldom: Duration::from_secs(3600), ..options };
        let url = server.url();
        let mail = format!("{}/polling/1/mail/1/0/", &url["s3:/".len()..url.find('?').unwrap()]);
        let channels = [&url; 2].map(|url| S3::with(url, "polling", hint, options.clone()));
        let channels = futures::future::try_join_all(channels).await.unwrap();
        let nodes = nodes(&channels);
        let ranks = [0, 1].map(|rank| nodes[rank].endpoint(rank as u32).unwrap());
        for rank in &ranks {
            rank.open(SCOPE, [0, 1].into());
        }
        // Links come up, and both sides have met.
        exchange(&ranks, Duration::ZERO).await;
        let before = looks(&channels[1].requests());
        let (mut came, mut late) = (Vec::new(), Vec::new());
        for wait in waits {
            let Exchange { began, sent, received } =
                exchange(&ranks, Duration::from_secs_f64(wait.get())).await;
            // What the writing took is no lateness of the looks, and varies. Of a real server only the
            // sending is known.
            let there = match server {
                Server::Own(own) => own.faults.written(&mail, sent).expect("it was received"),
                Server::Real { .. } => sent,
            };
            came.push(Seconds::from(there - began));
            late.push(Seconds::from(received.saturating_duration_since(there)));
        }
        let looks = looks(&channels[1].requests()) - before;
        futures::future::join_all(nodes.iter().map(|node| node.leave())).await;
        for (node, channel) in nodes.iter().zip(&channels) {
            let (counted, asked) = (node.bill().counts(), channel.requests());
            assert_eq!(
                (counted.get, counted.put, counted.list, counted.delete),
                (asked.get + asked.head, asked.put, asked.list, asked.delete)
            );
            assert_eq!(counted.moved.get(), asked.sent + asked.received);
        }
        Self { waits: came, late, looks }
    }

    /// How long a look takes, if one comes right after the other.
    fn look_time(&self) -> Seconds {
        (total(&self.waits) + total(&self.late)) / self.looks as f64
    }

    /// Looks, and the function that waits for longer than it must.
    fn money(&self, least: Seconds) -> Dollars {
        let late = total(&self.late) - least * self.late.len() as f64;
        prices().look * self.looks + prices().wait * late
    }
}

/// When things happened.
struct Exchange {
    began: Instant,
    sent: Instant,
    received: Instant,
}

/// Rank 1 waits for a message that rank 0 sends later.
async fn exchange([sender, receiver]: &[Endpoint; 2], after: Duration) -> Exchange {
    let (space, began) = (Space::messages(SCOPE), Instant::now());
    let received = async {
        let any = Filter { source: Some(0), tag: None };
        receiver.recv(space, any).await.unwrap();
        Instant::now()
    };
    let sent = async {
        tokio::time::sleep(after).await;
        let at = Instant::now();
        let payload = Payload::from_vec(vec![0_u8; 100]);
        sender.send(space, 1, 0, Datatype::BYTES, payload, false).await.unwrap();
        at
    };
    let (received, sent) = futures::join!(received, sent);
    Exchange { began, sent, received }
}

fn looks(requests: &Requests) -> u64 {
    requests.get + requests.list
}

fn total(waits: &[Seconds]) -> Seconds {
    waits.iter().copied().sum()
}

/// Two processes of one rank each.
fn nodes(channels: &[Arc<S3>]) -> Vec<Arc<Node>> {
    let member = |process: u32| Member {
        process,
        ranks: vec![process],
        addresses: vec![(
            "s3".to_owned(),
            channels[process as usize].address([127, 0, 0, 1].into()).unwrap(),
        )],
        ..Member::default()
    };
    let members = vec![member(0), member(1)];
    let node = |(process, channel): (u32, &Arc<S3>)| {
        let place = Place { process, epoch: 1, members: members.clone() };
        let node = Node::new(place, vec![channel.clone()], &[], Settings::default());
        LocalLink::attach(&node);
        node.start();
        node
    };
    (0..).zip(channels).map(node).collect()
}
