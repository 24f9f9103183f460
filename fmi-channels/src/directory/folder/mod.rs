//! A folder that all processes of a job can write to (NFS, EFS, or `/tmp` on one machine) as the
//! place where they find each other: no server, for processes that reach each other directly.
//!
//! Each process writes an entry, whole and under the token's MAC; when all ranks are there, one
//! writes the roster, which is what all go by. Entries are written anew as signs of life; one that
//! grows old is a death, one that is gone has left. Who forged a file, or holds another token, is
//! not heard. Whoever may write to the folder can take files away: that ends a job, no more.
//!
//! A folder carries no notes, so links are direct ones; and it forms no group anew after a loss.

mod disk;
mod form;
mod seal;
mod watch;

use super::{Directory, Formed, Membership, Register};
use crate::{
    handshake::Token,
    rendezvous::{Event, Ranks},
};
use disk::{Record, Roster, Run, View};
use fmi_actors::{Error, Reason, Result};
use form::{Misfit, Standing};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::{
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, UdpSocket},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tokio::{
    sync::{mpsc, watch as flag},
    task::JoinHandle,
};
use watch::{Pulse, Watcher};

/// A shared folder.
#[derive(Debug)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// The job's token.
    pub token: Token,
    /// A process that gives no sign of life for so long is dead.
    pub silent: Duration,
}

/// How often it is looked whether the others have come: at first, and in the end.
const FIRST_LOOK: Duration = Duration::from_millis(5);
const LAST_LOOK: Duration = Duration::from_millis(250);
/// How long leaving may take.
const GOODBYE: Duration = Duration::from_secs(3);

impl Directory for Folder {
    fn register<'a>(
        &'a self,
        mut registration: Register<'a>,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<Arc<dyn Membership>>> {
        Box::pin(async move {
            let registration = registration(outward());
            if registration.after.is_some() {
                return Err(self.failed(
                    "a folder forms no group anew after a loss: end the job's processes and start \
                     it again, or meet at an `fmi rendezvous`",
                ));
            }
            if registration.size.is_none() {
                return Err(self.failed("it is told no size: set FMI_SIZE"));
            }
            let silent = self.silent.clamp(Duration::from_millis(50), Duration::from_secs(3600));
            let id = disk::random().map_err(|error| self.failed(error))?;
            let (job, record) =
                (registration.job.clone(), Arc::new(Record { registration, silent, id }));
            let due = Instant::now() + deadline;
            let (run, number, alive) = self.enter(&job, &record, due).await?;
            let (end, ended) = flag::channel(false);
            let pulse = Arc::new(Pulse::new(run.clone(), number, Arc::clone(&record), alive));
            let heart = tokio::spawn(Arc::clone(&pulse).keep(ended));
            let place = Place {
                address: self.address(),
                job,
                record,
                pulse,
                due,
                after: deadline,
                joining: tokio::sync::Mutex::new(Joining { run, seen: None, formed: None }),
                events: tokio::sync::Mutex::new(None),
                watching: Mutex::default(),
                said: Mutex::default(),
                end,
                heart: Mutex::new(Some(heart)),
            };
            Ok(Arc::new(place) as Arc<dyn Membership>)
        })
    }
}

impl Folder {
    /// Enters the run of the job that is about to form, or begins one.
    async fn enter(
        &self,
        job: &str,
        record: &Arc<Record>,
        due: Instant,
    ) -> Result<(Run, u32, SystemTime)> {
        let home = disk::home(&self.path, job);
        let mut pause = FIRST_LOOK;
        loop {
            let (folder, home, token, record) =
                (self.path.clone(), home.clone(), self.token.clone(), Arc::clone(record));
            let tried = blocking(move || try_to_enter(&folder, &home, &token, &record)).await;
            match tried {
                Ok(Some(entered)) => return Ok(entered),
                Ok(None) if Instant::now() >= due => {
                    return Err(self.failed(format!(
                        "a job \"{job}\" runs there already: give each run its own FMI_JOB"
                    )));
                }
                // Somebody who left may have taken the folder away under us.
                Err(error) if error.kind() == ErrorKind::NotFound && self.path.is_dir() => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Err(self.failed(
                        "there is no such folder: make it, on storage that all processes share",
                    ));
                }
                Err(error) => return Err(self.failed(error)),
                Ok(None) => {}
            }
            if Instant::now() >= due {
                return Err(self.failed("others keep taking the job's folder away"));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_LOOK);
        }
    }

    fn address(&self) -> String {
        format!("file://{}", self.path.display())
    }

    fn failed(&self, reason: impl ToString) -> Error {
        Error::Rendezvous { address: self.address(), reason: reason.to_string() }
    }
}

