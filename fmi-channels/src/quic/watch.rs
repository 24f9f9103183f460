//! Who waits for events of the socket: the threads that drive links of it, each once, however many
//! links it drives; and while none does, the service thread.

use super::{engine::Engine, socket::Socket};
use fmi_actors::{channel::Seat, service::Service};
use futures::future::{AbortHandle, abortable};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    io,
    net::UdpSocket,
    sync::Arc,
    task::Poll,
    thread::{self, ThreadId},
};
use tokio::io::{Interest, unix::AsyncFd};

/// Those who watch one socket.
#[derive(Debug)]
pub(super) struct Watch {
    engine: Arc<Engine>,
    socket: Arc<Socket>,
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
    pub(super) fn new(engine: Arc<Engine>, socket: Arc<Socket>) -> Arc<Self> {
        let watch = Arc::new(Self { engine, socket, state: Mutex::default() });
        watch.take_care(&mut watch.state.lock());
        watch
    }

    /// The current thread, which has a runtime, watches until the guard goes.
    pub(super) fn here(self: &Arc<Self>, seat: Seat) -> Guard {
        let thread = thread::current().id();
        let mut state = self.state.lock();
        state.threads.entry(thread).and_modify(|(links, _)| *links += 1).or_insert_with(|| {
            let (watching, abort) = abortable(look(self.engine.clone(), self.socket.clone()));
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
            let (watching, abort) = abortable(look(self.engine.clone(), self.socket.clone()));
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

/// Registers a duplicate of the socket with the current runtime's event queue.
pub(super) fn events(socket: &Socket, of: Interest) -> io::Result<AsyncFd<UdpSocket>> {
    let duplicate = socket.duplicate()?;
    // SAFETY: the socket owns its descriptor, keeps it until it is dropped, and moves with the
    // AsyncFd, which is dropped as one.
    unsafe { AsyncFd::register_with_interest(duplicate, of) }.map_err(|error| error.into_parts().1)
}

/// Nudges with every event, on the runtime that polls this.
async fn look(engine: Arc<Engine>, socket: Arc<Socket>) {
    let events = match events(&socket, Interest::READABLE) {
        Ok(events) => events,
        Err(error) => return tracing::error!(%error, "cannot watch a socket"),
    };
    // What came before the first event.
    engine.attend(|| socket.nudge());
    let _: io::Result<()> = std::future::poll_fn(|context| {
        loop {
            match events.poll_read_ready(context) {
                Poll::Ready(Ok(mut ready)) => {
                    // Cleared before the read: what comes after it sets it again.
                    ready.clear_ready();
                    engine.attend(|| socket.nudge());
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
}
