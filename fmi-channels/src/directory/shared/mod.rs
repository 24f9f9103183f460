//! A directory of small contents under names: a folder, a Redis server, a bucket. No server of
//! ours, for processes that reach each other directly or through a store.
//!
//! Each process writes an entry, whole and under the token's MAC; when all ranks are there, one
//! writes the roster, with the model of the lowest that has one, which is what all go by. Entries
//! are written anew as signs of life; one that grows old is a death, one that is gone has left. Who
//! forged a content, or holds another token, is not heard.
//!
//! Processes that come at once to a place where nothing is may each begin a run. Those of the
//! earlier runs give them up, by an empty roster, and go to the last one: as a roster exists once,
//! a run is either complete or given up, for all.

mod form;
mod place;
mod run;
mod seal;
mod watch;

use super::{
    Directory, Membership, Register,
    names::{Found, Names, Trouble},
};
use crate::handshake::Token;
use fmi_actors::{Error, Result};
use futures::future::BoxFuture;
use place::Place;
use run::{Record, Run, View, random};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, UdpSocket},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// A place that processes share.
#[derive(Debug)]
pub struct Shared {
    site: Site,
    token: Token,
    silent: Duration,
}

/// Which place.
enum Site {
    Folder(PathBuf),
    #[cfg(feature = "redis")]
    Redis(String),
    #[cfg(feature = "s3")]
    S3(String),
}

impl Shared {
    /// A folder that all processes can write to (NFS, EFS, or `/tmp` on one machine).
    ///
    /// A process that gives no sign of life for `silent` is dead.
    #[must_use]
    pub fn folder(path: impl Into<PathBuf>, token: Token, silent: Duration) -> Self {
        Self { site: Site::Folder(path.into()), token, silent }
    }

    /// A Redis server, by its `redis://` or `rediss://` URL.
    #[cfg(feature = "redis")]
    #[must_use]
    pub fn redis(url: impl Into<String>, token: Token, silent: Duration) -> Self {
        Self { site: Site::Redis(url.into()), token, silent }
    }

    /// A bucket, by its `s3://` URL.
    #[cfg(feature = "s3")]
    #[must_use]
    pub fn s3(url: impl Into<String>, token: Token, silent: Duration) -> Self {
        Self { site: Site::S3(url.into()), token, silent }
    }

    fn failed(&self, reason: impl ToString) -> Error {
        failed(&self.site.address(), reason)
    }

    /// Enters the run of the job that is about to form, or begins one.
    async fn enter(&self, entry: &Entry, due: Instant) -> Result<Entered> {
        let mut pause = entry.names.pace().forming.0;
        loop {
            match entry.try_to_enter().await {
                Ok(Some(entered)) => return Ok(entered),
                Err(trouble) if !trouble.passing || Instant::now() >= due => {
                    return Err(self.failed(trouble));
                }
                Ok(None) if Instant::now() >= due => {
                    let job = &entry.record.registration.job;
                    return Err(self.failed(format!(
                        "a job \"{job}\" runs there already: give each run its own FMI_JOB"
                    )));
                }
                Ok(None) | Err(_) => {}
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(entry.names.pace().forming.1);
        }
    }
}

impl Directory for Shared {
    fn register<'a>(
        &'a self,
        mut registration: Register<'a>,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<Arc<dyn Membership>>> {
        Box::pin(async move {
            let registration = registration(outward());
            if registration.after.is_some() {
                return Err(self.failed(
                    "a group forms anew after a loss at an `fmi rendezvous` alone: end the job's \
                     processes and start it again, or meet at one",
                ));
            }
            if registration.size.is_none() {
                return Err(self.failed("it is told no size: set FMI_SIZE"));
            }
            registration.check().map_err(|reason| self.failed(reason))?;
            let due = Instant::now() + deadline;
            let opened = self.site.open(&registration.job, self.silent).await;
            let names = opened.map_err(|trouble| self.failed(trouble))?;
            let silent = self.silent.clamp(names.pace().silence, LONGEST);
            let id = random().map_err(|trouble| self.failed(trouble))?;
            let record = Arc::new(Record { registration, silent, id });
            let entry = Entry { names, token: self.token.clone(), record };
            let entered = self.enter(&entry, due).await?;
            let place = Place::new(self.site.address(), entry, entered, due, deadline);
            Ok(Arc::new(place) as Arc<dyn Membership>)
        })
    }
}

