//! All jobs of a rendezvous, kept apart, with the limits that hold for all of them.
//!
//! Pure, like [`Job`]: the server asks it under one lock and does the I/O.

use std::{collections::HashMap, net::SocketAddr, time::Instant};

use bytes::Bytes;

use super::{
    job::{Admitted, Departure, Job},
    protocol::{After, Cause, Limit, Missing, Ranks, Refusal, Registration, RejoinRefusal},
};

/// Bytes of a job's or machine's name, and of an address.
const MAX_NAME: usize = 256;
/// Addresses of one process.
const MAX_ADDRESSES: usize = 64;

/// What the hall holds at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) jobs: usize,
    pub(super) ranks: u32,
    pub(super) processes: usize,
}

/// A process that is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Ticket {
    pub(super) epoch: u32,
    pub(super) process: u32,
}

#[derive(Debug)]
pub(super) struct Hall {
    limits: Limits,
    /// Epoch of each name that newcomers meet: the latest one.
    names: HashMap<String, u32>,
    /// By epoch.
    jobs: HashMap<u32, (String, Job)>,
    processes: usize,
    next_epoch: u32,
    closed: bool,
    /// Epochs whose processes have something to read, or another time to wait until.
    stirred: Vec<u32>,
}

/// Where a registration goes.
enum Place {
    Job(u32),
    New(Box<Job>),
}

impl Hall {
    /// An empty hall. A seed at random keeps a rendezvous that was started anew from giving out
    /// the epochs of its predecessor.
    pub(super) fn new(limits: Limits, seed: u32) -> Self {
        Self {
            limits,
            names: HashMap::new(),
            jobs: HashMap::new(),
            processes: 0,
            next_epoch: seed,
            closed: false,
            stirred: Vec::new(),
        }
    }

    /// Takes a process into its job; the first one opens it. In a broken job it opens the next
    /// epoch, which survivors and newcomers enter.
    pub(super) fn register(
        &mut self,
        registration: Registration,
        observed: SocketAddr,
        now: Instant,
    ) -> Result<(Ticket, Admitted), Refusal> {
        self.admit(&registration)?;
        let name = registration.job.clone();
        let after = registration.after.clone();
        let claim = after.as_ref().map(|after| self.claim(&name, after)).transpose()?;
        let place = match &after {
            Some(after) => self.next_epoch_of(&name, after)?,
            None => self.place_for_newcomer(&registration)?,
        };
        let (epoch, admitted) = match place {
            Place::Job(epoch) => {
                let (_, job) = self.jobs.get_mut(&epoch).expect("every name has its job");
                (epoch, job.register(registration, observed, claim, now)?)
            }
            Place::New(mut job) => {
                check(Limit::Jobs, self.jobs.len() + 1, self.limits.jobs)?;
                let admitted = job.register(registration, observed, claim, now)?;
                let epoch = self.new_epoch();
                self.names.insert(name.clone(), epoch);
                self.jobs.insert(epoch, (name, *job));
                (epoch, admitted)
            }
        };
        self.processes += 1;
        self.stirred.push(epoch);
        if let Some(after) = after
            && let Some((_, broken)) = self.jobs.get_mut(&after.epoch)
            && broken.part(after.process)
        {
            self.stirred.push(after.epoch);
        }
        Ok((Ticket { epoch, process: admitted.process }, admitted))
    }

    /// A process goes; with the last one the job ends and its name is free. Says whether the
    /// job's other processes have something to read.
    pub(super) fn depart(&mut self, ticket: Ticket, how: Departure) -> bool {
        if self.closed {
            return false;
        }
        let Some((name, job)) = self.jobs.get_mut(&ticket.epoch) else { return false };
        let name = name.clone();
        let before = job.population();
        let remains = job.depart(ticket.process, how);
        self.processes -= before - job.population();
        let (empty, after) = (job.population() == 0, job.forms_after());
        let current = self.names.get(&name).copied();
        if let (Some(epoch), Some(process)) = (after, remains.before) {
            self.take_back(ticket.epoch, epoch, process);
        }
        if let Some(next) = current.filter(|next| *next != ticket.epoch)
            && let Some((_, next_job)) = self.jobs.get_mut(&next)
            && next_job.forms_after() == Some(ticket.epoch)
        {
            // Its ranks need not be kept any longer.
            next_job.release(&remains.ranks);
            self.stirred.push(next);
        }
        if empty {
            self.jobs.remove(&ticket.epoch);
            if current == Some(ticket.epoch) {
                // Members of the broken epoch may still come.
                match after.filter(|epoch| self.jobs.contains_key(epoch)) {
                    Some(epoch) => self.names.insert(name, epoch),
                    None => self.names.remove(&name),
                };
            }
        }
        remains.news
    }

    /// Jobs and processes that are there.
    pub(super) fn population(&self) -> (usize, usize) {
        (self.jobs.len(), self.processes)
    }

    /// When the job of a process, if it forms anew, goes on with those who are there.
    pub(super) fn due(&self, ticket: Ticket) -> Option<Instant> {
        self.job(ticket)?.due()
    }

    /// Lets a job that forms anew go on, if its time has come.
    pub(super) fn expire(&mut self, ticket: Ticket, now: Instant) {
        if let Some((_, job)) = self.jobs.get_mut(&ticket.epoch)
            && job.expire(now)
        {
            self.stirred.push(ticket.epoch);
        }
    }

