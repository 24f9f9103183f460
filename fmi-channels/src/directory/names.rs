//! The contract of a place that a directory is made of: it keeps small contents under names.
//!
//! [`shared`](super::shared) is all that a directory does; a place has a file of its own.

use fmi_actors::meter::Meter;
use futures::future::BoxFuture;
use std::{
    fmt, io,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// What one job keeps under names in a place. A name is `RUN/WHAT`, see [`name`].
///
/// All calls by all processes on one name happen one after the other, and who lists sees what was
/// done before. Ages are told by the place's own clock alone.
pub(crate) trait Names: fmt::Debug + Send + Sync {
    /// All that is there, in any order.
    fn list(&self) -> BoxFuture<'_, Result<Vec<Found>>>;

    /// What stands under a name, if anything does. A content that is longer than `most` bytes is
    /// cut.
    fn read<'a>(&'a self, name: &'a str, most: usize) -> BoxFuture<'a, Result<Option<Vec<u8>>>>;

    /// Puts a content under a name, whole, unless the name is taken; then `None`. Else what time it
    /// is.
    fn create<'a>(
        &'a self,
        name: &'a str,
        content: Vec<u8>,
    ) -> BoxFuture<'a, Result<Option<SystemTime>>>;

    /// Puts a content in another's place, and makes it young. `None` if there is none.
    fn renew<'a>(
        &'a self,
        name: &'a str,
        content: Vec<u8>,
    ) -> BoxFuture<'a, Result<Option<SystemTime>>>;

    /// Takes a name away, if it is there.
    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>>;

    /// Takes all names of a run away, also those that are not ours.
    fn clear(&self, run: u64) -> BoxFuture<'_, Result<()>>;

    /// What time it is there.
    fn now(&self) -> BoxFuture<'_, Result<SystemTime>>;

    /// Waits for word that something may have changed since the last [list](Self::list). Never
    /// comes where the place gives no word. May be dropped at any time.
    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(futures::future::pending())
    }

    /// This meter counts what is asked of the place, if that costs anything.
    fn charge(&self, _meter: &Arc<Meter>) {}

    /// How often to look.
    fn pace(&self) -> Pace;
}

/// A name that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) run: u64,
    /// What stands there.
    pub(crate) what: String,
    /// When it was last written.
    pub(crate) at: SystemTime,
}

impl Found {
    /// Of a name, if it is one of ours.
    pub(crate) fn new(name: &str, at: SystemTime) -> Option<Self> {
        let (run, what) = name.split_once('/')?;
        if run.len() != 16 || !run.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let run = u64::from_str_radix(run, 16).ok()?;
        Some(Self { run, what: what.to_owned(), at })
    }
}

/// The name under which something of a run stands.
pub(crate) fn name(run: u64, what: &str) -> String {
    format!("{run:016x}/{what}")
}

/// How often it is looked at a place that gives no word, or whose word may get lost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// While a job forms: at first, and in the end.
    pub(crate) forming: (Duration, Duration),
    /// While it runs: at least and at most. An eighth of the silence that is a death lies between.
    pub(crate) running: (Duration, Duration),
    /// No process can be told to be dead after less silence.
    pub(crate) silence: Duration,
}

pub(crate) type Result<T, E = Trouble> = std::result::Result<T, E>;

/// A place does not do what it should. The text has no secret in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Trouble {
    /// What it says, and what to do.
    pub(crate) reason: String,
    /// It may be better in a moment.
    pub(crate) passing: bool,
}

impl Trouble {
    /// Trying again is of no use.
    pub(crate) fn lasting(reason: impl ToString) -> Self {
        Self { reason: reason.to_string(), passing: false }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::lasting(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let at = SystemTime::UNIX_EPOCH;
        let found = Found::new(&name(0xabc, "3.entry"), at).unwrap();
        assert_eq!((found.run, found.what.as_str()), (0xabc, "3.entry"));
        for foreign in ["", "roster", "1/roster", "000000000000000g/roster", "+00000000000000a/x"] {
            assert_eq!(Found::new(foreign, at), None, "{foreign}");
        }
    }
}