/// The longest silence of a process that lives.
const LONGEST: Duration = Duration::from_secs(3600);

impl Site {
    /// For people, without a password.
    fn address(&self) -> String {
        match self {
            Self::Folder(path) => format!("file://{}", path.display()),
            #[cfg(feature = "redis")]
            Self::Redis(url) => crate::hidden::hidden(url),
            #[cfg(feature = "s3")]
            Self::S3(url) => crate::hidden::hidden(url),
        }
    }

    /// What a job has there. Leftovers of jobs that last for `silent` without a sign of life may
    /// go.
    async fn open(&self, job: &str, silent: Duration) -> Result<Arc<dyn Names>, Trouble> {
        let _ = silent;
        Ok(match self {
            Self::Folder(path) => Arc::new(super::folder::Folder::open(path, job).await?),
            #[cfg(feature = "redis")]
            Self::Redis(url) => {
                Arc::new(crate::redis::directory::Names::open(url, job, silent).await?)
            }
            #[cfg(feature = "s3")]
            Self::S3(url) => Arc::new(crate::s3::directory::Names::open(url, job).await?),
        })
    }
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.address())
    }
}

/// A process that wants to enter.
struct Entry {
    names: Arc<dyn Names>,
    token: Token,
    record: Arc<Record>,
}

/// A process that has entered a run: its number, and what time it was.
struct Entered {
    run: Run,
    number: u32,
    at: SystemTime,
}

impl Entry {
    fn run(&self, number: u64) -> Run {
        Run::new(&self.names, &self.record.registration.job, number, &self.token)
    }

    /// `None`: the last run is complete, and somebody of it lives.
    async fn try_to_enter(&self) -> Result<Option<Entered>, Trouble> {
        let found = self.names.list().await?;
        let mut dead = Vec::new();
        let mut open = None;
        for (number, _) in runs(&found).into_iter().rev() {
            let mut run = self.run(number);
            let view = run.look(&found).await?;
            let given_up = view.roster.as_ref().is_some_and(run::Roster::is_given_up);
            if view.roster.is_none() && !view.closed_to_us {
                open.get_or_insert(run);
            } else if self.lives(&view).await? {
                if !given_up && open.is_none() {
                    return Ok(None);
                }
            } else {
                dead.push(run);
            }
        }
        let mut run = match open {
            Some(run) => run,
            None => self.run(next(&found)?),
        };
        let (number, at) = run.enter(&self.record, &found).await?;
        for run in dead {
            run.clear().await?;
        }
        Ok(Some(Entered { run, number, at }))
    }

    /// Whether somebody has given a sign of life lately.
    async fn lives(&self, view: &View) -> Result<bool, Trouble> {
        let now = self.names.now().await?;
        let foreign = |at: &SystemTime| !is_old(&self.record, *at, now, Duration::ZERO);
        Ok(anybody(view, now) || view.forged.values().any(foreign))
    }
}

/// The runs that are there, each with its names.
fn runs(found: &[Found]) -> BTreeMap<u64, usize> {
    let mut runs = BTreeMap::new();
    for found in found {
        *runs.entry(found.run).or_default() += 1;
    }
    runs
}

/// A number that no run has or had: clocks that differ do no harm, as the end of it is random.
fn next(found: &[Found]) -> Result<u64, Trouble> {
    let millis =
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    let fresh = (millis << RANDOM_BITS) | (random()? & ((1 << RANDOM_BITS) - 1));
    let last = runs(found).into_keys().next_back().unwrap_or(0);
    Ok(fresh.max(last.saturating_add(1)))
}

const RANDOM_BITS: u32 = 20;

/// Whether somebody has given a sign of life lately.
fn anybody(view: &View, now: SystemTime) -> bool {
    view.entries.values().any(|(record, alive)| !is_old(record, *alive, now, Duration::ZERO))
}

/// Whether an entry is older than its process promised, and than `silent`.
fn is_old(record: &Record, alive: SystemTime, now: SystemTime, silent: Duration) -> bool {
    now.duration_since(alive).unwrap_or_default() > record.silent.max(silent)
}

fn failed(address: &str, reason: impl ToString) -> Error {
    Error::Rendezvous { address: address.to_owned(), reason: reason.to_string() }
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
