//! Runs the tasks of a simulation, all in one thread: first everything that can go on, in the
//! order in which it was woken, then the next event.

use super::network::{Network, Process};
use futures::future::LocalBoxFuture;
use parking_lot::Mutex;
use slab::Slab;
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

/// The tasks of a simulation.
pub(super) struct Executor<'a> {
    network: Arc<Network>,
    tasks: Slab<Task<'a>>,
    ready: Arc<Mutex<VecDeque<usize>>>,
}

struct Task<'a> {
    future: LocalBoxFuture<'a, ()>,
    waker: Waker,
    woken: Arc<Woken>,
    /// Dies with this process.
    of: Option<Process>,
}

/// Puts a task in line, once.
struct Woken {
    task: usize,
    waits: AtomicBool,
    ready: Arc<Mutex<VecDeque<usize>>>,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.waits.swap(true, Ordering::AcqRel) {
            self.ready.lock().push_back(self.task);
        }
    }
}

impl<'a> Executor<'a> {
    pub(super) fn new(network: &Arc<Network>) -> Self {
        Self { network: Arc::clone(network), tasks: Slab::new(), ready: Arc::default() }
    }

    /// Starts a task.
    pub(super) fn spawn(&mut self, of: Option<Process>, future: LocalBoxFuture<'a, ()>) {
        let entry = self.tasks.vacant_entry();
        let (task, ready) = (entry.key(), Arc::clone(&self.ready));
        let woken = Arc::new(Woken { task, waits: AtomicBool::new(true), ready });
        entry.insert(Task { future, waker: Waker::from(Arc::clone(&woken)), woken, of });
        self.ready.lock().push_back(task);
    }

    /// Runs until `done`; false if nothing more can happen before that.
    pub(super) fn run_until(&mut self, done: impl Fn() -> bool) -> bool {
        loop {
            loop {
                self.bury();
                self.adopt();
                let Some(task) = self.ready.lock().pop_front() else { break };
                self.poll(task);
                if done() {
                    return true;
                }
            }
            if done() {
                return true;
            }
            if !self.network.step() {
                return false;
            }
        }
    }

    fn poll(&mut self, number: usize) {
        // A task that has ended may have been woken before.
        let Some(task) = self.tasks.get_mut(number) else { return };
        task.woken.waits.store(false, Ordering::Release);
        let poll = task.future.as_mut().poll(&mut Context::from_waker(&task.waker));
        if poll == Poll::Ready(()) {
            drop(self.tasks.remove(number));
        }
    }

    /// Starts what was spawned from inside.
    fn adopt(&mut self) {
        for future in self.network.spawned() {
            self.spawn(None, future);
        }
    }

    /// Ends the tasks of processes that died.
    fn bury(&mut self) {
        for process in self.network.dead() {
            let of =
                |(number, task): (usize, &Task<'a>)| (task.of == Some(process)).then_some(number);
            let dead: Vec<_> = self.tasks.iter().filter_map(of).collect();
            for number in dead {
                drop(self.tasks.remove(number));
            }
        }
    }
}
