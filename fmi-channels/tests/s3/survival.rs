//! Requests fail, lists are old, answers are cut: everything arrives once, in order, and nothing
//! stays behind.

use super::job::Job;
use fmi_channels::conformance::{Bed, Rank};
use hyper::Method;
use std::sync::Arc;
use test_servers::s3::{Fault, Own, Server};

const MESSAGES: u32 = 10_000;
/// Messages between two answers, so that there are many requests to fail.
const TURN: u32 = 100;

fn length(number: u32) -> usize {
    if number % 1000 == 999 { 1_500_000 } else { 4 + number as usize % 500 }
}

async fn send(rank: &Rank) {
    for number in 0..MESSAGES {
        let mut bytes = vec![number as u8; length(number)];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        rank.put(1, 0, bytes).await;
        if number % TURN == TURN - 1 {
            let turn = rank.get(1, 1).await;
            assert_eq!(turn.payload.bytes().unwrap(), (number / TURN).to_le_bytes());
        }
    }
    rank.flushed().await;
}

async fn receive(rank: &Rank) {
    for number in 0..MESSAGES {
        // From anybody, half of the time: then the mailbox is listed.
        let from = (number / TURN).is_multiple_of(2).then_some(0);
        let got = rank.get(from, 0).await;
        let bytes = got.payload.bytes().unwrap();
        assert_eq!(bytes.len(), length(number), "length of message {number}");
        assert_eq!(bytes[..4], number.to_le_bytes(), "order of message {number}");
        assert!(bytes[4..].iter().all(|byte| *byte == number as u8), "message {number}");
        if number % TURN == TURN - 1 {
            rank.put(0, 1, (number / TURN).to_le_bytes().to_vec()).await;
        }
    }
    assert_eq!(rank.waits(None, None), None, "something came twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_in_twenty_fails_in_ten_thousand_messages() {
    let server = Arc::new(Server::Own(Own::start()));
    let job = Job::at(&server);
    let bed = Bed::new(&job, &[1, 1]);
    server.faults(|faults| {
        faults.share(50);
        faults.often(Method::GET, "list-type=2", Fault::Stale, 5);
    });
    bed.each(|rank| async move {
        match rank.rank() {
            0 => send(&rank).await,
            _ => receive(&rank).await,
        }
    })
    .await;
    server.faults(|faults| {
        let asked = faults.asked();
        println!("{} of {asked} requests were harmed", faults.hit());
        assert!(faults.hit() * 30 > asked, "{} of {asked}", faults.hit());
        assert!(asked < 2 * u64::from(MESSAGES), "a flood goes in few objects: {asked}");
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_lost_leaves_nothing() {
    let server = Arc::new(Server::any());
    let job = Job::at(&server);
    let mut bed = Some(Bed::new(&job, &[1, 1, 1]));
    let ranks: Vec<_> = bed.as_ref().unwrap().ranks().to_vec();
    for (from, to) in [(0, 1), (1, 0), (2, 0), (0, 2)] {
        for number in 0..10 {
            ranks[from].put(to, number, vec![1; 1000]).await;
        }
    }
    ranks[1].get(0, 0).await;
    // The others are told so, as the rendezvous does it.
    for other in [0, 2] {
        let node = bed.as_ref().unwrap().node(other);
        node.lose(&[1], &fmi_actors::Reason::Unreachable("the test says so".to_owned()));
    }
    drop(ranks);
    drop(bed.take());
}
