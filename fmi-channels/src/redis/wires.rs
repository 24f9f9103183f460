//! The connections of a process, and waiting for events of them.

use super::wire::Wire;
use crate::{
    engine::Engine,
    watch::{Guard, Watch},
};
use fmi_actors::channel::Seat;
use futures::FutureExt;
use std::{future::Future, pin::pin, sync::Arc, task::Poll, time::Duration};
use tokio::{io::Interest, sync::watch};

/// The connections of one process.
#[derive(Debug)]
pub(super) struct Wires {
    engine: Arc<Engine>,
    /// Watchers begin anew when they change.
    wires: watch::Sender<Vec<Arc<Wire>>>,
    watch: Arc<Watch>,
}

impl Wires {
    pub(super) fn new(engine: Arc<Engine>) -> Self {
        let wires = watch::Sender::default();
        let (watched, nudged) = (wires.clone(), Arc::clone(&engine));
        let watch = Watch::new(move || look(Arc::clone(&nudged), watched.subscribe()).boxed());
        Self { engine, wires, watch }
    }

    pub(super) fn add(&self, wire: &Arc<Wire>) {
        self.wires.send_modify(|wires| wires.push(Arc::clone(wire)));
    }

    /// It has ended.
    pub(super) fn remove(&self, wire: &Arc<Wire>) {
        self.wires.send_modify(|wires| wires.retain(|other| !Arc::ptr_eq(other, wire)));
    }

    /// Lets all connections look; true if something had come.
    pub(super) fn nudge(&self) -> bool {
        let heard = || -> usize { self.wires.borrow().iter().map(|wire| wire.heard()).sum() };
        let before = heard();
        self.engine.attend(|| {
            let wires = self.wires.borrow().clone();
            wires.iter().for_each(|wire| wire.nudge());
        });
        heard() != before
    }

    /// The current thread, which has a runtime, watches until the guard goes.
    pub(super) fn watch_here(&self, seat: Seat) -> Guard {
        self.watch.here(seat)
    }

    /// Nobody has to watch any more.
    pub(super) fn end(&self) {
        self.watch.end();
    }
}

/// Nudges with every event, on the runtime that polls this.
async fn look(engine: Arc<Engine>, mut wires: watch::Receiver<Vec<Arc<Wire>>>) {
    loop {
        let watched = wires.borrow_and_update().clone();
        let events: Result<Vec<_>, _> =
            watched.iter().map(|wire| wire.events(Interest::READABLE)).collect();
        // What came before the first event.
        engine.attend(|| watched.iter().for_each(|wire| wire.nudge()));
        let Ok(mut events) = events.map(|events| events.into_iter().map(Some).collect::<Vec<_>>())
        else {
            // Out of descriptors, or the connection has just ended.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let mut changed = pin!(wires.changed());
        let more = std::future::poll_fn(|context| {
            if let Poll::Ready(changed) = changed.as_mut().poll(context) {
                return Poll::Ready(changed.is_ok());
            }
            for (slot, wire) in events.iter_mut().zip(&watched) {
                while let Some(event) = slot
                    && let Poll::Ready(ready) = event.poll_read_ready(context)
                {
                    // Its end is told again and again, but read once.
                    let mut over = true;
                    if let Ok(mut ready) = ready {
                        over = ready.ready().is_read_closed();
                        // Cleared before the read: what comes after it sets it again.
                        ready.clear_ready();
                    }
                    if over {
                        *slot = None;
                    }
                    engine.attend(|| wire.nudge());
                }
            }
            Poll::Pending
        })
        .await;
        if !more {
            return;
        }
    }
}
