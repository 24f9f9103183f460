//! When to look into a store that does not say when something comes.
//!
//! A look costs a request and a round trip. Looking seldom saves requests, but the function then
//! waits, and is paid for, when what it waits for is there already. With prices `p` a look and `f`
//! a second of the function, and nothing known but a mean wait `W`, looks every `√(2·p·W/f)` are
//! the cheapest. More can be known: most operations of a program wait for about as long as they did
//! before. A [`Poller`] learns for each operation when things came (`belief.rs`: only that it was
//! between two looks is ever seen) and plans the looks that cost least for that (`plan.rs`, which
//! gives the square root where arrivals are equally likely at any time, one look where they come
//! after a fixed delay, and ever longer intervals for what should have come long ago).
//!
//! Nothing here has a clock: the caller says how long it has waited.
//!
//! ```
//! use fmi_model::{Bytes, Rate, Seconds, polling::{Hint, Poller}, prices::{Prices, Request}};
//!
//! let prices = Prices::aws().look(Request::Get, Bytes::gib(1));
//! let poller = Poller::new(prices, Hint::Cheap, Rate::new(200.0));
//! let round_trip = Seconds::new(0.03);
//! let mut looks = Vec::new();
//! for _ in 0..50 {
//!     // What we wait for comes after 0.8 s, each time.
//!     let mut wait = poller.begin("recv");
//!     let mut elapsed = Seconds::ZERO;
//!     let mut count = 0;
//!     loop {
//!         elapsed += wait.next_look(elapsed, round_trip); // sleep so long, then look
//!         let found = elapsed >= Seconds::new(0.8);
//!         elapsed += round_trip;
//!         count += 1;
//!         if found {
//!             wait.arrived(elapsed);
//!             break;
//!         }
//!     }
//!     looks.push(count);
//! }
//! assert!(looks[0] > 5); // at first it could come at any time
//! assert_eq!(looks[45..].iter().sum::<i32>(), 5); // one look each, when it should be there
//! ```

mod belief;
mod plan;
pub mod trial;

use crate::{
    Dollars, DollarsPerSecond, Rate, Seconds,
    prices::{Prices, Request},
};
use belief::Belief;
use plan::Policy;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    fmt,
    str::FromStr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

/// What looking and waiting cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LookPrices {
    /// One look.
    pub look: Dollars,
    /// The function, while it waits.
    pub wait: DollarsPerSecond,
}

impl LookPrices {
    /// The cheapest interval between looks if what is awaited is equally likely to come at any
    /// time and takes `wait` in the mean: `√(2·look·wait / price of waiting)`.
    #[must_use]
    pub fn interval(&self, wait: Seconds) -> Seconds {
        let Priced { look, wait: second } = self.priced();
        Seconds::new((2.0 * look * wait.get().max(0.0) / second).sqrt())
    }

    /// As plain numbers, neither of them 0: the longest pause that is ever worth it is bounded
    /// even if waiting costs nothing, and so is the number of looks if they do.
    fn priced(&self) -> Priced {
        let look = self.look.get().max(0.0);
        let wait = self.wait.get().max(0.0);
        match (look > 0.0, wait > 0.0) {
            (false, false) => Priced { look: 1e-7, wait: 1e-6 },
            (false, true) => Priced { look: wait * MIN_LOOK, wait },
            (true, false) => Priced { look, wait: look * MIN_WAIT },
            (true, true) => {
                Priced { look: look.max(wait * MIN_LOOK), wait: wait.max(look * MIN_WAIT) }
            }
        }
    }
}

/// A look costs at least as much as so many seconds of waiting.
const MIN_LOOK: f64 = 1e-4;
/// A second of waiting costs at least so many looks.
const MIN_WAIT: f64 = 1e-2;

/// [`LookPrices`] for arithmetic.
#[derive(Debug, Clone, Copy)]
struct Priced {
    look: f64,
    wait: f64,
}

/// What a program wants of its waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hint {
    /// To know at once: one look after the other, within the cap.
    Fast,
    /// To pay as little as possible.
    #[default]
    Cheap,
}

impl Hint {
    /// Its name in configurations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Cheap => "cheap",
        }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Hint {
    type Err = BadHint;

    fn from_str(text: &str) -> Result<Self, BadHint> {
        [Self::Fast, Self::Cheap].into_iter().find(|hint| hint.name() == text).ok_or(BadHint)
    }
}

/// The text is no [`Hint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the hint is \"fast\" or \"cheap\"")]
pub struct BadHint;

/// The cap on looks of a process, if nobody says another.
pub const CAP: Rate = Rate::new(200.0);

