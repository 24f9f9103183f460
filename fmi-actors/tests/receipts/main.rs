//! Links that do not tell when a frame has been read: somebody has to look.

#[path = "../ladder/world.rs"]
#[allow(dead_code, reason = "the tests of the ladder use all of it")]
mod world;

use fmi_actors::{
    Settings,
    channel::{Link, Room, Rung, Seat},
    frame::Frame,
    pair::Path,
};
use futures::{future::BoxFuture, task::noop_waker};
use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Context,
};
use world::World;

/// Where frames are left.
#[derive(Debug, Default)]
struct Mailbox {
    frames: AtomicUsize,
    looks: AtomicUsize,
}

impl Mailbox {
    /// Frames that were left there, and how often somebody wanted to know whether they were read.
    fn so_far(&self) -> (usize, usize) {
        (self.frames.load(Ordering::Relaxed), self.looks.load(Ordering::Relaxed))
    }
}

impl Link for Mailbox {
    fn channel(&self) -> &'static str {
        "mailbox"
    }

    fn rung(&self) -> Rung {
        Rung::Store
    }

    fn path(&self) -> Path {
        Path { receipts: true, ..Path::STREAM }
    }

    fn room(&self) -> Room {
        Room::User
    }

    fn send(&self, _: Frame) {
        self.frames.fetch_add(1, Ordering::Relaxed);
    }

    fn look(&self) {
        self.looks.fetch_add(1, Ordering::Relaxed);
    }

    fn progress(&self) -> bool {
        false
    }

    fn drive(self: Arc<Self>, _: Seat) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }

    fn close(&self) {}
}

/// Of two messages the second leaves when the one who waits for both has been woken by news of the
/// first, and has not come to it yet.
#[test]
fn whoever_waits_has_all_looked_for_that_left_meanwhile() {
    let world = World::new(&[], Settings::default());
    let (node, mailbox) = (&world.nodes[0], Arc::new(Mailbox::default()));
    let peer = node.peer(1).unwrap();
    let link: Arc<dyn Link> = mailbox.clone();
    peer.attach(link, peer.next_rank(0, 0));

    world.send(1);
    assert_eq!(mailbox.so_far(), (1, 0), "nobody waits");
    let (endpoint, waker) = (node.endpoint(0).unwrap(), noop_waker());
    let mut flush = pin!(endpoint.flush());
    let mut poll = || flush.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
    assert!(!poll());
    assert_eq!(mailbox.so_far(), (1, 1));
    node.receipt(1, 0, 1, 1);
    world.send(2);
    assert!(!poll());
    assert_eq!(mailbox.so_far(), (2, 2));
    node.receipt(1, 0, 1, 2);
    assert!(poll());
}
