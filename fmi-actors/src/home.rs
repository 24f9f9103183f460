//! Where ranks and their hot links live: an arbiter that stays awake while messages flow.
//!
//! Parking a thread costs 40–120 µs to wake it. So (rule 2) one task keeps the runtime from
//! parking for [`AWAKE`] after the last frame, and a receive that is alone on its arbiter spins
//! for [`SPIN`] inside its own poll. A long wait parks and costs no CPU.

use crate::{
    another_core,
    channel::{Link, Seat},
    now,
    service::Service,
    sleeper::Inbox,
};
use actix_rt::{Arbiter, ArbiterHandle};
use futures::future::{AbortHandle, abortable};
use parking_lot::Mutex;
use std::{
    cell::{Cell, OnceCell},
    fmt,
    future::{Future, poll_fn},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    task::Poll,
    thread,
    time::Duration,
};
use tokio::sync::Notify;

/// How long an arbiter stays awake after the last frame or send.
pub const AWAKE: Duration = Duration::from_millis(1);
/// How long a receive spins in its own poll.
pub const SPIN: Duration = Duration::from_micros(5);
/// How long a receive spins where threads take turns: others run meanwhile, so it may be longer.
const TURNS: Duration = Duration::from_micros(50);
/// How long the end of a home waits for its links to be closed by the other side, too.
const LINGER: Duration = Duration::from_secs(1);
/// Turns after which the one who keeps its thread awake looks at the clock and the event queue: either takes as
/// long as some turns.
const CLOCK: u32 = 16;
/// More sockets than this are left to the runtime's event queue.
const POLLED_LINKS: usize = 4;

/// A shared reference to a [`Home`].
pub type HomeHandle = Arc<Home>;

/// In one piece, so that who looks at them takes one reference and no lock.
type Links = Arc<Vec<Arc<dyn Link>>>;

/// An arbiter with the links it drives.
pub struct Home {
    arbiter: ArbiterHandle,
    /// Its thread waits for events; they will wake it.
    parked: AtomicBool,
    /// Signs of life asked for and given.
    asked: AtomicU64,
    answered: AtomicU64,
    pulse: Notify,
    stirred: Notify,
    inbox: &'static Inbox,
    links: Mutex<Links>,
    /// The service thread drives the links; one handle each.
    stand_in: Mutex<Option<Vec<AbortHandle>>>,
    ranks: AtomicUsize,
}

thread_local! {
    static HERE: OnceCell<HomeHandle> = const { OnceCell::new() };
    /// Something was sent or arrived since the keep-awake task looked. A flag, not a time:
    /// asking for the time would cost more than all else here.
    static TOUCHED: Cell<bool> = const { Cell::new(false) };
    static STIRRING: Cell<bool> = const { Cell::new(false) };
    /// See [`aside`].
    static ASIDE: Cell<bool> = const { Cell::new(false) };
}

/// What the homes of this process do while they wait.
static WAKEFULNESS: AtomicU8 = AtomicU8::new(Wakefulness::Spins as u8);

/// What an arbiter does while it waits for what will come soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wakefulness {
    /// It sleeps: under a CPU quota below one core, or because the user wants it so.
    Parks = 0,
    /// It looks, and lets others have the core before each look: where threads outnumber the cores. It
    /// looks into memory and at its event queue alone: a look at a socket costs what others could use.
    Yields = 1,
    /// It looks all the time.
    Spins = 2,
}

/// Says what all homes of this process do while they wait.
pub fn set_wakefulness(wakefulness: Wakefulness) {
    WAKEFULNESS.store(wakefulness as u8, Ordering::Relaxed);
}

/// What they do.
pub fn wakefulness() -> Wakefulness {
    match WAKEFULNESS.load(Ordering::Relaxed) {
        0 => Wakefulness::Parks,
        1 => Wakefulness::Yields,
        _ => Wakefulness::Spins,
    }
}

/// Runs what has a clock of its own, such as a simulation, on a thread that may be a home: no
/// receive in it spins and nothing keeps the thread awake.
pub fn aside<T>(run: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            ASIDE.set(self.0);
        }
    }
    let _restore = Restore(ASIDE.replace(true));
    run()
}

impl Home {
    /// Starts an arbiter on a thread of its own. Called on the service thread.
    pub(crate) fn start() -> HomeHandle {
        let arbiter = Arbiter::with_tokio_rt(|| {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .on_thread_park(|| parked(true))
                .on_thread_unpark(|| parked(false))
                .build()
                .expect("an event queue for an arbiter")
        });
        let handle = arbiter.handle();
        let (send, receive) = std::sync::mpsc::channel();
        arbiter.spawn_fn(move || {
            let _ = send.send(Self::install(Arbiter::current()));
        });
        drop(handle);
        receive.recv().expect("the arbiter starts")
    }

