//! One job: which process has which rank, and the log that all its processes read.
//!
//! Pure: no I/O, no clock. What concerns every process is appended once to the log, as an encoded
//! frame that all connections share; each connection keeps a cursor. So a broadcast costs the job
//! one entry however many processes there are, and a slow reader costs it nothing. The log is
//! bounded by construction: one `Abort`, one `Complete`, one departure a process.
//!
//! A job that has lost a process is broken; its next epoch is a job of its own, which forms under
//! the terms of [`Regroup`].

use std::{collections::BTreeMap, net::SocketAddr, time::Instant};

use bytes::Bytes;
use fmi_actors::codec;

use super::{
    models::Models,
    protocol::{
        Answer, Cause, Limit, MAX_LIST, MISSING_NAMED, Member, Missing, Ranks, Refusal,
        Registration, RejoinRefusal,
    },
    regroup::Regroup,
    wire,
};

/// How a process goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Departure {
    /// It said so.
    Left,
    /// Its connection broke or it fell silent.
    Died,
}

/// What a new process is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Admitted {
    pub(super) process: u32,
    pub(super) ranks: Vec<u32>,
    pub(super) incarnation: u16,
}

/// What a process leaves behind.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Remains {
    /// The ranks that it had.
    pub(super) ranks: Vec<u32>,
    /// The log grew.
    pub(super) news: bool,
    /// Its number in the broken epoch, if it was a survivor of one that the job still waits for.
    pub(super) before: Option<u32>,
}

/// One run of a job.
#[derive(Debug)]
pub(super) struct Job {
    /// Ranks that the job has when all are there; after a loss it may go on with fewer.
    full: u32,
    slots: Vec<Slot>,
    /// All ranks below are taken.
    first_free: usize,
    taken: u32,
    processes: BTreeMap<u32, Process>,
    next_process: u32,
    /// Encoded bytes of all members.
    list: usize,
    /// Until the job is complete.
    models: Models,
    complete: bool,
    aborted: bool,
    /// It was complete and a process has gone.
    thinned: bool,
    /// While it forms anew after a loss.
    regroup: Option<Regroup>,
    /// Slots that are kept for survivors.
    reserved: u32,
    log: Vec<Entry>,
}

#[derive(Debug, Clone, Default)]
struct Slot {
    taken: bool,
    /// Kept for a member of the broken epoch that lives and may rejoin.
    reserved: bool,
    /// Of the next process that takes this rank.
    incarnation: u16,
}

impl Slot {
    /// Not to be given to a newcomer.
    fn held(&self) -> bool {
        self.taken || self.reserved
    }
}

#[derive(Debug)]
struct Process {
    /// Until the job is complete; afterwards only the encoded list is kept.
    member: Option<Member>,
    ranks: Vec<u32>,
    bytes: usize,
    /// It has gone on to the next epoch.
    moved: bool,
    /// The others know that nothing more will come from it.
    told: bool,
}

#[derive(Debug)]
struct Entry {
    /// Who caused it and need not hear it.
    by: Option<u32>,
    frame: Bytes,
}

impl Job {
    /// A job without processes. The caller has bounded `size`.
    pub(super) fn new(size: u32) -> Self {
        Self {
            full: size,
            slots: vec![Slot::default(); size as usize],
            first_free: 0,
            taken: 0,
            processes: BTreeMap::new(),
            next_process: 0,
            list: 0,
            models: Models::default(),
            complete: false,
            aborted: false,
            thinned: false,
            regroup: None,
            reserved: 0,
            log: Vec::new(),
        }
    }

    /// The next epoch of a broken job. Who lives there keeps a claim to its ranks.
    pub(super) fn after(epoch: u32, broken: &Self) -> Self {
        let mut job = Self::new(broken.full);
        job.regroup = Some(Regroup::new(epoch));
        for process in broken.processes.values().filter(|process| !process.moved) {
            job.reserve(&process.ranks);
        }
        job
    }

    /// Ranks that the job has when none is missing.
    pub(super) fn full(&self) -> u32 {
        self.full
    }

    /// The broken epoch after which this one forms, as long as it does.
    pub(super) fn forms_after(&self) -> Option<u32> {
        self.regroup.as_ref().map(Regroup::after)
    }

    /// Whether it has lost a rank since it was complete.
    pub(super) fn is_broken(&self) -> bool {
        self.complete && (self.thinned || self.aborted)
    }

    /// The ranks of a process that is there.
    pub(super) fn ranks(&self, process: u32) -> Option<&[u32]> {
        self.processes.get(&process).map(|process| &process.ranks[..])
    }

    pub(super) fn size(&self) -> u32 {
        self.slots.len() as u32
    }

