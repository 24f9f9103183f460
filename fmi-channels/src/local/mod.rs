//! Channel `local`: ranks of one process. Payloads are handed over, never copied.

use fmi_actors::{
    LinkRank, Node,
    channel::{Link, Room, Rung, Seat},
    frame::Frame,
    pair::Path,
};
use futures::future::BoxFuture;
use std::sync::{Arc, Weak};

/// The link of a process to itself.
#[derive(Debug)]
pub struct LocalLink {
    node: Weak<Node>,
}

/// The same for one pair. It holds the node: to take a count that all cores share for each
/// message would be a good part of the message's price. The core drops it with the rank's last
/// communicator.
#[derive(Debug)]
struct Handle {
    node: Arc<Node>,
}

impl LocalLink {
    /// Lets the ranks of this process reach each other.
    pub fn attach(node: &Arc<Node>) {
        if let Some(own) = node.peer(node.process()) {
            let link = Arc::new(Self { node: Arc::downgrade(node) });
            own.attach(link, LinkRank { generation: 1, quality: u16::MAX, preferred: true });
        }
    }
}

impl Link for LocalLink {
    fn channel(&self) -> &'static str {
        "local"
    }

    fn rung(&self) -> Rung {
        Rung::Local
    }

    fn path(&self) -> Path {
        Path::DIRECT
    }

    fn handle(&self) -> Option<Arc<dyn Link>> {
        Some(Arc::new(Handle { node: self.node.upgrade()? }))
    }

    fn room(&self) -> Room {
        Room::User
    }

    fn send(&self, frame: Frame) {
        if let Some(node) = self.node.upgrade() {
            hand_over(&node, frame);
        }
    }

    fn progress(&self) -> bool {
        false
    }

    fn drive(self: Arc<Self>, _seat: Seat) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }

    fn close(&self) {}
}

impl Link for Handle {
    fn channel(&self) -> &'static str {
        "local"
    }

    fn rung(&self) -> Rung {
        Rung::Local
    }

    fn path(&self) -> Path {
        Path::DIRECT
    }

    fn room(&self) -> Room {
        Room::User
    }

    fn send(&self, frame: Frame) {
        hand_over(&self.node, frame);
    }

    fn progress(&self) -> bool {
        false
    }

    fn drive(self: Arc<Self>, _seat: Seat) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }

    fn close(&self) {}
}

fn hand_over(node: &Node, frame: Frame) {
    if let Err(violation) = node.accept(node.process(), Path::DIRECT, frame, None) {
        tracing::error!(%violation, "a rank of this process broke the pair protocol");
    }
}
