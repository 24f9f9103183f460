//! Connections are killed, servers die and forget: everything arrives once, in order.

use super::{Job, until};
use fmi_channels::conformance::{Bed, Rank};
use std::time::{Duration, Instant};
use test_servers::redis::Server;

/// Bytes of a message; some are values of their own.
fn length(number: u32) -> usize {
    if number % 100 == 99 { 40_000 } else { 8 + number as usize % 500 }
}

async fn stream(rank: &Rank, messages: u32) {
    for number in 0..messages {
        let mut bytes = vec![number as u8; length(number)];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        rank.put(1, 0, bytes).await;
    }
    rank.flushed().await;
}

/// Receives them; `disturb` is called before each that many.
async fn receive(rank: &Rank, messages: u32, every: u32, mut disturb: impl FnMut(u32)) {
    for number in 0..messages {
        if number % every == every - 1 {
            disturb(number / every);
        }
        let got = rank.get(0, 0).await;
        let bytes = got.payload.bytes().unwrap();
        assert_eq!(bytes.len(), length(number), "length of message {number}");
        assert_eq!(bytes[..4], number.to_le_bytes(), "order of message {number}");
        assert!(bytes[4..].iter().all(|byte| *byte == number as u8), "message {number}");
    }
    assert_eq!(rank.waits(None, None), None, "something came twice");
}

/// Sends 0 → 1 while `disturb` is at work, and sees that nothing stays in the store.
pub(super) async fn disturbed(
    server: &mut Server,
    messages: u32,
    every: u32,
    mut disturb: impl FnMut(&mut Server, u32),
) {
    let job = Job::at(&server.url());
    disturbed_job(&job, messages, every, |turn| disturb(server, turn)).await;
    // Nothing may be there because a mailbox is just being made again, and nobody be connected because
    // somebody is about to ask again: only both together are the end.
    let ask = |command: &[&str]| server.ask(command).concat();
    super::until("all have left, and nothing stays", || {
        ask(&["INFO", "clients"]).contains("connected_clients:1\r\n") && ask(&["DBSIZE"]) == "0"
    });
}

/// Sends 0 → 1 while `disturb` is at work.
pub(super) async fn disturbed_job(job: &Job, messages: u32, every: u32, disturb: impl FnMut(u32)) {
    let bed = Bed::new(job, &[1, 1]);
    let sender = bed.rank(0).clone();
    let sending = tokio::spawn(async move { stream(&sender, messages).await });
    let receiver = bed.rank(1).clone();
    let all = async {
        receive(&receiver, messages, every, disturb).await;
        sending.await.unwrap();
    };
    // Longer than the suite's patience: connections come and go on a machine that may be busy.
    tokio::time::timeout(Duration::from_secs(150), all).await.expect("the stream hangs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_kills_in_ten_thousand_messages() {
    let Some(mut server) = Server::start(&[]) else { return };
    let mut killed = 0;
    disturbed(&mut server, 10_000, 50, |server, turn| {
        // Alternately those for commands and those for pushes, of both processes; at least one each
        // time, so that it is two hundred in the end.
        let kind = if turn % 2 == 0 { "normal" } else { "pubsub" };
        until("somebody is connected again", || {
            let count = server.ask(&["CLIENT", "KILL", "TYPE", kind])[0].parse::<u32>().unwrap();
            killed += count;
            count > 0
        });
    })
    .await;
    assert!(killed >= 200, "only {killed} connections were there to be killed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_forgets_everything() {
    let Some(mut server) = Server::start(&[]) else { return };
    disturbed(&mut server, 1000, 100, |server, _| drop(server.ask(&["FLUSHALL"]))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_and_comes_back_empty() {
    let Some(mut server) = Server::start(&[]) else { return };
    disturbed(&mut server, 600, 200, |server, _| server.restart()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_back_with_what_it_has_written_down() {
    let Some(mut server) = Server::start(&["--appendonly", "yes"]) else { return };
    disturbed(&mut server, 600, 200, |server, _| server.restart()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_ends_connections_that_read_too_slowly() {
    let limit = ["--client-output-buffer-limit", "pubsub", "8kb", "4kb", "1"];
    let Some(mut server) = Server::start(&limit) else { return };
    disturbed(&mut server, 3000, 1000, |_, _| ()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_full_for_a_while() {
    let Some(mut server) = Server::start(&[]) else { return };
    disturbed(&mut server, 600, 200, |server, turn| {
        let bytes = if turn % 2 == 0 { "1mb" } else { "0" };
        server.ask(&["CONFIG", "SET", "maxmemory", bytes]);
        if turn % 2 == 0 {
            // Room again after at least one refusal.
            let port = server.port();
            after(port, "errorstats", "errorstat_OOM", &["CONFIG", "SET", "maxmemory", "0"]);
        }
    })
    .await;
}

/// Once a section of a server's `INFO` has a word, tells it something.
pub(super) fn after(port: u16, section: &'static str, word: &'static str, then: &[&'static str]) {
    let then = then.to_vec();
    std::thread::spawn(move || {
        let end = Instant::now() + Duration::from_secs(5);
        while !Server::tell(port, &["INFO", section]).concat().contains(word)
            && Instant::now() < end
        {
            std::thread::sleep(Duration::from_millis(5));
        }
        Server::tell(port, &then);
    });
}
