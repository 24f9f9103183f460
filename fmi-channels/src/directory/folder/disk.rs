//! The files of one run of a job. Everything here blocks.
//!
//! ```text
//! FOLDER/JOB/RUN/PROCESS.entry   a registration; written anew as a sign of life
//! FOLDER/JOB/RUN/roster          the job is complete: who has which rank
//! FOLDER/JOB/RUN/abort           the first rank that failed
//! ```
//!
//! JOB is a hash of the job's name, RUN and PROCESS are numbers. What must exist once is made by
//! linking a whole file to its name, which fails if the name is there. Ages are measured by the
//! folder's own clock: the time that it gives to what is written now.

use super::seal::{Kind, Unfit, open, seal};
use crate::{
    handshake::Token,
    rendezvous::{Member, Registration},
};
use fmi_actors::{Reason, codec};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// What a process writes about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) registration: Registration,
    /// After how much silence it may be taken for dead.
    pub(super) silent: Duration,
    /// Random: tells it from another that came to its number.
    pub(super) id: u64,
}

/// Who makes up a complete job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Roster {
    pub(super) epoch: u32,
    pub(super) members: Vec<Member>,
}

/// The first failure of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Abort {
    rank: u32,
    reason: String,
}

/// One run of a job in a folder.
#[derive(Debug, Clone)]
pub(super) struct Run {
    path: PathBuf,
    number: u32,
    /// Job and run, for the MACs.
    label: String,
    token: Token,
    records: BTreeMap<u32, Record>,
}

/// What stands in a run's folder.
#[derive(Debug, Default)]
pub(super) struct View {
    /// The entries, each with the time of its last sign of life.
    pub(super) entries: BTreeMap<u32, (Record, SystemTime)>,
    /// Files that look like entries but hold another token.
    pub(super) forged: BTreeMap<u32, SystemTime>,
    pub(super) roster: Option<Roster>,
    /// There is a roster, but not one under our token.
    pub(super) closed_to_us: bool,
    pub(super) abort: Option<(u32, Reason)>,
}

/// After so long without any change a job's folder is a leftover. The longest silence of a process
/// that lives is a quarter of it.
const EXPIRY: Duration = Duration::from_secs(3600);
/// More entries are not looked at.
const MOST: usize = 1 << 16;
/// Bytes that are read of an entry or an abort, and of a roster.
const ENTRY: u64 = 1 << 20;
const ROSTER: u64 = 64 << 20;
/// Bytes of a reason's text.
const REASON: usize = 4096;

/// The folder of a job.
pub(super) fn home(folder: &Path, job: &str) -> PathBuf {
    let hash = Sha256::digest(job.as_bytes());
    let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    folder.join(format!("fmi-{hex}"))
}