/// When a process looks. Clones share what they learn.
#[derive(Debug, Clone)]
pub struct Poller {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    prices: LookPrices,
    hint: Hint,
    /// From one look of the process to the next, seconds.
    pace: f64,
    /// Waits under way, which share the cap.
    waiting: AtomicU32,
    operations: Mutex<HashMap<Box<str>, Arc<Operation>>>,
}

/// What is known of the waits of an operation.
#[derive(Debug, Default)]
struct Operation(Mutex<Belief>);

/// Operations with a memory of their own; all others share one.
const OPERATIONS: usize = 64;

impl Poller {
    /// One for looks of these prices. All waits together look at most `cap` times a second.
    #[must_use]
    pub fn new(prices: LookPrices, hint: Hint, cap: Rate) -> Self {
        let pace = cap.interval().get().clamp(1e-4, 60.0);
        let (waiting, operations) = (AtomicU32::new(0), Mutex::default());
        Self { shared: Arc::new(Shared { prices, hint, pace, waiting, operations }) }
    }

    /// Begins to wait. Waits of the same operation (of a collective, say) learn from each other;
    /// 64 operations are told apart.
    #[must_use]
    pub fn begin(&self, operation: &str) -> Wait {
        self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        let mut operations = lock(&self.shared.operations);
        let known = match operations.get(operation) {
            Some(known) => Arc::clone(known),
            None => {
                let name = if operations.len() < OPERATIONS { operation } else { "" };
                Arc::clone(operations.entry(name.into()).or_default())
            }
        };
        Wait { shared: Arc::clone(&self.shared), known, policy: None, due: None, missed: None }
    }

    /// What it was made for.
    #[must_use]
    pub fn prices(&self) -> LookPrices {
        self.shared.prices
    }

    /// What it was made for.
    #[must_use]
    pub fn hint(&self) -> Hint {
        self.shared.hint
    }
}

/// One wait. Dropped when it is given up, it teaches nothing.
#[derive(Debug)]
pub struct Wait {
    shared: Arc<Shared>,
    known: Arc<Operation>,
    /// What to do after which look; made with the first question.
    policy: Option<Policy>,
    /// When the look is due that was told of last.
    due: Option<f64>,
    /// The last look that found nothing.
    missed: Option<f64>,
}

impl Wait {
    /// How long to wait before the next look, `elapsed` after the beginning. `round_trip` is how
    /// long a look takes, as far as known. Whoever asks again says that the look that was told of
    /// has found nothing.
    pub fn next_look(&mut self, elapsed: Seconds, round_trip: Seconds) -> Seconds {
        let (elapsed, round_trip) = (elapsed.get().max(0.0), round_trip.get().clamp(0.0, 60.0));
        if let Some(due) = self.due {
            self.missed = Some(looked(due, elapsed, round_trip));
        }
        let waiting = f64::from(self.shared.waiting.load(Ordering::Relaxed).max(1));
        let pace = self.shared.pace * waiting;
        let earliest = self.missed.map_or(elapsed, |missed| elapsed.max(missed + pace));
        let due = match self.shared.hint {
            Hint::Fast => earliest,
            Hint::Cheap => {
                let gap = round_trip.max(pace);
                let prices = self.shared.prices.priced();
                let policy =
                    self.policy.get_or_insert_with(|| lock(&self.known.0).policy(prices, gap));
                policy.next(self.missed, earliest)
            }
        };
        self.due = Some(due);
        Seconds::new(due - elapsed)
    }

    /// The look that was told of has found it. The operation's next waits know.
    pub fn arrived(self, elapsed: Seconds) {
        if let Some(due) = self.due {
            let until = due.min(elapsed.get().max(0.0));
            lock(&self.known.0).learn(self.missed, until);
        }
    }

    /// It came by another way than a look, `elapsed` after the beginning.
    pub fn told(self, elapsed: Seconds) {
        let at = elapsed.get().max(0.0);
        lock(&self.known.0).learn(Some(at * 0.999).filter(|at| *at > 0.0), at);
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// When a look was made that was due then and is back now: at its time, unless the caller came so
/// late that it must have been later.
fn looked(due: f64, now: f64, round_trip: f64) -> f64 {
    let latest = (now - round_trip).max(due);
    if latest - due > round_trip { latest } else { due.min(now) }
}

/// Whether one LIST of a prefix tells cheaper than a GET each whether any of so many objects is
/// there. A LIST names up to 1000 keys.
#[must_use]
pub fn cheaper_by_list(awaited: usize, prices: &Prices) -> bool {
    let lists = prices.request(Request::List) * awaited.div_ceil(1000) as u64;
    lists < prices.request(Request::Get) * awaited as u64
}

/// What is known stays known if a thread panicked with it: it is consistent at all times.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
