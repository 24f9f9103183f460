//! Channel `local`: ranks of one process. Payloads are handed over, never copied.

use fmi_actors::{
    LinkRank, Node,
    channel::{Link, Room, Seat},
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

impl LocalLink {
    /// Lets the ranks of this process reach each other.
    pub fn attach(node: &Arc<Node>) {
        if let Some(own) = node.peer(node.process()) {
            let link = Arc::new(Self { node: Arc::downgrade(node) });
            own.attach(link, LinkRank { generation: 1, preferred: true });
        }
    }
}

impl Link for LocalLink {
    fn channel(&self) -> &'static str {
        "local"
    }

    fn path(&self) -> Path {
        Path::DIRECT
    }

    fn room(&self) -> Room {
        Room::User
    }

    fn send(&self, frame: Frame) {
        if let Some(node) = self.node.upgrade()
            && let Err(violation) = node.accept(Path::DIRECT, frame, None)
        {
            tracing::error!(%violation, "a rank of this process broke the pair protocol");
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
