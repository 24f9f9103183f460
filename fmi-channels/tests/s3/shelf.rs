//! What is published: once there, read by many, then gone.

use super::job::Job;
use bytes::Bytes;
use fmi_actors::{
    Error,
    frame::Space,
    store::{Item, Part, Store},
};
use fmi_channels::conformance::Bed;
use hyper::Method;
use std::sync::Arc;
use test_servers::s3::{Fault, Own, Server};

const SPACE: Space = Space { scope: 7, number: 3 };
/// The smallest that S3 takes, so that little is large.
const PART: usize = 5 << 20;

fn block(number: usize) -> Item {
    Item { space: SPACE, from: 0, part: Part::Block(number) }
}

fn content(length: usize) -> Bytes {
    (0..length).map(|at| (at * 7 + at / 251) as u8).collect::<Vec<_>>().into()
}

fn shelves(bed: &Bed) -> Vec<Arc<dyn Store>> {
    let shelf = |rank: u32| bed.node(rank as usize).store().expect("the channel has one");
    bed.ranks().iter().map(|rank| shelf(rank.rank())).collect()
}

fn job(server: &Arc<Server>) -> Job {
    let mut job = Job::at(server);
    if let Server::Own(_) = **server {
        job.options.part = PART;
    }
    job
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_read_what_was_put_there_once() {
    let job = job(&Arc::new(Server::any()));
    let bed = Bed::new(&job, &[1, 1, 1]);
    let shelves = shelves(&bed);
    for (number, length) in [0, 1, 70_000, 200_000, PART, PART + 1, 12_000_000].iter().enumerate() {
        let bytes = content(*length);
        // Who asks before it is there waits.
        let early = tokio::spawn(shelves[1].get(block(number), 16));
        shelves[0].put(block(number), bytes.clone(), 3).await.unwrap();
        let early = bed.bounded("the early reader", early).await.unwrap().unwrap();
        assert_eq!(early.as_slice(), &bytes[..], "{length}");
        let late = bed.bounded("the late reader", shelves[2].get(block(number), 16)).await.unwrap();
        assert_eq!(late.as_slice(), &bytes[..], "{length}");
        assert!(late.as_slice().as_ptr().addr().is_multiple_of(16));
        shelves[1].skip(block(number));
    }
    assert_eq!(job.keys("/item/").len(), 7, "nobody has told yet that it was read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges_of_it() {
    let job = job(&Arc::new(Server::any()));
    let bed = Bed::new(&job, &[1, 1]);
    let shelves = shelves(&bed);
    for (number, length) in [100_usize, 200_000, 12_000_000].into_iter().enumerate() {
        let bytes = content(length);
        shelves[0].put(block(number), bytes.clone(), 1).await.unwrap();
        let ranges =
            [(0, 0), (0, 10), (length - 10, length), (length / 3, length / 2), (0, length)];
        for (from, to) in ranges {
            let (item, range) = (block(number), from as u64..to as u64);
            let last = (from, to) == (0, length);
            let part = shelves[1].read(item, Some(range), 8, last);
            let part = bed.bounded("the range", part).await.unwrap();
            assert_eq!(part.as_slice(), &bytes[from..to], "{from}..{to} of {length}");
        }
        let name = format!("/block-{number:010}");
        bed.until("its only reader deletes it", || job.keys(&name).is_empty()).await;
        shelves[0].put(block(number), bytes.clone(), 1).await.unwrap();
        let beyond = shelves[1].read(block(number), Some(0..length as u64 + 1), 8, true);
        let beyond = bed.bounded("too much", beyond).await.unwrap_err();
        assert!(beyond.to_string().contains("bytes where"), "{beyond}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_all_have_read_is_deleted_when_its_writer_is_told() {
    let job = Job::at(&Arc::new(Server::any()));
    let bed = Bed::new(&job, &[1, 1, 1]);
    let shelves = shelves(&bed);
    shelves[0].put(block(1), content(10), 2).await.unwrap();
    for reader in [1, 2] {
        shelves[reader].get(block(1), 1).await.unwrap();
        // It goes with what is written anyway.
        bed.rank(reader).put(0, 0, b"word".to_vec()).await;
        bed.rank(0).get(reader as u32, 0).await;
    }
    bed.until("the writer deletes it", || job.keys("/item/").is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn much_that_was_read_is_told_by_itself() {
    let job = Job::at(&Arc::new(Server::any()));
    let bed = Bed::new(&job, &[1, 1]);
    let shelves = shelves(&bed);
    // As many as make a process wait.
    let items: Vec<_> = (0..4096).collect();
    for some in items.chunks(512) {
        let put = some.iter().map(|number| shelves[0].put(block(*number), content(9), 2));
        futures::future::try_join_all(put).await.unwrap();
    }
    let room = tokio::spawn(shelves[0].room());
    for some in items.chunks(512) {
        let read = some.iter().map(|number| {
            shelves[1].skip(block(*number));
            shelves[1].get(block(*number), 1)
        });
        let read = futures::future::try_join_all(read);
        bed.bounded("the items", read).await.unwrap();
    }
    bed.bounded("room", room).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_of_no_use_any_more_is_deleted() {
    let job = job(&Arc::new(Server::any()));
    let bed = Bed::new(&job, &[1, 1]);
    let shelves = shelves(&bed);
    shelves[0].put(block(1), content(12_000_000), 1).await.unwrap();
    shelves[0].put(block(2), content(10), 1).await.unwrap();
    // It may be under way or not begun.
    let late = tokio::spawn(shelves[0].put(block(3), content(12_000_000), 1));
    shelves[0].forget(SPACE);
    late.await.unwrap().unwrap();
    bed.until("forgotten", || job.keys("/item/").is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_items_are_looked_for_by_one_list() {
    let server = Arc::new(Server::Own(Own::start()));
    let job = Job::at(&server);
    let bed = Bed::new(&job, &[1, 1]);
    let shelves = shelves(&bed);
    let asked = || {
        let mut asked = 0;
        server.faults(|faults| asked = faults.requests(&Method::GET));
        asked
    };
    let reads: Vec<_> =
        (0..64).map(|number| tokio::spawn(shelves[1].get(block(number), 1))).collect();
    // Looks are under way.
    let before = asked();
    bed.until("some looks", || asked() >= before + 10).await;
    // A list that is old tells nothing new, but does no harm.
    server.faults(|faults| faults.add(Method::GET, "list-type=2", Fault::Stale, 5));
    for number in 0..64 {
        shelves[0].put(block(number), content(number), 2).await.unwrap();
    }
    for (number, read) in reads.into_iter().enumerate() {
        let got = bed.bounded("the item", read).await.unwrap().unwrap();
        assert_eq!(got.as_slice(), &content(number)[..]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payload_that_the_store_has_lost_is_named() {
    let job = Job::at(&Arc::new(Server::any()));
    let bed = Bed::new(&job, &[1, 1]);
    let item = Item { space: SPACE, from: 0, part: Part::Message(1, 9) };
    let lost = shelves(&bed)[1].get(item, 1).await.unwrap_err();
    assert!(matches!(&lost, Error::Lost { what, .. } if what.contains("rank 0")), "{lost:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_messages_lie_on_the_shelf() {
    let job = job(&Arc::new(Server::any()));
    let bed = Bed::new(&job, &[1, 1]);
    let large = vec![7u8; 12_000_000];
    let (sender, sent) = (bed.rank(0).clone(), large.clone());
    let sending = tokio::spawn(async move { sender.put(1, 0, sent).await });
    bed.until("its payload is on the shelf", || job.keys("/message-1-").len() == 1).await;
    let got = bed.bounded("the message", bed.rank(1).get(0, 0)).await;
    assert!(got.payload.bytes().unwrap() == large);
    bed.bounded("the sender", sending).await.unwrap();
    bed.until("its reader deletes it", || job.keys("/item/").is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_an_upload_that_was_begun_twice_one_is_given_up() {
    let server = Arc::new(Server::Own(Own::start()));
    let job = job(&server);
    let bed = Bed::new(&job, &[1, 1]);
    let shelves = shelves(&bed);
    let faults = [Fault::Busy, Fault::DoneButFailed, Fault::DoneButReset, Fault::Cut];
    for (number, fault) in faults.into_iter().enumerate() {
        server.faults(|faults| faults.add(Method::POST, "uploads", fault, 1));
        shelves[0].put(block(number), content(12_000_000), 1).await.unwrap();
        let Server::Own(own) = &*server else { unreachable!("it is one of our own") };
        assert_eq!(own.uploads(), [""; 0], "{fault:?}");
        bed.bounded("the item", shelves[1].get(block(number), 1)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_an_upload_is_given_up() {
    let server = Arc::new(Server::Own(Own::start()));
    let job = job(&server);
    let bed = Bed::new(&job, &[1, 1]);
    let shelves = shelves(&bed);
    server.faults(|faults| faults.add(Method::PUT, "partNumber=2", Fault::Denied, 1));
    let denied = shelves[0].put(block(1), content(12_000_000), 1).await.unwrap_err();
    assert!(denied.to_string().contains("s3:PutObject"), "{denied}");
    server.faults(|faults| {
        for part in ["partNumber=1", "partNumber=3", "uploadId="] {
            faults.add(Method::PUT, part, Fault::DoneButReset, 1);
            faults.add(Method::POST, part, Fault::DoneButFailed, 1);
        }
    });
    shelves[0].put(block(2), content(12_000_000), 1).await.unwrap();
    let got = bed.bounded("the item", shelves[1].get(block(2), 1)).await.unwrap();
    assert_eq!(got.as_slice(), &content(12_000_000)[..]);
}