/// `None`: the last run is complete, and somebody of it lives.
fn try_to_enter(
    folder: &Path,
    home: &Path,
    token: &Token,
    record: &Record,
) -> io::Result<Option<(Run, u32, SystemTime)>> {
    if !folder.is_dir() {
        return Err(ErrorKind::NotFound.into());
    }
    let mut runs = match disk::runs(home) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        runs => runs?,
    };
    let mut open = runs.first().copied().unwrap_or(0);
    if let Some(last) = runs.first() {
        let mut run = Run::new(home, *last, token);
        let view = run.look()?;
        if view.roster.is_some() || view.closed_to_us {
            let now = disk::now(home)?;
            let foreign = |alive: &SystemTime| !is_old(record, *alive, now, Duration::ZERO);
            if anybody(&view, now) || view.forged.values().any(foreign) {
                return Ok(None);
            }
            open += 1;
        } else {
            runs.remove(0);
        }
    } else {
        open = 1;
    }
    disk::begin(home, open)?;
    let run = Run::new(home, open, token);
    let number = run.enter(record)?;
    let alive = run.beat(number, record)?;
    let _ = disk::sweep(folder, alive);
    // Nobody lives in those before.
    for old in runs {
        let _ = Run::new(home, old, token).clear();
    }
    Ok(Some((run, number, alive)))
}

/// Whether somebody has given a sign of life lately.
fn anybody(view: &View, now: SystemTime) -> bool {
    view.entries.values().any(|(record, alive)| !is_old(record, *alive, now, Duration::ZERO))
}

/// Whether an entry is older than its process promised, and than `silent`.
fn is_old(record: &Record, alive: SystemTime, now: SystemTime, silent: Duration) -> bool {
    now.duration_since(alive).unwrap_or_default() > record.silent.max(silent)
}

/// A process' place in a job, see [`Folder`].
struct Place {
    address: String,
    job: String,
    record: Arc<Record>,
    pulse: Arc<Pulse>,
    due: Instant,
    after: Duration,
    joining: tokio::sync::Mutex<Joining>,
    /// Since the job is complete.
    events: tokio::sync::Mutex<Option<mpsc::UnboundedReceiver<Event>>>,
    watching: Mutex<Option<JoinHandle<()>>>,
    /// What is being said to the others.
    said: Mutex<Vec<JoinHandle<()>>>,
    end: flag::Sender<bool>,
    heart: Mutex<Option<JoinHandle<()>>>,
}

struct Joining {
    run: Run,
    /// Forged entries when first seen: one that lives on is no leftover.
    seen: Option<View>,
    formed: Option<Formed>,
}

impl Place {
    async fn form(&self) -> Result<Formed> {
        let mut joining = self.joining.lock().await;
        let mut pause = FIRST_LOOK;
        loop {
            if let Some(formed) = &joining.formed {
                return Ok(formed.clone());
            }
            let mut run = joining.run.clone();
            let looked = blocking(move || run.look().map(|view| (run, view))).await;
            let (run, view) = looked.map_err(|error| self.failed(error))?;
            joining.run = run;
            if let Some((rank, reason)) = view.abort {
                return Err(Error::RankLost { rank: rank as usize, reason });
            }
            if let Some(roster) = view.roster {
                joining.formed = Some(self.take(&joining.run, roster).await?);
                continue;
            }
            let missing = match self.judge(&view)? {
                Standing::Complete(members) => {
                    let epoch = disk::random().map_err(|error| self.failed(error))? as u32;
                    let roster = Roster { epoch: epoch.max(1), members };
                    let run = joining.run.clone();
                    let closed = blocking(move || run.close(&roster)).await;
                    if closed.map_err(|error| self.failed(error))? {
                        continue;
                    }
                    // Somebody else's roster is being written, or is not for us.
                    Vec::new()
                }
                Standing::Missing(missing) => missing,
            };
            self.look_for_forgers(&mut joining, view)?;
            if Instant::now() >= self.due {
                let size = self.record.registration.size.unwrap_or_default() as usize;
                let (job, after) = (self.job.clone(), self.after);
                return Err(Error::Missing { job, missing, size, after });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_LOOK);
        }
    }

