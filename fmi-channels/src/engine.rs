//! Who does the work of connections that no thread owns: whoever comes.
//!
//! quinn and redis want their connections driven by tasks of a runtime. On a thread of their
//! own each message would pay for two hops between threads. So they are futures in this pool, and
//! they are polled by the thread that sends, by the one that waits for a message, or, when neither
//! is there, by the service thread. Each future is polled by one thread at a time; who finds it busy
//! leaves a mark, and it is polled once more.

use futures::{
    future::BoxFuture,
    task::{ArcWake, AtomicWaker, waker, waker_ref},
};
use parking_lot::Mutex;
use std::{
    cell::Cell,
    collections::VecDeque,
    fmt, ptr,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

/// Polls of one turn. What is left then is the service thread's.
const TURN: usize = 512;

/// A pool of futures.
#[derive(Default)]
pub(super) struct Engine {
    ready: Mutex<VecDeque<Arc<Task>>>,
    /// Length of `ready`.
    queued: AtomicUsize,
    /// Threads that will look at `ready` before they go.
    attending: AtomicUsize,
    /// Futures that have not ended.
    alive: AtomicUsize,
    /// Called when something is ready and nobody attends.
    porter: AtomicWaker,
}

thread_local! {
    /// The engine that this thread works for right now.
    static INSIDE: Cell<*const Engine> = const { Cell::new(ptr::null()) };
}

impl Engine {
    /// Adds a future. The waker lets it be polled again.
    pub(super) fn spawn(self: &Arc<Self>, future: BoxFuture<'static, ()>) -> Waker {
        self.alive.fetch_add(1, Ordering::Relaxed);
        let task = Arc::new(Task {
            engine: Arc::clone(self),
            state: AtomicU8::new(IDLE),
            future: Mutex::new(Some(future)),
        });
        let waker = waker(task);
        waker.wake_by_ref();
        waker
    }

    /// Does something, then polls what is ready. Within a poll it is left to the thread's outer
    /// call.
    pub(super) fn attend<T>(&self, act: impl FnOnce() -> T) -> T {
        if !INSIDE.get().is_null() {
            return act();
        }
        struct Outside;
        impl Drop for Outside {
            fn drop(&mut self) {
                INSIDE.set(ptr::null());
            }
        }
        self.attending.fetch_add(1, Ordering::SeqCst);
        let outside = Outside;
        let value = act();
        INSIDE.set(self);
        self.turn();
        drop(outside);
        self.attending.fetch_sub(1, Ordering::SeqCst);
        // Something may have come after the last look; who brought it relied on us.
        if self.has_work() {
            self.porter.wake();
        }
        value
    }

    /// Whether something is ready.
    pub(super) fn has_work(&self) -> bool {
        self.queued.load(Ordering::SeqCst) > 0
    }

    /// Whether all futures have ended.
    pub(super) fn is_idle(&self) -> bool {
        self.alive.load(Ordering::Acquire) == 0
    }

    /// Who is called when something is ready and nobody attends.
    pub(super) fn porter(&self) -> &AtomicWaker {
        &self.porter
    }

    fn turn(&self) {
        for _ in 0..TURN {
            if !self.has_work() {
                return;
            }
            let Some(task) = self.ready.lock().pop_front() else { return };
            self.queued.fetch_sub(1, Ordering::SeqCst);
            task.poll();
        }
    }

    fn push(&self, task: Arc<Task>) {
        self.ready.lock().push_back(task);
        self.queued.fetch_add(1, Ordering::SeqCst);
        if self.attending.load(Ordering::SeqCst) == 0 {
            self.porter.wake();
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("alive", &self.alive).finish_non_exhaustive()
    }
}

/// Waits for a wake.
const IDLE: u8 = 0;
/// In the queue.
const READY: u8 = 1;
const RUNNING: u8 = 2;
/// Running, and woken since.
const AGAIN: u8 = 3;
const OVER: u8 = 4;

struct Task {
    engine: Arc<Engine>,
    state: AtomicU8,
    /// Locked by the one who took the task from the queue; never contended.
    future: Mutex<Option<BoxFuture<'static, ()>>>,
}

impl Task {
    fn poll(self: Arc<Self>) {
        self.state.store(RUNNING, Ordering::Release);
        let over = match &mut *self.future.lock() {
            Some(future) => {
                let waker = waker_ref(&self);
                future.as_mut().poll(&mut Context::from_waker(&waker)) == Poll::Ready(())
            }
            None => true,
        };
        if over {
            self.state.store(OVER, Ordering::Release);
            // What it holds may wake others when it goes.
            let future = self.future.lock().take();
            drop(future);
            if self.engine.alive.fetch_sub(1, Ordering::AcqRel) == 1 {
                self.engine.porter.wake();
            }
            return;
        }
        let idle = self.state.compare_exchange(RUNNING, IDLE, Ordering::AcqRel, Ordering::Acquire);
        if idle.is_err() {
            self.state.store(READY, Ordering::Release);
            let engine = Arc::clone(&self.engine);
            engine.push(self);
        }
    }
}

impl ArcWake for Task {
    fn wake_by_ref(this: &Arc<Self>) {
        let mut state = this.state.load(Ordering::Acquire);
        loop {
            let next = match state {
                IDLE => READY,
                RUNNING => AGAIN,
                _ => return,
            };
            match this.state.compare_exchange_weak(state, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(IDLE) => return this.engine.push(Arc::clone(this)),
                Ok(_) => return,
                Err(now) => state = now,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::poll_fn, thread};

    #[test]
    fn polls_what_is_woken_and_nothing_else() {
        let engine = Arc::new(Engine::default());
        let polls = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&polls);
        let waker =
            engine.spawn(Box::pin(poll_fn(move |_| match count.fetch_add(1, Ordering::Relaxed) {
                3 => Poll::Ready(()),
                _ => Poll::Pending,
            })));
        let polls = || polls.load(Ordering::Relaxed);
        engine.attend(|| assert_eq!(polls(), 0));
        assert_eq!(polls(), 1);
        engine.attend(|| ());
        assert_eq!(polls(), 1);
        // Twice at once is once.
        engine.attend(|| {
            waker.wake_by_ref();
            waker.wake_by_ref();
        });
        assert_eq!(polls(), 2);
        waker.wake_by_ref();
        assert!(engine.has_work());
        engine.attend(|| waker.wake_by_ref());
        engine.attend(|| waker.wake_by_ref());
        assert_eq!(polls(), 4);
        assert!(engine.is_idle());
        engine.attend(|| waker.wake_by_ref());
        assert_eq!(polls(), 4);
    }

    /// Each of many wakes, from many threads, is followed by a poll.
    #[test]
    fn no_wake_is_lost() {
        const THREADS: usize = 4;
        const WAKES: usize = 20_000;
        let engine = Arc::new(Engine::default());
        let (told, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (source, sink) = (Arc::clone(&told), Arc::clone(&seen));
        let waker = engine.spawn(Box::pin(poll_fn(move |_| {
            sink.store(source.load(Ordering::SeqCst), Ordering::SeqCst);
            Poll::Pending
        })));
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..WAKES {
                        engine.attend(|| {
                            told.fetch_add(1, Ordering::SeqCst);
                            waker.wake_by_ref();
                        });
                    }
                });
            }
        });
        // What was left at the end of a turn is the porter's, whom nobody plays here.
        engine.attend(|| ());
        assert_eq!(seen.load(Ordering::SeqCst), THREADS * WAKES);
    }
}
