//! What is published: once there, read by many, then gone.

use super::Job;
use bytes::Bytes;
use fmi_actors::{
    Error, Node,
    frame::Space,
    store::{Item, Part, Store},
};
use fmi_channels::conformance::Bed;
use std::sync::Arc;
use test_servers::redis::Server;

const SPACE: Space = Space { scope: 7, number: 3 };

fn block(from: u32, number: usize) -> Item {
    Item { space: SPACE, from, part: Part::Block(number) }
}

fn content(length: usize) -> Bytes {
    (0..length).map(|at| (at * 7 + at / 251) as u8).collect::<Vec<_>>().into()
}

fn shelves(bed: &Bed) -> Vec<Arc<dyn Store>> {
    bed.ranks().iter().map(|rank| shelf(bed.node(rank.rank() as usize))).collect()
}

fn shelf(node: &Arc<Node>) -> Arc<dyn Store> {
    node.store().expect("the channel has one")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_read_what_was_put_there_once() {
    let Some(server) = Server::any() else { return };
    let job = Job::at(&server.url());
    let bed = Bed::new(&job, &[1, 1, 1]);
    let shelves = shelves(&bed);
    for (number, length) in [0, 1, 70_000, 512 << 10, (512 << 10) + 1, 3_000_000].iter().enumerate()
    {
        let bytes = content(*length);
        // Who asks before it is there waits.
        let early = tokio::spawn(shelves[1].get(block(0, number), 16));
        shelves[0].put(block(0, number), bytes.clone(), 3).await.unwrap();
        assert_eq!(early.await.unwrap().unwrap().as_slice(), &bytes[..], "{length}");
        let late = shelves[2].get(block(0, number), 16).await.unwrap();
        assert_eq!(late.as_slice(), &bytes[..], "{length}");
        assert!(late.as_slice().as_ptr().addr().is_multiple_of(16));
        shelves[1].skip(block(0, number));
        let items = format!("{}5.0}}:s:", job.prefix());
        bed.until("the last reader deletes it", || server.keys(&items).is_empty()).await;
    }
    drop((shelves, bed));
    server.wait_until_empty(&job.prefix());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges_of_it() {
    let Some(server) = Server::any() else { return };
    let job = Job::at(&server.url());
    let bed = Bed::new(&job, &[1, 1]);
    let shelves = shelves(&bed);
    for (number, length) in [100_usize, 2_000_000].into_iter().enumerate() {
        let bytes = content(length);
        shelves[0].put(block(0, number), bytes.clone(), 1).await.unwrap();
        let ranges =
            [(0, 0), (0, 10), (length - 10, length), (length / 3, length / 2), (0, length)];
        for (from, to) in ranges {
            let (item, range) = (block(0, number), from as u64..to as u64);
            let last = (from, to) == (0, length);
            let part = shelves[1].read(item, Some(range), 8, last);
            assert_eq!(
                part.await.unwrap().as_slice(),
                &bytes[from..to],
                "{from}..{to} of {length}"
            );
        }
    }
    drop((shelves, bed));
    server.wait_until_empty(&job.prefix());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_of_no_use_any_more_is_deleted() {
    let Some(server) = Server::any() else { return };
    let job = Job::at(&server.url());
    let bed = Bed::new(&job, &[1, 1]);
    let shelves = shelves(&bed);
    shelves[0].put(block(0, 1), content(2_000_000), 1).await.unwrap();
    shelves[0].put(block(0, 2), content(10), 1).await.unwrap();
    let items = || server.keys(&job.prefix()).iter().filter(|key| key.contains(":s:")).count();
    assert!(items() > 4);
    shelves[0].forget(SPACE);
    bed.until("forgotten", || items() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payload_that_the_store_has_lost_is_named() {
    let Some(server) = Server::any() else { return };
    let bed = Bed::new(&Job::at(&server.url()), &[1, 1]);
    let item = Item { space: SPACE, from: 0, part: Part::Message(1, 9) };
    // Nobody will put it there any more.
    shelf(bed.node(1)).gone(&[0]);
    let lost = shelf(bed.node(1)).get(item, 1).await.unwrap_err();
    assert!(matches!(&lost, Error::Lost { what, .. } if what.contains("rank 0")), "{lost:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_something_else_has_written_is_not_taken() {
    let Some(server) = Server::start(&[]) else { return };
    let job = Job::at(&server.url());
    let bed = Bed::new(&job, &[1, 1]);
    let shelves = shelves(&bed);
    let key_of = |number: usize| format!("{}5.0}}:s:7.3.0.b{number}", job.prefix());
    for (number, spoil) in
        [vec!["SETRANGE", "40", "xyz"], vec!["SET", "hello"], vec!["APPEND", "more"]]
            .into_iter()
            .enumerate()
    {
        shelves[0].put(block(0, number), content(100), 1).await.unwrap();
        let key = key_of(number);
        let mut command = vec![spoil[0], &key];
        command.extend(&spoil[1..]);
        server.ask(&command);
        let refused = shelves[1].get(block(0, number), 1).await.unwrap_err();
        let Error::Store { store, reason, .. } = &refused else { panic!("{refused:?}") };
        assert!(store.starts_with("redis://") && reason.contains("something else"), "{refused}");
    }
    server.ask(&["RPUSH", &key_of(9), "x"]);
    let refused = shelves[1].get(block(0, 9), 1).await.unwrap_err();
    assert!(refused.to_string().contains("fmi:"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_is_told_after_connections_were_killed() {
    let Some(server) = Server::start(&[]) else { return };
    let bed = Bed::new(&Job::at(&server.url()), &[1, 1]);
    let shelves = shelves(&bed);
    for number in 0..20 {
        let waits = tokio::spawn(shelves[1].get(block(0, number), 1));
        server.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
        shelves[0].put(block(0, number), content(1000), 1).await.unwrap();
        let got = bed.bounded("the item", waits).await.unwrap().unwrap();
        assert_eq!(got.as_slice(), &content(1000)[..]);
    }
}

/// While he who has put it there lives, what the store forgets is put there once more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_store_forgets_is_put_there_once_more() {
    let Some(server) = Server::start(&[]) else { return };
    let job = Job::at(&server.url());
    let bed = Bed::new(&job, &[1, 1]);
    let shelves = shelves(&bed);
    let message = Item { space: SPACE, from: 0, part: Part::Message(1, 9) };
    for (round, length) in [100, 2_000_000].into_iter().enumerate() {
        shelves[0].put(block(0, round), content(length), 1).await.unwrap();
        shelves[0].put(message, content(length), 1).await.unwrap();
        server.ask(&["FLUSHALL"]);
        for item in [message, block(0, round)] {
            let got = bed.bounded("the item", shelves[1].get(item, 1)).await.unwrap();
            assert_eq!(got.as_slice(), &content(length)[..]);
        }
    }
    drop((shelves, bed));
    server.wait_until_empty(&job.prefix());
}
