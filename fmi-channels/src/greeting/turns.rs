//! Which of several connections to one process this side, their opener, makes the link.
//!
//! It opens a link on one at a time, so that both sides keep the same one. A connection may be
//! half-way open: it stands here and leads nowhere. One that has not come to an end in its time
//! loses its turn as soon as another waits for one. It is given up for good here, but the other
//! side may have attached it: so what comes after it is of a later generation, which replaces it
//! there.

use super::{SUPERSEDED, within};
use fmi_actors::{Result, channel::DialError};
use futures::future::{Either, select};
use std::{
    future::Future,
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use tokio::{
    sync::{Mutex, MutexGuard, Notify},
    time::sleep,
};

/// How long each step of a turn may take for which nobody else waits.
const LONGEST: Duration = Duration::from_secs(5);

/// The turns of the connections to one process.
#[derive(Debug)]
pub struct Turns {
    /// How long it is somebody's turn while others wait.
    patience: Duration,
    /// The least generation that the next link may have.
    floor: Mutex<u32>,
    waiting: AtomicUsize,
    /// Somebody waits.
    news: Notify,
}

/// It is the turn of one connection, until this is dropped.
#[derive(Debug)]
pub struct Turn<'t> {
    turns: &'t Turns,
    floor: MutexGuard<'t, u32>,
    /// The generation of a link that this side has offered. Only here is it not known whether the
    /// other side has taken it.
    offered: Option<u32>,
}

impl Turns {
    /// Each has this time, however many others wait: some round trips between the two.
    #[must_use]
    pub fn new(patience: Duration) -> Self {
        Self {
            patience,
            floor: Mutex::default(),
            waiting: AtomicUsize::new(0),
            news: Notify::new(),
        }
    }

    /// Waits for a turn.
    pub(super) async fn take(&self) -> Turn<'_> {
        let waiting = Waiting::new(self);
        let floor = self.floor.lock().await;
        drop(waiting);
        Turn { turns: self, floor, offered: None }
    }

    /// Ready when somebody has waited for a turn, and `span` is over.
    async fn wanted(&self, span: Duration) {
        sleep(span).await;
        while self.waiting.load(Ordering::Acquire) == 0 {
            self.news.notified().await;
        }
    }
}

impl Turn<'_> {
    /// A link is about to be offered that would have this generation. Returns which it has.
    pub(super) fn begin(&mut self, generation: u32) -> u32 {
        let generation = generation.max(*self.floor);
        self.offered = Some(generation);
        generation
    }

    /// Offers the link.
    pub(super) async fn greet<T>(
        &mut self,
        step: impl Future<Output = Result<T>>,
    ) -> Result<T, DialError> {
        let said = self.take_time(self.turns.patience, step).await;
        if matches!(&said, Err(error) if error.reason.ends_with(SUPERSEDED)) {
            self.offered = None;
        }
        said
    }

    /// The last step, which attaches the link. It may be longer, if there is something to encrypt.
    ///
    /// # Errors
    /// What the step says, or that others had to come before its end.
    pub async fn end(mut self, step: impl Future<Output = Result<()>>) -> Result<(), DialError> {
        self.take_time(4 * self.turns.patience, step).await?;
        self.offered = None;
        // Links have generations of their own from now on.
        *self.floor = 0;
        Ok(())
    }

    async fn take_time<T>(
        &self,
        span: Duration,
        step: impl Future<Output = Result<T>>,
    ) -> Result<T, DialError> {
        let step = pin!(within(LONGEST, step));
        match select(step, pin!(self.turns.wanted(span))).await {
            Either::Left((over, _)) => over,
            Either::Right(_) => Err(DialError::soft("it does not answer, and others wait")),
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(offered) = self.offered {
            *self.floor = offered.saturating_add(1);
        }
    }
}

/// Somebody waits, as long as this lives.
struct Waiting<'t>(&'t Turns);

impl<'t> Waiting<'t> {
    fn new(turns: &'t Turns) -> Self {
        turns.waiting.fetch_add(1, Ordering::AcqRel);
        turns.news.notify_one();
        Self(turns)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fmi_actors::Error;
    use futures::future::{join, pending};

    const PATIENCE: Duration = Duration::from_millis(1);

    fn refused(why: &str) -> Error {
        Error::System { what: "handshake", reason: format!("it: refused: {why}") }
    }

    /// The generation of the next link, which nobody is told of.
    async fn next(turns: &Turns, generation: u32) -> u32 {
        let mut turn = turns.take().await;
        let generation = turn.begin(generation);
        turn.offered = None;
        generation
    }

    #[tokio::test]
    async fn who_does_not_answer_loses_its_turn_to_others() {
        let turns = Turns::new(PATIENCE);
        let first = turns.take().await;
        let stuck = async {
            let mut first = first;
            assert_eq!(first.begin(4), 4);
            first.greet(pending::<Result<()>>()).await
        };
        let next = async {
            let mut next = turns.take().await;
            // The other side may have the first one, and takes this one for a later.
            assert_eq!(next.begin(4), 5);
            next.greet(async { Ok(()) }).await.unwrap();
            next.end(async { Ok(()) }).await
        };
        let (stuck, next) = join(stuck, next).await;
        assert!(stuck.is_err_and(|error| !error.fatal) && next.is_ok());
        // With a link, others count.
        assert_eq!(self::next(&turns, 5).await, 5);
    }

    #[tokio::test]
    async fn who_is_alone_has_more_time() {
        let turns = Turns::new(PATIENCE);
        // Who has waited and gone does not count.
        let mut turn = turns.take().await;
        assert!(tokio::time::timeout(PATIENCE, turns.take()).await.is_err());
        turn.begin(1);
        let late = async {
            sleep(10 * PATIENCE).await;
            Ok(())
        };
        assert!(turn.greet(late).await.is_ok());
    }

    #[tokio::test]
    async fn only_what_is_in_doubt_makes_the_next_one_later() {
        let turns = Turns::new(PATIENCE);
        for (why, generation) in [(SUPERSEDED, 3), ("no such process in this job", 4)] {
            let mut turn = turns.take().await;
            turn.begin(3);
            assert!(turn.greet(async { Err::<(), _>(refused(why)) }).await.is_err());
            drop(turn);
            assert_eq!(next(&turns, 3).await, generation, "{why}");
        }
        // Given up in the middle: by whoever polls it.
        let mut turn = turns.take().await;
        assert_eq!(turn.begin(9), 9);
        drop(turn);
        assert_eq!(next(&turns, 2).await, 10);
    }
}
