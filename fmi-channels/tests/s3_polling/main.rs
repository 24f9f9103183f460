//! Waits of known lengths for messages through a bucket: what they cost and how late they are, and
//! that the meter has counted every request.
//!
//! `FMI_POLLING_WAITS=200 cargo test -p fmi-channels --features s3 --test s3_polling -- --nocapture`
//! prints the table of `docs/model.md`: against a server in this process whose answers take 20 ms, or
//! against a real one ([`server`]).

#![cfg(feature = "s3")]

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
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use test_servers::s3::{Fault, Server};

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
    let took = mean(&cheap.iter().flat_map(|run| run.took.clone()).collect::<Vec<_>>());
    println!("{longest} of waits each; a look takes {took}\n");
    println!(
        "| arrivals | waits | best fixed interval | oracle | best fixed | `cheap` | `cheap` : best fixed | \
         simulated | looks | late | back to back | `fast` | `fast` : back to back |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    );
    for ((kind, cheap), fast) in Arrivals::ALL.into_iter().zip(&cheap).zip(&fast) {
        // Whatever the rule, looks take as long as they did in this very run.
        let trial = |run: &Run| Trial { prices: prices(), round_trip: mean(&run.took) };
        let (interval, fixed) = trial(cheap).best_fixed(&cheap.waits);
        let number = cheap.waits.len();
        let late = trial(fast).back_to_back(&fast.waits).late / fast.waits.len() as f64;
        let [back, known] = [late, mean(&fast.late)].map(|late| late + mean(&fast.took));
        println!(
            "| {kind} | {number} | {:.0} ms | {} | {} | {} | {:.2} | {:.2} | {:.1} | {:.0} ms | {:.1} ms | \
             {:.1} ms | {:.2} |",
            interval.get() * 1e3,
            trial(cheap).oracle(&cheap.waits).money,
            fixed.money,
            cheap.money(),
            cheap.money() / fixed.money,
            trial(cheap).polled(&cheap.waits, Hint::Cheap).money / fixed.money,
            cheap.looks as f64 / number as f64,
            mean(&cheap.late).get() * 1e3,
            back.get() * 1e3,
            known.get() * 1e3,
            known / back,
        );
    }
}

fn server() -> Server {
    let server = Server::any();
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
    /// From then until the look began that found it.
    late: Vec<Seconds>,
    /// From then until it was received.
    took: Vec<Seconds>,
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
        let (mut came, mut late, mut took) = (Vec::new(), Vec::new(), Vec::new());
        for wait in waits {
            let Exchange { began, sent, received } =
                exchange(&ranks, Duration::from_secs_f64(wait.get())).await;
            // What writing and reading take is no lateness of the looks, and varies. Of a real server
            // only the ends are known.
            let (there, found) = match server {
                Server::Own(own) => own.log.passage(&mail, sent).await,
                Server::Real { .. } => (sent, received),
            };
            came.push(Seconds::from(there - began));
            late.push(Seconds::from(found - there));
            took.push(Seconds::from(received - found));
        }
        if let Server::Real { .. } = server {
            let least = late.iter().copied().fold(Seconds::new(60.0), Seconds::min);
            late.iter_mut().for_each(|late| *late -= least);
            took.fill(least);
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
        Self { waits: came, late, took, looks }
    }

    /// Looks, and the function that waits for longer than it must.
    fn money(&self) -> Dollars {
        prices().look * self.looks + prices().wait * total(&self.late)
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

fn total(spans: &[Seconds]) -> Seconds {
    spans.iter().copied().sum()
}

fn mean(spans: &[Seconds]) -> Seconds {
    total(spans) / spans.len() as f64
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
        let place = Place { process, epoch: 1, members: members.clone(), model: Arc::default() };
        let node = Node::new(place, vec![channel.clone()], &[], Settings::default());
        LocalLink::attach(&node);
        node.start();
        node
    };
    (0..).zip(channels).map(node).collect()
}
