//! Memory that real processes share: who may, and what is left when one is killed.

#![cfg(all(feature = "shm", target_os = "linux"))]

use fmi_actors::{
    Endpoint, Member, Node, Payload, Place, Reason, Settings,
    channel::Channel,
    frame::{Datatype, Space},
    mailbox::{Failure, Filter},
    pair::Body,
};
use fmi_channels::{handshake::Token, local::LocalLink, shm::Shm};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{IpAddr, Ipv4Addr},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

const SECRET: &str = "correct horse battery staple";
const SCOPE: u64 = 7;
/// A message that is longer than a ring.
const LONG: usize = 8 << 20;
/// How long a peer may be silent.
const SILENT: Duration = Duration::from_secs(2);
/// Set for the process that is to be killed.
const VICTIM: &str = "FMI_TEST_SHM_VICTIM";

fn bind(secret: &str) -> (Shm, String) {
    let channel = Shm::bind(Token::new(secret)).unwrap();
    let address = channel.address(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
    (channel, address)
}

/// A process of a job in which each has one rank, and these addresses.
fn node(process: u32, channel: Shm, addresses: &[String]) -> (Arc<Node>, Endpoint) {
    let members = (0..)
        .zip(addresses)
        .map(|(process, address)| Member {
            process,
            ranks: vec![process],
            addresses: vec![("shm".to_owned(), address.clone())],
            machine: "here".to_owned(),
            ..Member::default()
        })
        .collect();
    let settings = Settings { silent: SILENT, ..Settings::default() };
    let place = Place { process, epoch: 5, members, model: Arc::default() };
    let node = Node::new(place, vec![Arc::new(channel)], &[], settings);
    LocalLink::attach(&node);
    node.start();
    let rank = node.endpoint(process).unwrap();
    rank.open(SCOPE, (0..addresses.len() as u32).collect());
    (node, rank)
}

fn content(number: u32, length: usize) -> Vec<u8> {
    (0..length).map(|at| (at as u32).wrapping_mul(31).wrapping_add(number * 7) as u8).collect()
}

async fn send(rank: &Endpoint, to: u32, bytes: Vec<u8>) -> bool {
    let payload = Payload::from_vec(bytes);
    rank.send(Space::messages(SCOPE), to, 0, Datatype::BYTES, payload, false).await.is_ok()
}

async fn receive(rank: &Endpoint, from: u32) -> Result<Payload, Failure> {
    let filter = Filter { source: Some(from), tag: None };
    match rank.recv(Space::messages(SCOPE), filter).await?.body {
        Body::Here(payload) => Ok(payload),
        _ => panic!("a receive ended without its payload"),
    }
}

/// Ranks 0 and 2 live here, rank 1 in a process that is killed while it sends to both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_killed_in_a_transfer_is_lost_and_leaves_nothing() {
    if std::env::var(VICTIM).is_ok() {
        return victim().await;
    }
    let name = "who_is_killed_in_a_transfer_is_lost_and_leaves_nothing";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(VICTIM, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap()).lines();
    let victim =
        said.map(Result::unwrap).find_map(|line| Some(line.split_once("at ")?.1.to_owned()));
    let ((first, at_first), (third, at_third)) = (bind(SECRET), bind(SECRET));
    let addresses = [at_first, victim.unwrap(), at_third];
    writeln!(child.stdin.take().unwrap(), "{} {}", addresses[0], addresses[2]).unwrap();
    let (nodes, ranks): (Vec<_>, Vec<_>) =
        [node(0, first, &addresses), node(2, third, &addresses)].into_iter().unzip();
    // Both get something before the end.
    for (number, rank) in [(0, &ranks[0]), (0, &ranks[1]), (1, &ranks[0])] {
        let payload = receive(rank, 1).await.unwrap();
        assert!(payload.bytes().unwrap() == content(number, LONG), "message {number}");
    }
    let link = nodes[0].route(1).and_then(|peer| peer.link()).unwrap();
    assert_eq!((link.channel(), link.rung().name()), ("shm", "machine"));
    drop(link);
    child.kill().unwrap();
    child.wait().unwrap();
    let killed = Instant::now();
    for rank in &ranks {
        // What had arrived whole is still there; what had not never comes.
        let failure = loop {
            match receive(rank, 1).await {
                Ok(payload) => assert_eq!(payload.bytes().unwrap().len(), LONG),
                Err(failure) => break failure,
            }
        };
        let lost = matches!(&failure, Failure::Lost { rank: 1, reason: Reason::Unreachable(_) });
        assert!(lost, "{failure:?}");
    }
    assert!(killed.elapsed() < 3 * SILENT, "{:?}", killed.elapsed());
    // The others have lost nothing.
    for number in 0..20 {
        let sent = content(number, LONG / 8 + number as usize);
        assert!(send(&ranks[0], 2, sent.clone()).await);
        let got = receive(&ranks[1], 0).await.unwrap();
        assert!(got.bytes().unwrap() == sent, "message {number}");
    }
    assert!(segments() > 0, "those of ranks 0 and 2");
    nodes.iter().for_each(|node| node.close());
    drop((ranks, nodes));
    while segments() > 0 {
        assert!(killed.elapsed() < Duration::from_secs(30), "{} segments are left", segments());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Sends to both others until it is killed.
async fn victim() {
    let (channel, address) = bind(SECRET);
    println!("at {address}");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    let (first, third) = line.trim().split_once(' ').unwrap();
    let (_node, rank) = node(1, channel, &[first.to_owned(), address, third.to_owned()]);
    for number in 0.. {
        for to in [0, 2] {
            if !send(&rank, to, content(number, LONG)).await {
                return;
            }
        }
    }
}

/// Segments that are mapped or open in this process.
fn segments() -> usize {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let open = fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| {
        let target = fs::read_link(entry.ok()?.path()).ok()?;
        target.to_str()?.contains("memfd:fmi").then_some(())
    });
    maps.matches("memfd:fmi").count() + open.count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_holds_another_token_gets_no_memory() {
    let ((right, at_right), (wrong, at_wrong)) = (bind(SECRET), bind("another"));
    let addresses = [at_right, at_wrong];
    let (here, rank) = node(0, right, &addresses);
    let (there, stranger) = node(1, wrong, &addresses);
    assert!(send(&stranger, 0, vec![1]).await, "it waits in the outbox");
    let failure = receive(&stranger, 0).await.unwrap_err();
    let told = format!("{failure:?}");
    assert!(told.contains("another token"), "{told}");
    assert!(here.route(1).unwrap().link().is_none());
    here.close();
    there.close();
    drop(rank);
}