    /// Processes that are there.
    pub(super) fn population(&self) -> usize {
        self.processes.len()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Takes a process in. The last one completes the job. A survivor has a `claim` to the ranks
    /// that it had in the epoch before.
    pub(super) fn register(
        &mut self,
        registration: Registration,
        observed: SocketAddr,
        claim: Option<Vec<u32>>,
        now: Instant,
    ) -> Result<Admitted, Refusal> {
        let size = self.full;
        if registration.size.is_some_and(|theirs| theirs != size) {
            return Err(Refusal::SizeMismatch { size });
        }
        let before = registration.after.as_ref().map(|after| after.process);
        let ranks = match claim {
            Some(ranks) if ranks.iter().any(|rank| self.slots[*rank as usize].taken) => {
                return Err(Refusal::Rejoin(RejoinRefusal::Late));
            }
            Some(ranks) => ranks,
            None if self.complete && self.size() < size => {
                return Err(Refusal::GoesOn { size: self.size(), full: size });
            }
            None => self.choose(registration.ranks)?,
        };
        let incarnation =
            ranks.iter().map(|rank| self.slots[*rank as usize].incarnation).max().unwrap_or(0);
        if incarnation == u16::MAX {
            let limit = u64::from(u16::MAX);
            return Err(Refusal::Limit { what: Limit::Incarnations, limit });
        }
        let member = Member {
            process: self.next_process,
            ranks: ranks.clone(),
            addresses: registration.addresses,
            machine: registration.machine,
            threads: registration.threads,
            cores: registration.cores,
            incarnation,
            observed: Some(observed),
            fingerprint: registration.fingerprint,
        };
        let bytes = codec::encode(&member).map_or(usize::MAX, |bytes| bytes.len());
        if bytes > MAX_LIST - self.list {
            return Err(Refusal::Limit { what: Limit::List, limit: MAX_LIST as u64 });
        }

        for rank in &ranks {
            let slot = &mut self.slots[*rank as usize];
            slot.taken = true;
            self.reserved -= u32::from(std::mem::take(&mut slot.reserved));
            // The whole process has one incarnation, so all its ranks go on from there.
            slot.incarnation = incarnation + 1;
        }
        self.taken += ranks.len() as u32;
        self.list += bytes;
        let process = self.next_process;
        self.next_process += 1;
        let entry = Process {
            member: Some(member),
            ranks: ranks.clone(),
            bytes,
            moved: false,
            told: false,
        };
        self.processes.insert(process, entry);
        self.models.enter(process, registration.model);
        if let Some(regroup) = &mut self.regroup {
            regroup.enter(process, before, registration.terms, now);
        }
        if self.taken == size {
            self.complete();
        }
        self.expire(now);
        Ok(Admitted { process, ranks, incarnation })
    }

    /// When a job that forms anew goes on with those who are there, as things stand.
    pub(super) fn due(&self) -> Option<Instant> {
        self.regroup.as_ref()?.due(self.taken, self.reserved, self.full)
    }

    /// Completes a job that forms anew and whose time has come. Says whether the log grew.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let due = self.due().is_some_and(|due| due <= now);
        if due {
            self.complete();
        }
        due
    }

    /// A process goes on to the next epoch: nothing more will come from it here. Says whether
    /// the log grew.
    pub(super) fn part(&mut self, process: u32) -> bool {
        let Some(entry) = self.processes.get_mut(&process) else { return false };
        entry.moved = true;
        let news = !std::mem::replace(&mut entry.told, true);
        if news {
            self.tell(Some(process), &Answer::Moved { process });
        }
        news
    }

    /// A process is back from the next epoch, which had not begun.
    pub(super) fn unpart(&mut self, process: u32) {
        if let Some(entry) = self.processes.get_mut(&process) {
            entry.moved = false;
        }
    }

    /// Whether a process has gone on to the next epoch.
    pub(super) fn has_parted(&self, process: u32) -> bool {
        self.processes.get(&process).is_some_and(|process| process.moved)
    }

    /// Keeps ranks for a survivor, those that are free.
    pub(super) fn reserve(&mut self, ranks: &[u32]) {
        for rank in ranks {
            if let Some(slot) = self.slots.get_mut(*rank as usize).filter(|slot| !slot.taken) {
                self.reserved += u32::from(!std::mem::replace(&mut slot.reserved, true));
            }
        }
    }

    /// Gives up ranks that were kept.
    pub(super) fn release(&mut self, ranks: &[u32]) {
        for rank in ranks {
            if let Some(slot) = self.slots.get_mut(*rank as usize) {
                self.reserved -= u32::from(std::mem::take(&mut slot.reserved));
                self.first_free = self.first_free.min(*rank as usize);
            }
        }
    }

