//! Counts what a process sends, asks of stores and waits for, how long its collectives take, and what that
//! costs.
//!
//! Messages are counted where their pair is moved anyway, under its lock, as point to point or of a
//! collective. A process that uses a store also tells operations apart and measures their waits
//! ([`Meter::is_detailed`]): a request takes so long there that a common lock is nothing. Each rank counts its
//! own calls of collectives (there, and where there is a model). What goes on is put together only when
//! somebody asks for the [`Bill`].

mod bill;
mod books;
mod calls;
mod prometheus;
mod table;
mod tier;

pub use bill::{Bill, Counts, Line, Machine};
pub use books::Operation;
pub(crate) use calls::Ledger;
pub use calls::{Call, Calls, Forecast};
pub use tier::Tier;

pub use fmi_model::{
    Bytes, Dollars, GibSeconds, Seconds,
    prices::{Prices, Request},
};

use crate::{
    clock::Time,
    frame::{Frame, Kind, Space},
};
use books::Books;
use parking_lot::Mutex;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// What a process pays.
#[derive(Debug, Clone)]
pub struct Tariff {
    /// The list of prices.
    pub prices: Prices,
    /// Memory of this function.
    pub memory: Bytes,
    /// Machines that the job rents while it runs, by their names in the list. One process says so for
    /// all.
    pub machines: Vec<String>,
}

impl Default for Tariff {
    /// A function of 1 GiB on AWS.
    fn default() -> Self {
        Self { prices: Prices::aws(), memory: Bytes::gib(1), machines: Vec::new() }
    }
}

/// What a request to a store is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The operation that a space belongs to.
    Space(Space),
    /// Whatever the process [waits](Meter::awaited) for; its upkeep, if it waits for nothing.
    Awaited,
    /// That the job goes on.
    Upkeep,
}

/// What a process counts. One a [`Node`](crate::Node).
pub struct Meter {
    detailed: AtomicBool,
    tariff: Mutex<Tariff>,
    books: Mutex<Books>,
    /// Gets the last bill.
    settle: Mutex<Option<Settle>>,
}

type Settle = Box<dyn FnOnce(Bill) + Send>;

impl Default for Meter {
    /// One that tells no operations apart, until it is asked to.
    fn default() -> Self {
        Self::new(false)
    }
}

impl Meter {
    pub(crate) fn new(detailed: bool) -> Self {
        Self {
            detailed: AtomicBool::new(detailed),
            tariff: Mutex::default(),
            books: Mutex::default(),
            settle: Mutex::default(),
        }
    }

    /// Says what this process pays; known from then on, for all that was counted before, too.
    pub fn set_tariff(&self, tariff: Tariff) {
        *self.tariff.lock() = tariff;
    }

    /// What this process pays.
    #[must_use]
    pub fn tariff(&self) -> Tariff {
        self.tariff.lock().clone()
    }

    /// Says who gets the last bill, when the process has left the job.
    pub fn on_settle(&self, settle: impl FnOnce(Bill) + Send + 'static) {
        *self.settle.lock() = Some(Box::new(settle));
    }

    /// Whether operations are told apart and their waits measured: where a channel has a store.
    #[must_use]
    pub fn is_detailed(&self) -> bool {
        self.detailed.load(Ordering::Relaxed)
    }

    /// Begins to tell operations apart.
    pub fn detail(&self) {
        self.detailed.store(true, Ordering::Relaxed);
    }

    /// Says which operation a space belongs to. Others are known as what they look like.
    pub fn name(&self, space: Space, operation: &'static str) {
        if self.is_detailed() {
            self.books.lock().name(space, operation);
        }
    }

    /// The operation that a space belongs to, as it is called on the bill: also a key for what is
    /// learnt of its waits.
    #[must_use]
    pub fn operation(&self, space: Space) -> Operation {
        self.books.lock().operation(Purpose::Space(space))
    }

    /// What this process waits for, the latest of several things.
    #[must_use]
    pub fn awaited(&self) -> Option<Operation> {
        self.books.lock().awaited()
    }

    /// A channel has made a request to its store, that moved so many bytes of content.
    pub fn request(&self, channel: &'static str, purpose: Purpose, kind: Request, bytes: u64) {
        self.requests(channel, purpose, kind, 1, bytes);
    }

