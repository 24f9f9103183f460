//! Whom the ranks of a process wait for: channels that have to look for frames look there first.

use parking_lot::RwLock;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Whom the ranks of a process wait for at a moment; see [`Node::awaited`](crate::Node::awaited).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Awaited {
    /// Somebody takes a message from anybody.
    pub anybody: bool,
    /// Somebody waits for what comes another way (an item in a store), and of this way would learn
    /// only that it failed. Worth a look now and then, not more.
    pub notices: bool,
    /// Processes that somebody waits for, in order, each once; never the own.
    pub processes: Vec<u32>,
}

impl Awaited {
    /// Whether frames of this process are waited for.
    #[must_use]
    pub fn includes(&self, process: u32) -> bool {
        self.anybody || self.processes.binary_search(&process).is_ok()
    }

    /// Whether nobody waits for anything.
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        !self.anybody && !self.notices && self.processes.is_empty()
    }
}

/// What one rank waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whom {
    /// This rank.
    Rank(u32),
    Anybody,
    /// Only the news that something failed.
    Notice,
}

type Call = Arc<dyn Fn() + Send + Sync>;

/// Who wants to know when a rank begins to wait. Mostly nobody, which costs a look at a flag.
#[derive(Default)]
pub(crate) struct Attention {
    anybody: AtomicBool,
    calls: RwLock<Vec<Call>>,
}

impl Attention {
    pub(crate) fn add(&self, call: Call) {
        self.calls.write().push(call);
        self.anybody.store(true, Ordering::Release);
    }

    /// A rank has begun to wait, or waits for somebody else.
    pub(crate) fn call(&self) {
        if self.anybody.load(Ordering::Relaxed) {
            // Not under the lock: they may do anything.
            let calls = self.calls.read().clone();
            calls.iter().for_each(|call| call());
        }
    }
}

impl fmt::Debug for Attention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attention({})", self.calls.read().len())
    }
}
