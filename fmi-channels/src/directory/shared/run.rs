//! What one run of a job keeps under names.
//!
//! ```text
//! RUN/PROCESS.entry   a registration; written anew as a sign of life
//! RUN/roster          the job is complete: who has which rank, and the model of all
//! RUN/abort           the first rank that failed
//! ```
//!
//! RUN is never used again, so that who takes the leftovers of one away, however late, harms no
//! other. PROCESS is a number.

use super::{
    super::names::{Found, Names, Result, Trouble, name},
    seal::{Kind, Unfit, open, seal},
};
use crate::{
    handshake::Token,
    rendezvous::{Member, Models, Registration, model},
};
use fmi_actors::{Reason, codec};
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeMap,
    sync::Arc,
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

impl Record {
    /// Without its model, and that: who reads records keeps no model of each.
    fn parted(mut self) -> (Self, String) {
        let model = std::mem::take(&mut self.registration.model);
        (self, model)
    }
}

/// Who makes up a complete job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Roster {
    pub(super) epoch: u32,
    /// Nobody: this run is given up for a later one.
    pub(super) members: Vec<Member>,
    #[serde(deserialize_with = "model")]
    pub(super) model: String,
}

impl Roster {
    pub(super) const GIVEN_UP: Self = Self { epoch: 0, members: Vec::new(), model: String::new() };

    pub(super) fn is_given_up(&self) -> bool {
        self.members.is_empty()
    }
}

/// The first failure of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Abort {
    rank: u32,
    reason: String,
}

/// The names of one run of a job.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) names: Arc<dyn Names>,
    pub(super) number: u64,
    job: String,
    token: Token,
    /// Entries that were read, without their models, with the time of the last sign of life that
    /// was seen.
    known: BTreeMap<u32, (Record, SystemTime)>,
    /// Entries that have to be there, but were not read yet.
    unseen: BTreeMap<u32, SystemTime>,
}

/// What stands in a run.
#[derive(Debug, Default)]
pub(super) struct View {
    /// The entries, each with the time of its last sign of life.
    pub(super) entries: BTreeMap<u32, (Record, SystemTime)>,
    /// Models of the entries that were not known before.
    pub(super) models: Models,
    /// What looks like entries but holds another token.
    pub(super) forged: BTreeMap<u32, SystemTime>,
    pub(super) roster: Option<Roster>,
    /// There is a roster, or has just been one, but none that we can read.
    pub(super) closed_to_us: bool,
    pub(super) abort: Option<(u32, Reason)>,
}

/// More entries are not looked at.
const MOST: usize = 1 << 16;
/// Contents that are read at once.
const AT_ONCE: usize = 32;
/// Bytes that are read of an entry or an abort, and of a roster.
const ENTRY: usize = 1 << 20;
const ROSTER: usize = 64 << 20;
/// Bytes of a reason's text.
const REASON: usize = 4096;

impl Run {
    pub(super) fn new(names: &Arc<dyn Names>, job: &str, number: u64, token: &Token) -> Self {
        Self {
            names: Arc::clone(names),
            number,
            job: job.to_owned(),
            token: token.clone(),
            known: BTreeMap::new(),
            unseen: BTreeMap::new(),
        }
    }

    /// Registers under a number that nobody has; also says what time it is.
    pub(super) async fn enter(
        &mut self,
        record: &Record,
        found: &[Found],
    ) -> Result<(u32, SystemTime)> {
        let mut number = self.numbers(found).into_keys().max().map_or(0, |number| number + 1);
        loop {
            let bytes = self.sealed(Kind::Entry, &entry(number), record)?;
            if let Some(at) = self.names.create(&self.name(&entry(number)), bytes).await? {
                self.known.insert(number, (record.clone().parted().0, at));
                return Ok((number, at));
            }
            number += 1;
        }
    }

    /// These processes have entered, and lived at that time.
    pub(super) fn expect(&mut self, numbers: impl Iterator<Item = u32>, at: SystemTime) {
        self.unseen = numbers.map(|number| (number, at)).collect();
    }

    /// A sign of life. The time that the place gives it; `None` if the entry is gone.
    pub(super) async fn beat(&self, number: u32, record: &Record) -> Result<Option<SystemTime>> {
        let bytes = self.sealed(Kind::Entry, &entry(number), record)?;
        self.names.renew(&self.name(&entry(number)), bytes).await
    }

    /// Says that the job is complete, or the run given up, unless somebody has; then false.
    pub(super) async fn close(&self, roster: &Roster) -> Result<bool> {
        let bytes = self.sealed(Kind::Roster, ROSTER_NAME, roster)?;
        Ok(self.names.create(&self.name(ROSTER_NAME), bytes).await?.is_some())
    }

    /// Says that a rank failed, unless somebody has said it of another.
    pub(super) async fn abort(&self, rank: u32, reason: &Reason) -> Result<()> {
        let mut reason = reason.to_string();
        reason.truncate(reason.floor_char_boundary(REASON));
        let bytes = self.sealed(Kind::Abort, ABORT_NAME, &Abort { rank, reason })?;
        self.names.create(&self.name(ABORT_NAME), bytes).await.map(drop)
    }

