//! Hears that something has changed.

use super::super::{connection::Connection, hub::Hub, trouble::Trouble};
use fmi_actors::service::Service;
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::sync::{oneshot, watch};

/// Between attempts to hear again.
const AGAIN: Duration = Duration::from_millis(250);

/// A subscription, made anew when it breaks, until this is dropped.
#[derive(Debug)]
pub(super) struct Bell {
    rung: watch::Receiver<u64>,
    /// What was rung when it was looked last.
    heard: parking_lot::Mutex<u64>,
    _end: oneshot::Sender<()>,
}

impl Bell {
    /// Subscribes to a channel. On the service thread.
    pub(super) async fn listen(
        hub: &Arc<Hub>,
        channel: String,
        slot: u16,
    ) -> Result<Self, Trouble> {
        let (ring, rung) = watch::channel(0);
        let ring = Arc::new(ring);
        let first = subscribe(hub, &channel, slot, &ring).await?;
        let (end, ended) = oneshot::channel();
        let kept = keep(Arc::downgrade(hub), channel, slot, ring, first);
        Service::get().spawn(async move {
            tokio::select! {
                _ = ended => {}
                () = kept => {}
            }
        });
        Ok(Self { rung, heard: parking_lot::Mutex::new(0), _end: end })
    }

    /// It is looked now: what was rung before counts no more.
    pub(super) fn heard(&self) {
        *self.heard.lock() = *self.rung.borrow();
    }

    /// Waits until it has rung since it was looked last.
    pub(super) async fn rings(&self) {
        let heard = *self.heard.lock();
        let mut rung = self.rung.clone();
        if rung.wait_for(|rung| *rung != heard).await.is_err() {
            futures::future::pending::<()>().await;
        }
    }
}

async fn keep(
    hub: Weak<Hub>,
    channel: String,
    slot: u16,
    ring: Arc<watch::Sender<u64>>,
    mut live: Connection,
) {
    loop {
        let cut = Cut(live);
        cut.0.over().await;
        drop(cut);
        live = loop {
            let Some(hub) = hub.upgrade().filter(|hub| !hub.is_over()) else { return };
            match subscribe(&hub, &channel, slot, &ring).await {
                Ok(live) => break live,
                Err(trouble) => tracing::debug!("no word from the directory: {}", trouble.reason),
            }
            drop(hub);
            tokio::time::sleep(AGAIN).await;
        };
        // Word may have been missed.
        ring.send_modify(|rung| *rung += 1);
    }
}

/// A connection that ends with its listener.
struct Cut(Connection);

impl Drop for Cut {
    fn drop(&mut self) {
        self.0.cut();
    }
}

async fn subscribe(
    hub: &Hub,
    channel: &str,
    slot: u16,
    ring: &Arc<watch::Sender<u64>>,
) -> Result<Connection, Trouble> {
    let ring = Arc::clone(ring);
    let ear = Box::new(move |_| ring.send_modify(|rung| *rung += 1));
    let connection = hub.listen(slot, ear).await?;
    let mut subscribe = hub.subscribe();
    subscribe.arg(channel);
    connection.ask(subscribe).await?;
    Ok(connection)
}
