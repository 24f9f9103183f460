//! A process' place in a job.

use super::{
    Entered, Entry, anybody, failed,
    form::{self, Misfit, Standing},
    is_old,
    run::{Roster, Run, View, random},
    runs,
    watch::{Pulse, Watcher},
};
use crate::{
    directory::{
        Formed, Membership,
        names::{Found, Trouble},
    },
    rendezvous::{Event, Ranks},
};
use fmi_actors::{Error, Reason, Result, meter::Meter};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tokio::{
    sync::{mpsc, watch as flag},
    task::JoinHandle,
};

/// How long leaving may take.
const GOODBYE: Duration = Duration::from_secs(3);
/// The earliest process says that the job is complete. If it does not, the others do, so much
/// later.
const HEAD_START: Duration = Duration::from_millis(500);
/// Between looks, for each name that is there: many that come at once are not looked at one by
/// one.
const EACH: Duration = Duration::from_micros(50);

/// A process' place in a job, see [`Shared`](super::Shared).
pub(super) struct Place {
    address: String,
    entry: Entry,
    due: Instant,
    after: Duration,
    joining: tokio::sync::Mutex<Joining>,
    /// Where it is now. Another run, if one was given up.
    seat: Mutex<Option<Seat>>,
    /// Since the job is complete.
    events: tokio::sync::Mutex<Option<mpsc::UnboundedReceiver<Event>>>,
    watching: Mutex<Option<Watching>>,
    /// What is being said to the others.
    said: Mutex<Vec<JoinHandle<()>>>,
}

/// An entry that is kept alive, until this is dropped.
struct Seat {
    pulse: Arc<Pulse>,
    end: flag::Sender<bool>,
    heart: JoinHandle<()>,
}

struct Watching {
    end: flag::Sender<bool>,
    task: JoinHandle<()>,
}

struct Joining {
    pulse: Arc<Pulse>,
    run: Run,
    /// Forged entries when first seen: one that lives on is no leftover.
    forged: BTreeMap<u32, SystemTime>,
    /// Since when all are there.
    complete: Option<Instant>,
    formed: Option<Formed>,
}

/// What a look at the job came to.
enum Outcome {
    Formed(Formed),
    /// Not yet: these ranks are missing.
    Waiting(Vec<usize>),
    /// Look again at once.
    Again,
    /// All go to a later run.
    GivenUp,
}

impl Place {
    pub(super) fn new(
        address: String,
        entry: Entry,
        entered: Entered,
        due: Instant,
        after: Duration,
    ) -> Self {
        let seat = Seat::new(&entry, entered);
        let joining = Joining::new(&seat.pulse);
        Self {
            address,
            entry,
            due,
            after,
            joining: tokio::sync::Mutex::new(joining),
            seat: Mutex::new(Some(seat)),
            events: tokio::sync::Mutex::new(None),
            watching: Mutex::default(),
            said: Mutex::default(),
        }
    }

    async fn form(&self) -> Result<Formed> {
        let mut joining = self.joining.lock().await;
        let names = Arc::clone(&self.entry.names);
        let (first, last) = names.pace().forming;
        let mut pause = first;
        loop {
            if let Some(formed) = &joining.formed {
                return Ok(formed.clone());
            }
            let mut crowd = 0;
            let looked = match names.list().await {
                Ok(found) => {
                    crowd = found.len() as u32;
                    self.look(&mut joining, &found).await?
                }
                Err(trouble) => Err(trouble),
            };
            let missing = match looked {
                Ok(Outcome::Formed(formed)) => {
                    joining.formed = Some(formed);
                    continue;
                }
                Ok(Outcome::Again) => continue,
                Ok(Outcome::GivenUp) => {
                    self.move_on(&mut joining).await?;
                    continue;
                }
                Ok(Outcome::Waiting(missing)) => missing,
                Err(trouble) if trouble.passing && Instant::now() < self.due => Vec::new(),
                Err(trouble) => return Err(self.failed(trouble)),
            };
            if Instant::now() >= self.due {
                let registration = &self.entry.record.registration;
                let size = registration.size.unwrap_or_default() as usize;
                let (job, after) = (registration.job.clone(), self.after);
                return Err(Error::Missing { job, missing, size, after });
            }
            tokio::time::sleep((EACH * crowd).min(last)).await;
            // Word may get lost.
            let _ = tokio::time::timeout(pause, names.changed()).await;
            pause = (pause * 2).min(last);
        }
    }

