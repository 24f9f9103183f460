//! Who waits for events of the connections: the threads that drive links, each once, however many
//! links it drives; and while none does, the service thread.

use super::wire::Wire;
use crate::engine::Engine;
use fmi_actors::{channel::Seat, service::Service};
use futures::future::{AbortHandle, abortable};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    future::Future,
    pin::pin,
    sync::Arc,
    task::Poll,
    thread::{self, ThreadId},
    time::Duration,
};
use tokio::{io::Interest, sync::watch};

/// Those who watch the connections of one process.
#[derive(Debug)]
pub(super) struct Watch {
    engine: Arc<Engine>,
    /// What is watched. Watchers begin anew when it changes.
    wires: watch::Sender<Vec<Arc<Wire>>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Threads that watch, and for how many links.
    threads: HashMap<ThreadId, (usize, AbortHandle)>,
    /// Links that are driven at home.
    at_home: usize,
    /// The service thread watches for want of others.
    caretaker: Option<AbortHandle>,
    over: bool,
}

impl Watch {
    /// Begins with the service thread.
    pub(super) fn new(engine: Arc<Engine>) -> Arc<Self> {
        let watch =
            Arc::new(Self { engine, wires: watch::Sender::default(), state: Mutex::default() });
        watch.take_care(&mut watch.state.lock());
        watch
    }

    /// Watches a connection, too.
    pub(super) fn add(&self, wire: &Arc<Wire>) {
        self.wires.send_modify(|wires| wires.push(Arc::clone(wire)));
    }

    /// It has ended.
    pub(super) fn remove(&self, wire: &Arc<Wire>) {
        self.wires.send_modify(|wires| wires.retain(|other| !Arc::ptr_eq(other, wire)));
    }

    /// Lets all connections look; true if something had come.
    pub(super) fn nudge(&self) -> bool {
        let heard =
            |watch: &Self| -> usize { watch.wires.borrow().iter().map(|wire| wire.heard()).sum() };
        let before = heard(self);
        self.engine.attend(|| {
            let wires = self.wires.borrow().clone();
            wires.iter().for_each(|wire| wire.nudge());
        });
        heard(self) != before
    }

    /// The current thread, which has a runtime, watches until the guard goes.
    pub(super) fn here(self: &Arc<Self>, seat: Seat) -> Guard {
        let thread = thread::current().id();
        let mut state = self.state.lock();
        state.threads.entry(thread).and_modify(|(links, _)| *links += 1).or_insert_with(|| {
            let (watching, abort) = abortable(look(self.engine.clone(), self.wires.subscribe()));
            tokio::spawn(watching);
            (1, abort)
        });
        if seat == Seat::Home {
            state.at_home += 1;
            if let Some(caretaker) = state.caretaker.take() {
                caretaker.abort();
            }
        }
        drop(state);
        Guard { watch: Arc::clone(self), thread, seat }
    }

    /// Nobody has to watch any more.
    pub(super) fn end(&self) {
        let mut state = self.state.lock();
        state.over = true;
        if let Some(caretaker) = state.caretaker.take() {
            caretaker.abort();
        }
    }

    fn take_care(&self, state: &mut State) {
        if state.at_home == 0 && !state.over && state.caretaker.is_none() {
            let (watching, abort) = abortable(look(self.engine.clone(), self.wires.subscribe()));
            Service::get().spawn(async move {
                let _ = watching.await;
            });
            state.caretaker = Some(abort);
        }
    }
}

/// One link's part in watching.
#[derive(Debug)]
pub(super) struct Guard {
    watch: Arc<Watch>,
    thread: ThreadId,
    seat: Seat,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut state = self.watch.state.lock();
        if let Some((links, abort)) = state.threads.get_mut(&self.thread) {
            *links -= 1;
            if *links == 0 {
                abort.abort();
                state.threads.remove(&self.thread);
            }
        }
        if self.seat == Seat::Home {
            state.at_home -= 1;
            self.watch.take_care(&mut state);
        }
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