/// The runs of a job that are there, the last one first.
pub(super) fn runs(home: &Path) -> io::Result<Vec<u32>> {
    let mut runs = Vec::new();
    for entry in fs::read_dir(home)?.take(MOST) {
        let name = entry?.file_name();
        runs.extend(name.to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    runs.sort_unstable_by(|a, b| b.cmp(a));
    Ok(runs)
}

/// Begins a run, unless somebody else has.
pub(super) fn begin(home: &Path, run: u32) -> io::Result<()> {
    match fs::create_dir(home) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    match fs::create_dir(home.join(run.to_string())) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Takes away what jobs have left that gave no sign of life for an hour.
pub(super) fn sweep(folder: &Path, now: SystemTime) -> io::Result<()> {
    for job in fs::read_dir(folder)?.take(MOST).flatten() {
        if !job.file_name().to_string_lossy().starts_with("fmi-") {
            continue;
        }
        let youngest = youngest(&job.path(), 2);
        if youngest.is_some_and(|at| now.duration_since(at).unwrap_or_default() > EXPIRY) {
            let _ = remove(folder, &job.path());
        }
    }
    Ok(())
}

/// When something in a folder changed last.
fn youngest(path: &Path, depth: u32) -> Option<SystemTime> {
    let own = fs::symlink_metadata(path).ok()?;
    let inside = match depth {
        0 => None,
        _ if !own.is_dir() => None,
        _ => {
            let all = fs::read_dir(path).ok()?.take(MOST).flatten();
            all.filter_map(|found| youngest(&found.path(), depth - 1)).max()
        }
    };
    own.modified().ok().max(inside)
}

/// Takes a folder away in one step for all who look, then in fact.
fn remove(parent: &Path, path: &Path) -> io::Result<()> {
    let away = parent.join(unique()?);
    fs::rename(path, &away)?;
    fs::remove_dir_all(away)
}

/// What time it is in a folder.
pub(super) fn now(folder: &Path) -> io::Result<SystemTime> {
    let path = folder.join(unique()?);
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(b"fmi")?;
        file.sync_all()?;
        file.metadata()?.modified()
    });
    let _ = fs::remove_file(&path);
    written
}

impl Run {
    pub(super) fn new(home: &Path, run: u32, token: &Token) -> Self {
        let job = home.file_name().unwrap_or_default().to_string_lossy();
        Self {
            path: home.join(run.to_string()),
            number: run,
            label: format!("{job}/{run}"),
            token: token.clone(),
            records: BTreeMap::new(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Registers under a number that nobody has.
    pub(super) fn enter(&self, record: &Record) -> io::Result<u32> {
        let mut number = self.numbers()?.into_iter().max().map_or(0, |number| number + 1);
        loop {
            let bytes = self.sealed(Kind::Entry, &entry(number), record)?;
            if self.publish(&entry(number), &bytes)? {
                return Ok(number);
            }
            number += 1;
        }
    }

    /// A sign of life. The time that the folder gives it; an error if the entry is gone or
    /// another's.
    pub(super) fn beat(&self, number: u32, record: &Record) -> io::Result<SystemTime> {
        let found = self.read::<Record>(Kind::Entry, &entry(number), ENTRY)?;
        if found.ok().as_ref().map(|found| found.id) != Some(record.id) {
            return Err(io::Error::new(ErrorKind::NotFound, "somebody took our entry away"));
        }
        let bytes = self.sealed(Kind::Entry, &entry(number), record)?;
        let (whole, path) = (self.write(&bytes)?, self.path.join(entry(number)));
        fs::rename(&whole, &path).inspect_err(|_| drop(fs::remove_file(&whole)))?;
        fs::metadata(&path)?.modified()
    }

    /// Says that the job is complete, unless somebody has.
    pub(super) fn close(&self, roster: &Roster) -> io::Result<bool> {
        let bytes = self.sealed(Kind::Roster, "roster", roster)?;
        self.publish("roster", &bytes)
    }

    /// Says that a rank failed, unless somebody has said it of another.
    pub(super) fn abort(&self, rank: u32, reason: &Reason) -> io::Result<bool> {
        let mut reason = reason.to_string();
        reason.truncate(reason.floor_char_boundary(REASON));
        self.publish("abort", &self.sealed(Kind::Abort, "abort", &Abort { rank, reason })?)
    }

    /// Takes an entry away; the last one takes the whole run. The number of the next run stays, as
    /// an empty folder: those that begin while others leave must come to the same.
    pub(super) fn leave(&self, number: u32, fresh: impl Fn(&View) -> bool) -> io::Result<()> {
        fs::remove_file(self.path.join(entry(number)))?;
        let view = self.clone().look()?;
        if let (Some(_), false, Some(home)) = (&view.roster, fresh(&view), self.path.parent()) {
            begin(home, self.number + 1)?;
            self.clear()?;
        }
        Ok(())
    }

    /// Takes away all that is left of it.
    pub(super) fn clear(&self) -> io::Result<()> {
        self.path.parent().map_or(Ok(()), |home| remove(home, &self.path))
    }

    /// What stands there now. Entries that were read before are not read again.
    pub(super) fn look(&mut self) -> io::Result<View> {
        let mut view = View::default();
        let mut known = std::mem::take(&mut self.records);
        for number in self.numbers()? {
            let name = entry(number);
            // It may go while we look.
            let Ok(alive) = fs::metadata(self.path.join(&name)).and_then(|data| data.modified())
            else {
                continue;
            };
            let record = match known.remove(&number) {
                Some(record) => Ok(record),
                None => match self.read::<Record>(Kind::Entry, &name, ENTRY) {
                    Ok(record) => record,
                    Err(_) => continue,
                },
            };
            match record {
                Ok(record) => {
                    self.records.insert(number, record.clone());
                    view.entries.insert(number, (record, alive));
                }
                Err(Unfit::Forged) => drop(view.forged.insert(number, alive)),
                Err(Unfit::Foreign) => {}
            }
        }
        let roster = self.optional::<Roster>(Kind::Roster, "roster", ROSTER)?;
        view.closed_to_us = matches!(roster, Some(Err(Unfit::Forged)));
        view.roster = roster.and_then(Result::ok);
        let abort = self.optional::<Abort>(Kind::Abort, "abort", ENTRY)?.and_then(Result::ok);
        view.abort = abort.map(|abort| (abort.rank, Reason::Failed(abort.reason)));
        Ok(view)
    }

    /// Numbers of the entries, fit or not.
    fn numbers(&self) -> io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for found in fs::read_dir(&self.path)?.take(MOST) {
            let name = found?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".entry"));
            numbers.extend(number.and_then(|number| number.parse::<u32>().ok()));
        }
        // Another name of the same number would be a file of its own.
        numbers.sort_unstable();
        numbers.dedup();
        Ok(numbers)
    }

    fn optional<T: DeserializeOwned>(
        &self,
        kind: Kind,
        name: &str,
        most: u64,
    ) -> io::Result<Option<Result<T, Unfit>>> {
        match self.read(kind, name, most) {
            Ok(read) => Ok(Some(read)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read<T: DeserializeOwned>(
        &self,
        kind: Kind,
        name: &str,
        most: u64,
    ) -> io::Result<Result<T, Unfit>> {
        let mut bytes = Vec::new();
        let path = self.path.join(name);
        if !fs::metadata(&path)?.is_file() {
            return Ok(Err(Unfit::Foreign));
        }
        File::open(path)?.take(most).read_to_end(&mut bytes)?;
        let body = open(&self.token, kind, &self.place(name), &bytes);
        Ok(body.and_then(|body| codec::decode(body).map_err(|_| Unfit::Foreign)))
    }

    fn sealed<T: Serialize>(&self, kind: Kind, name: &str, value: &T) -> io::Result<Vec<u8>> {
        let body = codec::encode(value).map_err(io::Error::other)?;
        Ok(seal(&self.token, kind, &self.place(name), &body))
    }

    fn place(&self, name: &str) -> String {
        format!("{}/{name}", self.label)
    }

    /// Writes a whole file under a name that nobody looks at.
    fn write(&self, bytes: &[u8]) -> io::Result<PathBuf> {
        let path = self.path.join(unique()?);
        let written = File::create(&path).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        written.inspect_err(|_| drop(fs::remove_file(&path)))?;
        Ok(path)
    }

    /// Makes a file, whole, unless the name is there; then false.
    fn publish(&self, name: &str, bytes: &[u8]) -> io::Result<bool> {
        let (whole, path) = (self.write(bytes)?, self.path.join(name));
        let linked = fs::hard_link(&whole, &path);
        let _ = fs::remove_file(&whole);
        let error = match linked {
            Ok(()) => return Ok(true),
            Err(error) => error,
        };
        match error.kind() {
            ErrorKind::AlreadyExists => Ok(false),
            ErrorKind::NotFound => Err(error),
            // No such links here. A file that is not whole yet does not count: it has no MAC.
            _ => match File::create_new(&path) {
                Ok(mut file) => file.write_all(bytes).and_then(|()| file.sync_all()).map(|()| true),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(error),
            },
        }
    }
}

fn entry(number: u32) -> String {
    format!("{number}.entry")
}

/// A name that nobody else takes.
fn unique() -> io::Result<String> {
    Ok(format!(".{:016x}", random()?))
}

pub(super) fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(u64::from_le_bytes(bytes))
}
