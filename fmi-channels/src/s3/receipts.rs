//! Looking whether what was written has been read: its reader deletes it.

use super::{link::S3Link, schedule::Looks};
use std::sync::Arc;

/// So many unread objects are looked for even if nobody waits: what is known of each takes memory.
pub(super) const MANY: usize = 256;

/// Looks for receipts whenever somebody waits for them, until the link is dead.
pub(super) async fn look_for(link: Arc<S3Link>) {
    loop {
        tokio::select! {
            () = link.wanted.notified() => {}
            () = link.died() => return,
        }
        let Some(looks) = link.office.upgrade().map(|office| office.looks.clone()) else { return };
        let mut looks = Looks::new(&looks, Some("receipt"));
        while !link.is_dead()
            && (!link.is_empty()
                || link.outgoing.is_waiting(link.id)
                || link.outgoing.unread() >= MANY)
        {
            tokio::select! {
                () = looks.next() => {}
                () = link.died() => return,
            }
            match link.outgoing.look(link.id).await {
                Ok(news) => {
                    if news.any {
                        looks.found();
                    }
                    if news.tell {
                        link.nudge();
                    }
                    let Some(node) = link.node() else { return };
                    for (source, destination, upto) in news.read {
                        node.receipt(link.outgoing.to, source, destination, upto);
                    }
                }
                Err(trouble) => link.fail(&trouble),
            }
        }
    }
}
