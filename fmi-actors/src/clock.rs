//! Time as the library sees it: nanoseconds since the process (or the simulation) began.

use rustix::time::{ClockId, clock_gettime};
use std::{
    fmt::Debug,
    ops::{Add, Sub},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Where library code takes the time from, so that tests and the simulator can make it.
pub trait Clock: Debug + Send + Sync {
    /// Nanoseconds since an origin of the clock's own; never goes back.
    fn now(&self) -> Time;

    /// The same, some milliseconds late at most, for a fraction of what [`now`](Self::now) costs where
    /// that is a good part of a small message.
    fn roughly_now(&self) -> Time {
        self.now()
    }
}

/// A point in time of one [`Clock`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time(pub u64);

impl Time {
    /// Later than any deadline.
    pub const NEVER: Self = Self(u64::MAX);

    /// The time since `earlier`, zero if that is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Time {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

/// The machine's monotonic clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        since_origin(ClockId::Monotonic)
    }

    fn roughly_now(&self) -> Time {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        return since_origin(ClockId::MonotonicCoarse);
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        self.now()
    }
}

/// What a clock of the machine that does not go back shows, from the first look at any.
fn since_origin(clock: ClockId) -> Time {
    static ORIGIN: LazyLock<u64> = LazyLock::new(|| nanoseconds(ClockId::Monotonic));
    Time(nanoseconds(clock).saturating_sub(*ORIGIN))
}

fn nanoseconds(clock: ClockId) -> u64 {
    let shown = clock_gettime(clock);
    shown.tv_sec.unsigned_abs() * 1_000_000_000 + shown.tv_nsec.unsigned_abs()
}

/// A clock that moves only when told to. Clones share their time.
#[derive(Debug, Clone, Default)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// Moves the clock on.
    pub fn advance(&self, span: Duration) {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_add(nanos, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::Relaxed))
    }
}