    /// Makes the current arbiter a home.
    pub(crate) fn install(arbiter: ArbiterHandle) -> HomeHandle {
        let home = Arc::new(Self {
            arbiter,
            parked: AtomicBool::new(false),
            asked: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            pulse: Notify::new(),
            stirred: Notify::new(),
            inbox: Inbox::take(),
            links: Mutex::default(),
            stand_in: Mutex::default(),
            ranks: AtomicUsize::new(0),
        });
        HERE.with(|here| here.set(Arc::clone(&home)).expect("one home a thread"));
        tokio::task::spawn_local(Arc::clone(&home).give_pulse());
        tokio::task::spawn_local(Arc::clone(&home).stay_awake());
        home
    }

    /// Runs a future here.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.arbiter.spawn(future);
    }

    /// Runs a function here, where actors can be started.
    pub fn spawn_fn(&self, function: impl FnOnce() + Send + 'static) {
        self.arbiter.spawn_fn(function);
    }

    /// Counts the ranks that live here: a receive spins only if it is alone.
    pub fn settle(&self, ranks: usize) {
        self.ranks.fetch_add(ranks, Ordering::Relaxed);
    }

    /// A rank has ended.
    pub fn depart(&self) {
        self.ranks.fetch_sub(1, Ordering::Relaxed);
    }

    /// Stops the arbiter, with everything that still runs there, once the links that were closed
    /// have said their last word. Awaited on the service thread.
    pub(crate) async fn end(&self) {
        let start = now();
        while !self.links.lock().is_empty() && now().since(start) < LINGER {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for abort in self.stand_in.lock().take().into_iter().flatten() {
            abort.abort();
        }
        self.arbiter.stop();
    }

    /// Drives a link from now on.
    pub(crate) fn adopt(self: &Arc<Self>, link: Arc<dyn Link>) {
        Arc::make_mut(&mut *self.links.lock()).push(Arc::clone(&link));
        if let Some(aborts) = &mut *self.stand_in.lock() {
            aborts.push(stand_in(Arc::clone(&link)));
        }
        let home = Arc::clone(self);
        self.arbiter.spawn(async move {
            Arc::clone(&link).drive(Seat::Home).await;
            Arc::make_mut(&mut *home.links.lock()).retain(|other| !Arc::ptr_eq(other, &link));
        });
    }

    /// Looks whether the arbiter still polls, from the service thread, every tick; if it does
    /// not, its links are driven there. True if the next look matters too.
    pub(crate) fn check(&self) -> bool {
        let asked = self.asked.load(Ordering::Relaxed);
        let alive = self.answered.load(Ordering::Acquire) >= asked;
        if alive || self.parked.load(Ordering::Acquire) {
            for abort in self.stand_in.lock().take().into_iter().flatten() {
                abort.abort();
            }
        } else {
            // Not all that wait on this thread are its own tasks: it may block in one of them.
            self.inbox.empty(&mut Vec::new());
            let mut stand_ins = self.stand_in.lock();
            if stand_ins.is_none() {
                let links = Arc::clone(&self.links.lock());
                *stand_ins = Some(links.iter().cloned().map(stand_in).collect());
            }
        }
        let running = !self.parked.load(Ordering::Acquire);
        if running && alive {
            self.asked.store(asked + 1, Ordering::Relaxed);
            self.pulse.notify_one();
        }
        running
    }

    async fn give_pulse(self: Arc<Self>) {
        loop {
            self.pulse.notified().await;
            self.answered.store(self.asked.load(Ordering::Relaxed), Ordering::Release);
        }
    }

    async fn stay_awake(self: Arc<Self>) {
        loop {
            self.stirred.notified().await;
            let (mut last, mut spare) = (now(), Vec::new());
            let (mut rested, mut turns, mut touched) = (last, 0_u32, false);
            self.inbox.open();
            loop {
                let wakefulness = wakefulness();
                // Those who have seen it awake are told.
                if wakefulness == Wakefulness::Parks && !self.park() {
                    break;
                }
                touched |= self.inbox.empty(&mut spare) | TOUCHED.replace(false);
                if wakefulness == Wakefulness::Yields {
                    thread::yield_now();
                }
                turns = turns.wrapping_add(1);
                let looks_up = turns.is_multiple_of(CLOCK);
                if looks_up || wakefulness == Wakefulness::Yields {
                    let now = now();
                    if std::mem::take(&mut touched) {
                        last = now;
                    } else if now.since(last) > AWAKE {
                        if !self.park() {
                            break;
                        }
                        last = now;
                    }
                    let waits = now.since(last) > another_core::PATIENCE && rested < last;
                    if waits && wakefulness == Wakefulness::Spins {
                        rested = now;
                        another_core::take_if_shared();
                    }
                }
                let Looked { at_all, rests } = self.progress(wakefulness);
                if rests && !self.park() {
                    break;
                }
                match at_all && !looks_up {
                    true => after_the_others().await,
                    false => tokio::task::yield_now().await,
                }
            }
            self.inbox.close();
            STIRRING.set(false);
        }
    }

    /// Moves its links, if a look at them is worth while.
    fn progress(&self, wakefulness: Wakefulness) -> Looked {
        // A reference, to keep user wakers out from under the lock.
        let links = Arc::clone(&self.links.lock());
        let at_all = look(&links, wakefulness);
        Looked { at_all, rests: links.iter().any(|link| link.rests()) }
    }

    /// From now on links have to wake this thread. True if there is something to do already.
    fn park(&self) -> bool {
        let links = Arc::clone(&self.links.lock());
        // All of them are told, whatever the first says.
        links.iter().filter(|link| link.park()).count() > 0
    }
}