    /// Epochs whose processes have to look again, since this was asked last.
    pub(super) fn stirred(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.stirred)
    }

    /// A rank failed. Says whether the others have something to read.
    pub(super) fn abort(&mut self, ticket: Ticket, rank: u32, reason: Cause) -> bool {
        self.jobs
            .get_mut(&ticket.epoch)
            .is_some_and(|(_, job)| job.abort(ticket.process, rank, reason))
    }

    /// The job of a process that is in.
    pub(super) fn job(&self, ticket: Ticket) -> Option<&Job> {
        self.jobs.get(&ticket.epoch).map(|(_, job)| job)
    }

    /// Where a note from one process to another of its job goes, if there is such a one: who has
    /// gone on to the next epoch reads none.
    pub(super) fn addressee(&self, from: Ticket, to: u32) -> Option<Ticket> {
        let job = self.job(from).filter(|job| job.is_complete())?;
        let there = job.ranks(to).is_some() && !job.has_parted(to);
        there.then_some(Ticket { epoch: from.epoch, process: to })
    }

    /// What there is to read for a process from `cursor` on.
    pub(super) fn news(&self, ticket: Ticket, cursor: &mut usize) -> Vec<Bytes> {
        self.job(ticket).map(|job| job.news(ticket.process, cursor)).unwrap_or_default()
    }

    /// Who is missing in a process' job.
    pub(super) fn missing(&self, ticket: Ticket) -> Option<Missing> {
        self.job(ticket).map(Job::missing)
    }

    /// From now on departures are of the rendezvous' own making and nobody is told.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// What can be said before anything is allocated for it.
    fn admit(&self, registration: &Registration) -> Result<(), Refusal> {
        let Registration { job, size, ranks, addresses, machine, .. } = registration;
        check(Limit::JobName, job.len(), MAX_NAME)?;
        check(Limit::Machine, machine.len(), MAX_NAME)?;
        check(Limit::Addresses, addresses.len(), MAX_ADDRESSES)?;
        for (channel, address) in addresses {
            check(Limit::Address, channel.len().max(address.len()), MAX_NAME * 4)?;
        }
        let count = match ranks {
            Ranks::Given(ranks) => ranks.len(),
            Ranks::Any(count) => *count as usize,
        };
        check(Limit::Ranks, count, self.limits.ranks as usize)?;
        if let Some(size) = *size {
            check(Limit::Ranks, size as usize, self.limits.ranks as usize)?;
        }
        if count == 0 || *size == Some(0) {
            return Err(Refusal::NoRanks);
        }
        check(Limit::Processes, self.processes + 1, self.limits.processes)
    }

    /// The ranks that a process had in the epoch that it comes from.
    fn claim(&self, name: &str, after: &After) -> Result<Vec<u32>, Refusal> {
        let old = self.jobs.get(&after.epoch).filter(|(job, _)| job == name);
        let ranks = old.and_then(|(_, job)| job.ranks(after.process));
        let forgotten = RejoinRefusal::Forgotten { epoch: after.epoch };
        ranks.map(<[u32]>::to_vec).ok_or(Refusal::Rejoin(forgotten))
    }

    /// Where a process of a broken epoch goes on. Its word that a rank is lost breaks one that
    /// seems whole from here.
    fn next_epoch_of(&mut self, name: &str, after: &After) -> Result<Place, Refusal> {
        let refuse = |why| Err(Refusal::Rejoin(why));
        let current = self.names.get(name).copied().unwrap_or(after.epoch);
        let Some((_, old)) = self.jobs.get_mut(&after.epoch) else {
            return refuse(RejoinRefusal::Forgotten { epoch: after.epoch });
        };
        let parted = old.has_parted(after.process);
        if current != after.epoch {
            let forming = self.jobs.get(&current).and_then(|(_, job)| job.forms_after());
            return match (forming == Some(after.epoch), parted) {
                (true, false) => Ok(Place::Job(current)),
                (_, true) => refuse(RejoinRefusal::Twice),
                (false, false) => refuse(RejoinRefusal::Late),
            };
        }
        if !old.is_broken()
            && let Some((rank, cause)) = &after.lost
            && old.ranks(after.process).is_some_and(|own| !own.contains(rank))
            && old.abort(after.process, *rank, cause.clone())
        {
            self.stirred.push(after.epoch);
        }
        if !old.is_broken() {
            return refuse(RejoinRefusal::NotBroken);
        }
        Ok(Place::New(Box::new(Job::after(after.epoch, old))))
    }

    fn place_for_newcomer(&self, registration: &Registration) -> Result<Place, Refusal> {
        let Some(&epoch) = self.names.get(&registration.job) else {
            let size = registration.size.ok_or(Refusal::SizeUnknown)?;
            return Ok(Place::New(Box::new(Job::new(size))));
        };
        let (_, job) = self.jobs.get(&epoch).expect("every name has its job");
        Ok(match job.is_broken() {
            true => Place::New(Box::new(Job::after(epoch, job))),
            false => Place::Job(epoch),
        })
    }

    /// A survivor has gone from an epoch that had not begun. If it is still in the broken one,
    /// it may come again.
    fn take_back(&mut self, forming: u32, broken: u32, process: u32) {
        let Some((_, old)) = self.jobs.get_mut(&broken) else { return };
        let Some(ranks) = old.ranks(process).map(<[u32]>::to_vec) else { return };
        old.unpart(process);
        if let Some((_, job)) = self.jobs.get_mut(&forming) {
            job.reserve(&ranks);
        }
        self.stirred.push(forming);
    }

    fn new_epoch(&mut self) -> u32 {
        loop {
            let epoch = self.next_epoch;
            self.next_epoch = self.next_epoch.wrapping_add(1);
            if epoch != 0 && !self.jobs.contains_key(&epoch) {
                return epoch;
            }
        }
    }
}

fn check(what: Limit, wanted: usize, limit: usize) -> Result<(), Refusal> {
    if wanted > limit {
        return Err(Refusal::Limit { what, limit: limit as u64 });
    }
    Ok(())
}

#[cfg(test)]
#[path = "hall_tests.rs"]
mod tests;