    /// Takes an entry away; the last one takes the whole run.
    pub(super) async fn leave(&self, number: u32, lives: impl Fn(&View) -> bool) -> Result<()> {
        self.names.delete(&self.name(&entry(number))).await?;
        let found = self.names.list().await?;
        if found.iter().any(|found| found.run == self.number) {
            let mut run = self.clone();
            run.known.remove(&number);
            let view = run.look(&found).await?;
            if !lives(&view) {
                self.clear().await?;
            }
        }
        Ok(())
    }

    /// Takes away all that is left of it.
    pub(super) async fn clear(&self) -> Result<()> {
        self.names.clear(self.number).await
    }

    /// What stands there, of all that was found. Entries that were read before are not read again,
    /// but for those that were not found: lists of some stores are older than what they list.
    pub(super) async fn look(&mut self, found: &[Found]) -> Result<View> {
        let mut view = View::default();
        let listed = self.numbers(found);
        let mut unread = Vec::new();
        for (number, at) in &listed {
            match self.known.get_mut(number) {
                Some((record, seen)) => {
                    *seen = (*seen).max(*at);
                    view.entries.insert(*number, (record.clone(), *seen));
                }
                None => unread.push((*number, *at)),
            }
        }
        let known = self.known.iter().map(|(number, (_, seen))| (*number, *seen));
        let unseen = self.unseen.iter().map(|(number, at)| (*number, *at));
        unread.extend(known.chain(unseen).filter(|(number, _)| !listed.contains_key(number)));
        let run = &*self;
        let reads = unread.into_iter().map(|(number, at)| async move {
            (number, at, run.read::<Record>(Kind::Entry, &entry(number), ENTRY).await)
        });
        let mut reads = stream::iter(reads).buffer_unordered(AT_ONCE);
        while let Some((number, at, read)) = reads.next().await {
            match read? {
                Some(Ok(record)) => {
                    let (record, model) = record.parted();
                    view.models.enter(number, model);
                    view.entries.insert(number, (record, at));
                }
                Some(Err(Unfit::Forged)) => drop(view.forged.insert(number, at)),
                // It may have gone while we looked.
                Some(Err(Unfit::Foreign)) | None => {}
            }
        }
        drop(reads);
        self.known = view.entries.clone();
        self.unseen.clear();
        let there =
            |what: &str| found.iter().any(|found| found.run == self.number && found.what == what);
        if there(ROSTER_NAME) {
            let roster = self.read::<Roster>(Kind::Roster, ROSTER_NAME, ROSTER).await?;
            // If it is gone by now, those who were there have left and clear the run behind them.
            view.closed_to_us = !matches!(roster, Some(Ok(_)));
            view.roster = roster.and_then(Result::ok);
        }
        if there(ABORT_NAME) {
            let abort = self.read::<Abort>(Kind::Abort, ABORT_NAME, ENTRY).await?;
            let abort = abort.and_then(Result::ok);
            view.abort = abort.map(|abort| (abort.rank, Reason::Failed(abort.reason)));
        }
        Ok(view)
    }

    /// Numbers of the entries, fit or not, and when they were written.
    fn numbers(&self, found: &[Found]) -> BTreeMap<u32, SystemTime> {
        let own = found.iter().filter(|found| found.run == self.number);
        let number = |found: &Found| {
            let number = found.what.strip_suffix(".entry")?.parse::<u32>().ok()?;
            // Another name of the same number would be a content of its own.
            (entry(number) == found.what).then_some((number, found.at))
        };
        own.filter_map(number).take(MOST).collect()
    }

    async fn read<T: DeserializeOwned>(
        &self,
        kind: Kind,
        what: &str,
        most: usize,
    ) -> Result<Option<Result<T, Unfit>>> {
        let Some(bytes) = self.names.read(&self.name(what), most).await? else { return Ok(None) };
        let body = open(&self.token, kind, &self.place(what), &bytes);
        Ok(Some(body.and_then(|body| codec::decode(body).map_err(|_| Unfit::Foreign))))
    }

    fn sealed<T: Serialize>(&self, kind: Kind, what: &str, value: &T) -> Result<Vec<u8>> {
        let body = codec::encode(value).map_err(Trouble::lasting)?;
        Ok(seal(&self.token, kind, &self.place(what), &body))
    }

    fn name(&self, what: &str) -> String {
        name(self.number, what)
    }

    /// What the MACs cover, so that nothing can stand in for something else.
    fn place(&self, what: &str) -> String {
        format!("{}/{}", self.job, self.name(what))
    }
}

const ROSTER_NAME: &str = "roster";
const ABORT_NAME: &str = "abort";

fn entry(number: u32) -> String {
    format!("{number}.entry")
}

pub(super) fn random() -> Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(Trouble::lasting)?;
    Ok(u64::from_le_bytes(bytes))
}