    /// What the job comes to by now. The outer error is for the user.
    async fn look(
        &self,
        joining: &mut Joining,
        found: &[Found],
    ) -> Result<Result<Outcome, Trouble>> {
        let view = match joining.run.look(found).await {
            Ok(view) => view,
            Err(trouble) => return Ok(Err(trouble)),
        };
        if let Some((rank, reason)) = view.abort {
            return Err(Error::RankLost { rank: rank as usize, reason });
        }
        if let Some(roster) = view.roster {
            return Ok(Ok(match roster.is_given_up() {
                true => Outcome::GivenUp,
                false => Outcome::Formed(self.take(&joining.pulse, roster).await?),
            }));
        }
        self.look_for_forgers(joining, &view)?;
        match self.is_passed(joining, found).await {
            Ok(true) => {
                return Ok(joining.run.close(&Roster::GIVEN_UP).await.map(|_| Outcome::Again));
            }
            Ok(false) => {}
            Err(trouble) => return Ok(Err(trouble)),
        }
        if !view.entries.contains_key(&joining.pulse.number) {
            if Instant::now() >= self.due {
                return Err(self.failed("somebody took this process' entry away"));
            }
            // Those of a run that is over clear it behind them, also of who came just then.
            return Ok(Ok(Outcome::GivenUp));
        }
        let members = match self.judge(&joining.pulse, &view)? {
            Standing::Complete(members) => members,
            Standing::Missing(missing) => {
                joining.complete = None;
                return Ok(Ok(Outcome::Waiting(missing)));
            }
        };
        let since = *joining.complete.get_or_insert_with(Instant::now);
        let first = members.iter().map(|member| member.process).min();
        if view.closed_to_us || first != Some(joining.pulse.number) && since.elapsed() < HEAD_START
        {
            return Ok(Ok(Outcome::Waiting(Vec::new())));
        }
        // Somebody may have left, and another come to his number, between two looks; and the models
        // are read again with the entries.
        joining.run = self.entry.run(joining.run.number);
        let closed = async {
            let view = joining.run.look(found).await?;
            if !matches!(self.judge(&joining.pulse, &view), Ok(Standing::Complete(now)) if now == members)
            {
                return Ok(Outcome::Again);
            }
            let epoch = (random()? as u32).max(1);
            let is_in = |process| members.iter().any(|member| member.process == process);
            let model = view.models.first(is_in).to_owned();
            joining.run.close(&Roster { epoch, members, model }).await?;
            Ok(Outcome::Again)
        };
        Ok(closed.await)
    }