    /// As [`request`](Self::request), for several at once.
    pub fn requests(
        &self,
        channel: &'static str,
        purpose: Purpose,
        kind: Request,
        count: u64,
        bytes: u64,
    ) {
        let mut books = self.books.lock();
        let operation = books.operation(purpose);
        books.counts(operation, channel, Tier::Store).request(kind, count, bytes);
    }

    /// An operation begins to wait. Whoever waits at once shares the time: the function is paid
    /// once. `None` if that is not measured.
    #[must_use]
    pub fn wait(self: &Arc<Self>, operation: Operation, now: Time) -> Option<Waiting> {
        self.is_detailed().then(|| {
            let begin = self.books.lock().begin_wait(operation, now);
            Waiting { meter: Arc::clone(self), operation, begin, over: false }
        })
    }

    /// A message has left on a link that others use too.
    pub(crate) fn message(&self, channel: &'static str, tier: Tier, frame: &Frame) {
        let mut books = self.books.lock();
        let operation = books.operation(Purpose::Space(frame.header.space));
        let (messages, bytes) = weigh(frame);
        books.counts(operation, channel, tier).message(messages, bytes);
    }

    /// What it has come to by now, with what the ranks have counted.
    pub(crate) fn bill(&self, now: Time, lifetime: Seconds, own: &Counted) -> Bill {
        let tariff = self.tariff();
        let mut books = self.books.lock().at(now);
        for tally in &own.tallies {
            for (operation, class) in
                [Operation::MESSAGES, Operation::COLLECTIVES].iter().zip(tally.classes)
            {
                if class.0 > 0 || class.1 > 0 {
                    books.counts(*operation, tally.channel, tally.tier).message(class.0, class.1);
                }
            }
        }
        books.bill(&tariff, lifetime, own)
    }

    /// Hands the last bill over.
    pub(crate) fn settle(&self, bill: impl FnOnce() -> Bill) {
        let settle = self.settle.lock().take();
        if let Some(settle) = settle {
            settle(bill());
        }
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").field("detailed", &self.is_detailed()).finish_non_exhaustive()
    }
}

/// An operation waits; it [ends](Self::end) with the time. Dropped, what it has waited since
/// others began or ended counts for nobody.
#[derive(Debug)]
#[must_use = "a wait is counted when it ends"]
pub struct Waiting {
    meter: Arc<Meter>,
    operation: Operation,
    /// What whoever waits all the time had waited then.
    begin: Seconds,
    over: bool,
}

impl Waiting {
    /// The wait is over.
    pub fn end(mut self, now: Time) {
        self.over = true;
        self.meter.books.lock().end_wait(self.operation, self.begin, now);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.over {
            self.meter.books.lock().give_up_wait(self.operation, Time::default());
        }
    }
}

/// What ranks have counted by themselves.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// How many ranks these are.
    pub(crate) ranks: usize,
    /// Of their pairs.
    pub(crate) tallies: Vec<Tally>,
    /// Their calls.
    pub(crate) calls: Vec<calls::Entry>,
}

/// What one pair has sent over one channel; kept with the pair, counted under its lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    channel: &'static str,
    tier: Tier,
    /// Messages and bytes: point to point, of collectives.
    classes: [(u64, u64); 2],
}

impl Tally {
    pub(crate) const fn new(channel: &'static str, tier: Tier) -> Self {
        Self { channel, tier, classes: [(0, 0); 2] }
    }

    /// Of what ranks of a process publish for each other in collectives.
    pub(crate) const fn published(channel: &'static str, reads: (u64, u64)) -> Self {
        Self { channel, tier: Tier::Process, classes: [(0, 0), reads] }
    }

    /// Whether it counts what goes there.
    pub(crate) fn is_of(&self, channel: &str, tier: Tier) -> bool {
        self.tier == tier && self.channel == channel
    }

    pub(crate) fn count(&mut self, frame: &Frame) {
        let (messages, bytes) = weigh(frame);
        let class = &mut self.classes[usize::from(frame.header.space.is_collective())];
        class.0 += messages;
        class.1 += bytes;
    }
}

/// How many messages a frame is, and of how many bytes: what only keeps the pair going is none.
fn weigh(frame: &Frame) -> (u64, u64) {
    let messages = matches!(frame.header.kind, Kind::Message | Kind::Envelope);
    (u64::from(messages), u64::from(frame.header.length))
}

#[cfg(test)]
mod tests;
