//! Waking a task of another thread without a system call, while that thread is awake anyway.
//!
//! A waker from another thread writes to the event queue of the runtime, whether it sleeps or
//! not: about a microsecond, more than all else in a small message. A home that stays awake
//! looks into its inbox instead, many times a microsecond.

use crate::home;
use parking_lot::Mutex;
use std::{
    ptr,
    sync::atomic::{AtomicBool, Ordering},
    task::Waker,
};

/// A task that waits, and how to wake it from here.
#[derive(Debug, Clone)]
pub(crate) struct Sleeper {
    waker: Waker,
    /// Of the home that it waits on, if it is one.
    inbox: Option<&'static Inbox>,
}

impl Sleeper {
    /// The task that is being polled.
    pub(crate) fn new(waker: &Waker) -> Self {
        Self { waker: waker.clone(), inbox: home::inbox() }
    }

    pub(crate) fn will_wake(&self, waker: &Waker) -> bool {
        self.waker.will_wake(waker)
    }

    pub(crate) fn wake(self) {
        match self.inbox {
            Some(inbox) if !home::inbox().is_some_and(|own| ptr::eq(own, inbox)) => {
                inbox.put(self.waker);
            }
            _ => self.waker.wake(),
        }
    }
}

/// Wakers that a home that is awake collects.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// Something is in it.
    full: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: bool,
    wakers: Vec<Waker>,
}

/// Inboxes of homes that have ended, for the next ones: sleepers may still know them.
static UNUSED: Mutex<Vec<&'static Inbox>> = Mutex::new(Vec::new());

impl Inbox {
    /// For a new home.
    pub(crate) fn take() -> &'static Self {
        UNUSED.lock().pop().unwrap_or_else(|| Box::leak(Box::default()))
    }

    /// The home has ended.
    pub(crate) fn give_back(&'static self) {
        self.close();
        UNUSED.lock().push(self);
    }

    /// The home looks into it from now on.
    pub(crate) fn open(&self) {
        self.state.lock().open = true;
    }

    /// Nobody looks into it any more.
    pub(crate) fn close(&self) {
        let wakers = {
            let mut state = self.state.lock();
            state.open = false;
            self.full.store(false, Ordering::Relaxed);
            std::mem::take(&mut state.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Wakes what is in it; true if there was something.
    pub(crate) fn empty(&self, spare: &mut Vec<Waker>) -> bool {
        if !self.full.load(Ordering::Acquire) {
            return false;
        }
        {
            let mut state = self.state.lock();
            self.full.store(false, Ordering::Relaxed);
            std::mem::swap(&mut state.wakers, spare);
        }
        spare.drain(..).for_each(Waker::wake);
        true
    }

    fn put(&self, waker: Waker) {
        let mut state = self.state.lock();
        if state.open {
            state.wakers.push(waker);
            self.full.store(true, Ordering::Release);
        } else {
            drop(state);
            waker.wake();
        }
    }
}

/// Wakers that count, for tests.
#[cfg(test)]
pub(crate) mod counting {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::{Wake, Waker},
    };

    /// How often a waker was used.
    #[derive(Default)]
    pub(crate) struct Count(AtomicUsize);

    impl Count {
        pub(crate) fn get(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A waker and its count.
    pub(crate) fn counted() -> (Waker, Arc<Count>) {
        let count = Arc::<Count>::default();
        (Arc::clone(&count).into(), count)
    }
}

#[cfg(test)]
mod tests {
    use super::{counting::counted, *};

    #[test]
    fn who_is_not_awake_is_woken_at_once_and_who_is_looks() {
        let (waker, count) = counted();
        let woken = || count.get();
        let inbox = Inbox::take();
        let sleeper = Sleeper { waker, inbox: Some(inbox) };
        sleeper.clone().wake();
        assert_eq!(woken(), 1);
        inbox.open();
        sleeper.clone().wake();
        sleeper.clone().wake();
        assert_eq!(woken(), 1);
        let mut spare = Vec::new();
        assert!(inbox.empty(&mut spare) && !inbox.empty(&mut spare));
        assert_eq!(woken(), 3);
        sleeper.wake();
        // Nothing is forgotten in an inbox that is closed.
        inbox.give_back();
        assert_eq!(woken(), 4);
    }
}