    /// Whether others form the job in a later run.
    async fn is_passed(&self, joining: &Joining, found: &[Found]) -> Result<bool, Trouble> {
        for (number, _) in runs(found).into_iter().rev() {
            if number <= joining.run.number {
                break;
            }
            let view = self.entry.run(number).look(found).await?;
            let now = joining.pulse.now();
            let foreign = |at: &SystemTime| !is_old(&self.entry.record, *at, now, Duration::ZERO);
            let lives = anybody(&view, now) || view.forged.values().any(foreign);
            if view.roster.is_none() && !view.closed_to_us && lives {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Leaves a run that was given up for the one after it.
    async fn move_on(&self, joining: &mut Joining) -> Result<()> {
        let old = self.seat.lock().take();
        if let Some(old) = old {
            let pulse = old.stop().await;
            let left = pulse.run.leave(pulse.number, |view| anybody(view, pulse.now()));
            if let Err(trouble) = left.await {
                tracing::debug!("cannot leave a run of {}: {trouble}", self.address);
            }
        }
        let entered = loop {
            match self.entry.try_to_enter().await {
                Ok(Some(entered)) => break entered,
                // It is complete already, without this process.
                Ok(None) => return Err(self.full()),
                Err(trouble) if trouble.passing && Instant::now() < self.due => {
                    tokio::time::sleep(self.entry.names.pace().forming.1).await;
                }
                Err(trouble) => return Err(self.failed(trouble)),
            }
        };
        let seat = Seat::new(&self.entry, entered);
        *joining = Joining::new(&seat.pulse);
        *self.seat.lock() = Some(seat);
        Ok(())
    }

    /// What the entries of those that live come to.
    fn judge(&self, pulse: &Pulse, view: &View) -> Result<Standing> {
        let now = pulse.now();
        let alive = view.entries.iter().filter(|(number, (record, alive))| {
            **number == pulse.number || !is_old(record, *alive, now, Duration::ZERO)
        });
        let alive = alive.map(|(number, (record, _))| (*number, record.clone())).collect();
        let registration = &self.entry.record.registration;
        let own = registration.size.unwrap_or_default();
        let size = form::size(&alive).unwrap_or(own);
        let (standing, misfits) = form::form(&alive, size);
        let job = registration.job.clone();
        match misfits.get(&pulse.number) {
            None => Ok(standing),
            Some(Misfit::Taken(rank)) => Err(Error::RankTaken { rank: *rank as usize, job }),
            Some(Misfit::Beyond(rank)) => Err(Error::RankOutOfRange {
                operation: "join",
                rank: *rank as usize,
                size: size as usize,
            }),
            Some(Misfit::Size(theirs)) => {
                Err(Error::SizeMismatch { job, ours: own as usize, theirs: *theirs as usize })
            }
            Some(Misfit::Full(free)) => {
                Err(self.failed(format!("job \"{job}\" is full: {free} of {size} ranks are free")))
            }
        }
    }

    /// Takes the place that the roster gives.
    async fn take(&self, pulse: &Arc<Pulse>, roster: Roster) -> Result<Formed> {
        let process = pulse.number;
        if !roster.members.iter().any(|member| member.process == process) {
            return Err(self.full());
        }
        let (members, model): (Arc<[_]>, _) = (roster.members.into(), roster.model.into());
        let (events, heard) = mpsc::unbounded_channel();
        *self.events.lock().await = Some(heard);
        let watcher = Watcher::new(Arc::clone(pulse), Arc::clone(&members), events);
        let (end, ended) = flag::channel(false);
        *self.watching.lock() = Some(Watching { end, task: tokio::spawn(watcher.keep(ended)) });
        Ok(Formed { process, epoch: roster.epoch, members, model })
    }

    /// A content that does not bear our token and yet lives on is a process with another one.
    fn look_for_forgers(&self, joining: &mut Joining, view: &View) -> Result<()> {
        let lives = |(number, alive): (&u32, &SystemTime)| {
            joining.forged.get(number).is_some_and(|before| before < alive)
        };
        if view.forged.iter().any(lives) {
            return Err(Error::WrongToken { at: self.address.clone() });
        }
        for (number, alive) in &view.forged {
            joining.forged.entry(*number).or_insert(*alive);
        }
        Ok(())
    }

    /// The job is complete without this process.
    fn full(&self) -> Error {
        let registration = &self.entry.record.registration;
        let job = registration.job.clone();
        match &registration.ranks {
            Ranks::Given(ranks) if !ranks.is_empty() => {
                Error::RankTaken { rank: ranks[0] as usize, job }
            }
            _ => self.failed(format!("job \"{job}\" is full")),
        }
    }

    fn failed(&self, reason: impl ToString) -> Error {
        failed(&self.address, reason)
    }
}

impl Seat {
    fn new(entry: &Entry, Entered { run, number, at }: Entered) -> Self {
        let pulse = Arc::new(Pulse::new(run, number, Arc::clone(&entry.record), at));
        let (end, ended) = flag::channel(false);
        let heart = tokio::spawn(Arc::clone(&pulse).keep(ended));
        Self { pulse, end, heart }
    }

    /// Gives no more signs of life.
    async fn stop(self) -> Arc<Pulse> {
        self.end.send_replace(true);
        let _ = self.heart.await;
        self.pulse
    }
}

impl Joining {
    fn new(pulse: &Arc<Pulse>) -> Self {
        Self {
            run: pulse.run.clone(),
            pulse: Arc::clone(pulse),
            forged: BTreeMap::new(),
            complete: None,
            formed: None,
        }
    }
}

impl Membership for Place {
    fn charge(&self, meter: &Arc<Meter>) {
        self.entry.names.charge(meter);
    }

    fn complete(&self) -> BoxFuture<'_, Result<Formed>> {
        Box::pin(async move {
            let formed = self.form().await;
            if formed.is_err() {
                // Who has no place leaves none behind.
                self.leave().await;
            }
            formed
        })
    }

    fn event(&self) -> BoxFuture<'_, Option<Event>> {
        Box::pin(async move { self.events.lock().await.as_mut()?.recv().await })
    }

    fn abort(&self, rank: u32, reason: Reason) {
        let Some(run) = self.seat.lock().as_ref().map(|seat| seat.pulse.run.clone()) else {
            return;
        };
        let say = async move {
            if let Err(trouble) = run.abort(rank, &reason).await {
                tracing::warn!("the directory does not take it that rank {rank} failed: {trouble}");
            }
        };
        let mut said = self.said.lock();
        // The first one counts.
        if said.is_empty() {
            said.push(tokio::spawn(say));
        }
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let said = std::mem::take(&mut *self.said.lock());
            let (seat, watching) = (self.seat.lock().take(), self.watching.lock().take());
            let Some(seat) = seat else { return };
            let leave = async {
                if let Some(Watching { end, task }) = watching {
                    end.send_replace(true);
                    let _ = task.await;
                }
                for said in said {
                    let _ = said.await;
                }
                let pulse = seat.stop().await;
                pulse.run.leave(pulse.number, |view| anybody(view, pulse.now())).await
            };
            match tokio::time::timeout(GOODBYE, leave).await {
                Ok(Err(trouble)) => tracing::warn!("cannot leave {}: {trouble}", self.address),
                Err(_) => tracing::warn!("{} does not answer a goodbye", self.address),
                Ok(Ok(())) => {}
            }
        })
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Place in {}", self.address)
    }
}
