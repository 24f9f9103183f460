//! Threads that spin, and have been put on one core while another one is idle.
//!
//! Linux often starts two processes on one core, and with few cores it leaves them there for tens of milliseconds: each
//! has to give up before the other can answer. Who has waited long therefore sleeps for a moment. If it gets
//! its core back late somebody else wanted it, and it moves to another core. It is bound to none: the
//! system may move it again whenever it likes.

use crate::now;
use std::{thread, time::Duration};

/// After how long a thread that spins should ask whether it shares its core.
pub(crate) const PATIENCE: Duration = Duration::from_micros(200);
const MOMENT: Duration = Duration::from_micros(1);
/// Timers come by up to 50 µs late by themselves.
const LATE: Duration = Duration::from_micros(120);

/// Moves this thread to another core if somebody else wants this one.
pub(crate) fn take_if_shared() {
    let start = now();
    thread::sleep(MOMENT);
    if now().since(start) > LATE {
        take();
    }
}

#[cfg(target_os = "linux")]
fn take() {
    use rustix::thread::{sched_getaffinity, sched_getcpu, sched_setaffinity};
    let Ok(allowed) = sched_getaffinity(None) else { return };
    let mut others = allowed;
    others.unset(sched_getcpu());
    if others.count() > 0 && sched_setaffinity(None, &others).is_ok() {
        // Where it may be is as it was. If that fails it can only run on fewer cores than it might.
        let _ = sched_setaffinity(None, &allowed);
    }
}

#[cfg(not(target_os = "linux"))]
fn take() {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::take;
    use rustix::thread::{sched_getaffinity, sched_getcpu};

    #[test]
    fn who_moves_may_be_where_it_might_before() {
        let allowed = sched_getaffinity(None).unwrap();
        let here = sched_getcpu();
        take();
        assert_eq!(sched_getaffinity(None).unwrap(), allowed);
        // It is elsewhere at first; the system may have moved it back since.
        assert!(allowed.is_set(sched_getcpu()) && allowed.is_set(here));
    }
}