    /// A process goes.
    ///
    /// Before the job is complete its ranks become free. Afterwards they stay taken, and all
    /// others are told.
    pub(super) fn depart(&mut self, process: u32, how: Departure) -> Remains {
        let Some(gone) = self.processes.remove(&process) else { return Remains::default() };
        if self.complete {
            self.thinned = true;
            let answer = match how {
                Departure::Left => Answer::Left { process },
                Departure::Died => Answer::Gone { process },
            };
            if !gone.told {
                self.tell(Some(process), &answer);
            }
            return Remains { ranks: gone.ranks, news: !gone.told, before: None };
        }
        for rank in &gone.ranks {
            self.slots[*rank as usize].taken = false;
            self.taken -= 1;
            self.first_free = self.first_free.min(*rank as usize);
        }
        self.list -= gone.bytes;
        self.models.leave(process);
        let before = self.regroup.as_mut().and_then(|regroup| regroup.exit(process));
        Remains { ranks: gone.ranks, news: false, before }
    }

    /// A rank failed. Says whether the log grew: only the first failure is relayed.
    pub(super) fn abort(&mut self, process: u32, rank: u32, reason: Cause) -> bool {
        if self.aborted || rank >= self.size() || !self.processes.contains_key(&process) {
            return false;
        }
        self.aborted = true;
        self.tell(Some(process), &Answer::Abort { rank, reason });
        true
    }

    /// Who has not come yet.
    pub(super) fn missing(&self) -> Missing {
        let ranks = (self.first_free..self.slots.len())
            .filter(|rank| !self.slots[*rank].taken)
            .take(MISSING_NAMED)
            .map(|rank| rank as u32)
            .collect();
        Missing { ranks, joined: self.taken, size: self.size() }
    }

    /// What the log has for `process` from `cursor` on.
    pub(super) fn news(&self, process: u32, cursor: &mut usize) -> Vec<Bytes> {
        let entries = self.log.get(*cursor..).unwrap_or_default();
        *cursor = self.log.len();
        entries.iter().filter(|e| e.by != Some(process)).map(|e| e.frame.clone()).collect()
    }

    fn choose(&mut self, ranks: Ranks) -> Result<Vec<u32>, Refusal> {
        let size = self.size();
        match ranks {
            Ranks::Given(ranks) => {
                if let Some(&rank) = ranks.iter().find(|rank| **rank >= size) {
                    return Err(Refusal::RankOutOfRange { rank, size });
                }
                if let Some(&rank) = ranks.iter().find(|rank| self.slots[**rank as usize].held()) {
                    return Err(Refusal::RankTaken { rank });
                }
                let mut sorted = ranks.clone();
                sorted.sort_unstable();
                if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
                    return Err(Refusal::RankTaken { rank: pair[0] });
                }
                (!ranks.is_empty()).then_some(ranks).ok_or(Refusal::NoRanks)
            }
            Ranks::Any(0) => Err(Refusal::NoRanks),
            Ranks::Any(wanted) => {
                let free = size - self.taken - self.reserved;
                if wanted > free {
                    return Err(Refusal::JobFull { size, free, wanted });
                }
                while self.slots.get(self.first_free).is_some_and(|slot| slot.taken) {
                    self.first_free += 1;
                }
                Ok((self.first_free..self.slots.len())
                    .filter(|rank| !self.slots[*rank].held())
                    .take(wanted as usize)
                    .map(|rank| rank as u32)
                    .collect())
            }
        }
    }

    fn complete(&mut self) {
        self.complete = true;
        self.regroup = None;
        if self.taken < self.full {
            self.close_ranks();
        }
        let members = self.processes.values_mut().filter_map(|p| p.member.take()).collect();
        let model = std::mem::take(&mut self.models).first(|_| true).to_owned();
        self.tell(None, &Answer::Complete { members, model });
    }

    /// Numbers the ranks that are there anew, without gaps, in the order that they have.
    fn close_ranks(&mut self) {
        let mut number = vec![0; self.slots.len()];
        for (next, slot) in (0..self.slots.len()).filter(|slot| self.slots[*slot].taken).enumerate()
        {
            number[slot] = next as u32;
        }
        for process in self.processes.values_mut() {
            let ranks = process.ranks.iter().map(|rank| number[*rank as usize]).collect::<Vec<_>>();
            if let Some(member) = &mut process.member {
                member.ranks.clone_from(&ranks);
            }
            process.ranks = ranks;
        }
        self.slots = vec![Slot { taken: true, ..Slot::default() }; self.taken as usize];
        self.first_free = self.slots.len();
        self.reserved = 0;
    }

    fn tell(&mut self, by: Option<u32>, answer: &Answer) {
        self.log.push(Entry { by, frame: wire::frame(answer) });
    }
}

#[cfg(test)]
#[path = "job_tests.rs"]
pub(super) mod tests;