/// What came of a look at the links.
struct Looked {
    /// None is left to the event queue.
    at_all: bool,
    /// One of them [rests](Link::rests).
    rests: bool,
}

/// Looks at links; says whether at all of them. Sockets only if they are few and nobody else wants the core:
/// others are the event queue's.
fn look(links: &[Arc<dyn Link>], wakefulness: Wakefulness) -> bool {
    let sockets = links.iter().filter(|link| !link.in_memory()).count();
    let at_all = sockets == 0 || sockets <= POLLED_LINKS && wakefulness == Wakefulness::Spins;
    for link in links.iter().filter(|link| at_all || link.in_memory()) {
        link.progress();
    }
    at_all
}

/// Comes back when the other tasks that can go on have had their turn. The runtime's own way looks at the
/// event queue each time, a system call.
async fn after_the_others() {
    let mut waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Looks at those for which that costs next to nothing.
fn look_into_memory(links: &[Arc<dyn Link>]) {
    for link in links.iter().filter(|link| link.in_memory()) {
        link.progress();
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.inbox.give_back();
    }
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Home").field("ranks", &self.ranks).finish_non_exhaustive()
    }
}

/// Where wakers for tasks of this thread can be left while it is awake, if it is a home.
pub(crate) fn inbox() -> Option<&'static Inbox> {
    if ASIDE.get() {
        return None;
    }
    // The thread may be ending.
    HERE.try_with(|here| here.get().map(|home| home.inbox)).ok().flatten()
}

/// Something was sent or has arrived: the current home, if this is one, stays awake.
pub(crate) fn stir() {
    // The thread may be ending.
    let _ = HERE.try_with(|here| {
        if let Some(home) = here.get().filter(|_| !ASIDE.get()) {
            TOUCHED.set(true);
            if !STIRRING.replace(true) {
                home.stirred.notify_one();
            }
        }
    });
}

/// Waits actively for `ready`, moving this home's links, if that is sensible here and now.
pub(crate) fn spin(ready: impl Fn() -> bool) {
    HERE.with(|here| {
        let Some(home) = here.get() else { return };
        if home.ranks.load(Ordering::Relaxed) != 1 || !STIRRING.get() || ASIDE.get() {
            return;
        }
        let wakefulness = wakefulness();
        let patience = match wakefulness {
            Wakefulness::Parks => return,
            Wakefulness::Yields => TURNS,
            Wakefulness::Spins => SPIN,
        };
        let links = Arc::clone(&home.links.lock());
        let in_memory = links.iter().any(|link| link.in_memory());
        // Taking turns is for those who look at memory alone.
        if wakefulness == Wakefulness::Yields && !in_memory {
            return;
        }
        // Mostly what it waits for comes before the first look at the clock, and at sockets.
        let mut start = None;
        let spins = wakefulness == Wakefulness::Spins;
        loop {
            for _ in 0..if spins { 16 } else { 1 } {
                if spins && in_memory {
                    look_into_memory(&links);
                }
                if ready() {
                    return;
                }
                std::hint::spin_loop();
            }
            look(&links, wakefulness);
            let now = now();
            if ready() || now.since(*start.get_or_insert(now)) > patience {
                return;
            }
            if wakefulness == Wakefulness::Yields {
                thread::yield_now();
            }
        }
    });
}

fn stand_in(link: Arc<dyn Link>) -> AbortHandle {
    let (drive, handle) = abortable(link.drive(Seat::Service));
    Service::get().spawn(async move {
        let _ = drive.await;
    });
    handle
}

fn parked(parked: bool) {
    HERE.with(|here| {
        if let Some(home) = here.get() {
            home.parked.store(parked, Ordering::Release);
            if !parked {
                Service::get().kick();
            }
        }
    });
}
