//! The timers of QUIC. A connection moves its timer with nearly every packet, so that must cost
//! nothing: the time is a number that any thread may change, and one alarm, on the service thread,
//! goes off when the earliest was due when it was last set. Later is found out then.

use super::engine::Engine;
use futures::task::AtomicWaker;
use parking_lot::Mutex;
use quinn::AsyncTimer;
use slab::Slab;
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// No time.
const NEVER: u64 = u64::MAX;
/// The time of a timer that has gone off.
const FIRED: u64 = 0;

/// The alarm of an engine.
#[derive(Debug)]
pub(super) struct Alarm {
    engine: Arc<Engine>,
    start: Instant,
    /// Nanoseconds from the start at which it goes off.
    armed: AtomicU64,
    timers: Mutex<Slab<Arc<State>>>,
}

#[derive(Debug)]
struct State {
    due: AtomicU64,
    waker: AtomicWaker,
}

impl Alarm {
    pub(super) fn new(engine: Arc<Engine>) -> Arc<Self> {
        // A little in the past, so that no time is FIRED.
        let start = Instant::now() - Duration::from_nanos(1);
        let timers = Mutex::default();
        Arc::new(Self { engine, start, armed: AtomicU64::new(NEVER), timers })
    }

    /// A timer.
    pub(super) fn timer(self: &Arc<Self>, at: Instant) -> Timer {
        let state = Arc::new(State { due: AtomicU64::new(NEVER), waker: AtomicWaker::new() });
        let key = self.timers.lock().insert(Arc::clone(&state));
        let mut timer = Timer { alarm: Arc::clone(self), state, key };
        timer.set(at);
        timer
    }

    /// When it goes off next.
    pub(super) fn next(&self) -> Option<Instant> {
        match self.armed.load(Ordering::SeqCst) {
            NEVER => None,
            nanos => Some(self.start + Duration::from_nanos(nanos)),
        }
    }

    /// Lets all timers go off that are due.
    pub(super) fn ring(&self, now: Instant) {
        let now = self.nanos(now);
        if self.armed.load(Ordering::SeqCst) > now {
            return;
        }
        self.armed.store(NEVER, Ordering::SeqCst);
        let mut earliest = NEVER;
        for (_, state) in self.timers.lock().iter() {
            let due = state.due.load(Ordering::SeqCst);
            if due == FIRED {
                continue;
            }
            let fired = due <= now
                && state
                    .due
                    .compare_exchange(due, FIRED, Ordering::SeqCst, Ordering::SeqCst)
                    .is_ok();
            if fired {
                // Wakes a task of the engine, which takes no lock of ours.
                state.waker.wake();
            } else {
                earliest = earliest.min(state.due.load(Ordering::SeqCst).max(1));
            }
        }
        self.armed.fetch_min(earliest, Ordering::SeqCst);
    }

    fn nanos(&self, at: Instant) -> u64 {
        let nanos = at.saturating_duration_since(self.start).as_nanos();
        u64::try_from(nanos).unwrap_or(NEVER - 1).max(1)
    }
}

/// A time at which a task of the engine wants to be polled.
#[derive(Debug)]
pub(super) struct Timer {
    alarm: Arc<Alarm>,
    state: Arc<State>,
    key: usize,
}

impl Timer {
    pub(super) fn set(&mut self, at: Instant) {
        let due = self.alarm.nanos(at);
        self.state.due.store(due, Ordering::SeqCst);
        if due < self.alarm.armed.load(Ordering::SeqCst)
            && due < self.alarm.armed.fetch_min(due, Ordering::SeqCst)
        {
            self.alarm.engine.porter().wake();
        }
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.state.waker.register(context.waker());
        match self.state.due.load(Ordering::SeqCst) {
            FIRED => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}

impl AsyncTimer for Timer {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        Timer::set(&mut self, at);
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Timer::poll(&mut self, context)
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.alarm.timers.lock().remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::task::noop_waker;

    #[test]
    fn later_costs_nothing_and_earlier_is_noticed() {
        let alarm = Alarm::new(Arc::default());
        let mut context = Context::from_waker(futures::task::noop_waker_ref());
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut one = alarm.timer(at(50));
        let mut other = alarm.timer(at(80));
        assert_eq!(alarm.next(), Some(at(50)));
        one.set(at(90));
        assert_eq!(alarm.next(), Some(at(50)), "it stays where it is");
        alarm.ring(at(50));
        assert!(one.poll(&mut context).is_pending() && other.poll(&mut context).is_pending());
        assert_eq!(alarm.next(), Some(at(80)));
        one.set(at(60));
        assert_eq!(alarm.next(), Some(at(60)));
        alarm.ring(at(85));
        assert!(one.poll(&mut context).is_ready() && other.poll(&mut context).is_ready());
        assert_eq!(alarm.next(), None);
        one.set(at(100));
        assert!(one.poll(&mut context).is_pending());
        drop((one, other));
        alarm.ring(at(200));
        assert_eq!(alarm.next(), None);
        drop(noop_waker());
    }
}
