//! Who waits for events of sockets: the threads that drive links, each once, however many links it
//! drives; and while none does, the service thread.

use fmi_actors::{channel::Seat, service::Service};
use futures::future::{AbortHandle, BoxFuture, abortable};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    fmt,
    sync::Arc,
    thread::{self, ThreadId},
};

/// Those who watch the same sockets.
pub(super) struct Watch {
    /// Watches on the runtime that polls it, until it is dropped.
    look: Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>,
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
    pub(super) fn new(
        look: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let watch = Arc::new(Self { look: Box::new(look), state: Mutex::default() });
        watch.take_care(&mut watch.state.lock());
        watch
    }

    /// The current thread, which has a runtime, watches until the guard goes.
    pub(super) fn here(self: &Arc<Self>, seat: Seat) -> Guard {
        let thread = thread::current().id();
        let mut state = self.state.lock();
        state.threads.entry(thread).and_modify(|(links, _)| *links += 1).or_insert_with(|| {
            let (watching, abort) = abortable((self.look)());
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
            let (watching, abort) = abortable((self.look)());
            Service::get().spawn(async move {
                let _ = watching.await;
            });
            state.caretaker = Some(abort);
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("state", &self.state).finish_non_exhaustive()
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