    /// What the entries of those that live come to.
    fn judge(&self, view: &View) -> Result<Standing> {
        let now = self.pulse.now();
        let alive = view.entries.iter().filter(|(number, (record, alive))| {
            **number == self.pulse.number || !is_old(record, *alive, now, Duration::ZERO)
        });
        let alive = alive.map(|(number, (record, _))| (*number, record.clone())).collect();
        let own = self.record.registration.size.unwrap_or_default();
        let size = form::size(&alive).unwrap_or(own);
        let (standing, misfits) = form::form(&alive, size);
        let job = self.job.clone();
        match misfits.get(&self.pulse.number) {
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
    async fn take(&self, run: &Run, roster: Roster) -> Result<Formed> {
        let process = self.pulse.number;
        if !roster.members.iter().any(|member| member.process == process) {
            let job = self.job.clone();
            return Err(match &self.record.registration.ranks {
                Ranks::Given(ranks) if !ranks.is_empty() => {
                    Error::RankTaken { rank: ranks[0] as usize, job }
                }
                _ => self.failed(format!("job \"{job}\" is full")),
            });
        }
        let members: Arc<[_]> = roster.members.into();
        let (events, heard) = mpsc::unbounded_channel();
        *self.events.lock().await = Some(heard);
        let watcher =
            Watcher::new(run.clone(), Arc::clone(&self.pulse), Arc::clone(&members), events);
        *self.watching.lock() = Some(tokio::spawn(watcher.keep(self.end.subscribe())));
        Ok(Formed { process, epoch: roster.epoch, members })
    }

    /// A file that does not bear our token and yet lives on is a process with another one.
    fn look_for_forgers(&self, joining: &mut Joining, view: View) -> Result<()> {
        if let Some(seen) = &joining.seen {
            let lives = |(number, alive): (&u32, &SystemTime)| {
                seen.forged.get(number).is_some_and(|before| before < alive)
            };
            if view.forged.iter().any(lives) {
                return Err(Error::WrongToken { at: self.address.clone() });
            }
        }
        let known = joining.seen.get_or_insert_with(View::default);
        for (number, alive) in view.forged {
            known.forged.entry(number).or_insert(alive);
        }
        Ok(())
    }

    fn failed(&self, reason: impl ToString) -> Error {
        Error::Rendezvous { address: self.address.clone(), reason: reason.to_string() }
    }
}

impl Membership for Place {
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
        let pulse = Arc::clone(&self.pulse);
        let say = move || {
            if let Err(error) = pulse.run.abort(rank, &reason) {
                tracing::warn!("the folder does not take it that rank {rank} failed: {error}");
            }
        };
        let mut said = self.said.lock();
        // The first one counts.
        if said.is_empty() {
            said.push(tokio::task::spawn_blocking(say));
        }
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let said = std::mem::take(&mut *self.said.lock());
            let tasks = [self.heart.lock().take(), self.watching.lock().take()];
            self.end.send_replace(true);
            let leave = async {
                for task in said.into_iter().chain(tasks.into_iter().flatten()) {
                    let _ = task.await;
                }
                let pulse = Arc::clone(&self.pulse);
                blocking(move || {
                    let now = pulse.now();
                    pulse.run.leave(pulse.number, |view| anybody(view, now))
                })
                .await
            };
            match tokio::time::timeout(GOODBYE, leave).await {
                Ok(Err(error)) if error.kind() != ErrorKind::NotFound => {
                    tracing::warn!("cannot leave {}: {error}", self.address);
                }
                Err(_) => tracing::warn!("{} does not answer a goodbye", self.address),
                Ok(_) => {}
            }
        })
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Place({} in {})", self.pulse.number, self.address)
    }
}

/// This machine's address towards other networks.
fn outward() -> IpAddr {
    let look = || {
        let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
        // Chooses a route and sends nothing. The address is one for documentation.
        socket.connect("192.0.2.1:9").ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    look().unwrap_or(Ipv4Addr::LOCALHOST.into())
}

/// Runs what may block on a thread where it harms nobody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
