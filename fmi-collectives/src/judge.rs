//! Who decides how a collective is carried out: what is wanted, and what is known.

use crate::{
    Communicator,
    log::Log,
    plan::{
        Choice, Chooser, Lesson, Question,
        price::{Market, Model},
    },
    signature::Hint,
};
use fmi_actors::{Member, Roster};
use fmi_model::{
    Estimate, Objective,
    topology::{Place, Topology},
};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::{collections::VecDeque, sync::Arc};

/// What a communicator chooses by. Each has its own, so that its count of owners is not what all cores of
/// a process fight for.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    objective: Objective,
    hint: Hint,
    /// If there is a model.
    chooser: Option<Chooser>,
    /// What has been seen since there is this market.
    log: Arc<Log>,
}

/// What runs, and what the model says of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chosen {
    pub(crate) choice: Choice,
    /// `None` if it was not chosen by the model, or nobody knows how long the value is.
    pub(crate) price: Option<Estimate>,
    pub(crate) lesson: Option<Lesson>,
}

impl Communicator {
    /// The same communicator, whose algorithms are chosen by time and money, as this market has them. The
    /// rules that the table [prefers](crate::plan::Table::prefer) come first still. All ranks must have an equal one: it is
    /// what they choose by, each for itself.
    ///
    /// Communicators that are made of it have it, too. So does the one that [`rejoin`](Self::rejoin) makes.
    ///
    /// ```
    /// # use fmi_collectives as fmi;
    /// use fmi::plan::price::{Channels, Market};
    /// use fmi_model::Profile;
    /// use std::sync::Arc;
    ///
    /// # fn example(comm: fmi::Communicator) {
    /// let lambda = Market::of(Profile::shipped("aws-lambda").unwrap());
    /// let market = Arc::new(lambda.over(Channels::new("shm", "tcp", "redis")));
    /// let comm = comm.with_model(&market);
    /// # }
    /// ```
    #[must_use]
    pub fn with_model(&self, market: &Arc<Market>) -> Self {
        let objective = self.objective();
        let model = Model::new(Arc::clone(market), self.topology(market.profile.host.cores));
        let chooser = Chooser::new(model, objective);
        self.judged_by(Judge::new(objective, Some(chooser), Arc::default()))
    }

    /// The same communicator, whose algorithms are chosen for this: for one call,
    /// `comm.hint(Objective::Cheap).allreduce(…)`. All ranks must give the same hint: another is
    /// [`Error::Mismatch`](crate::Error::Mismatch), which names both. Without a [model](Self::with_model) that is all it does.
    #[must_use]
    pub fn hint(&self, objective: Objective) -> Self {
        let model = self.model().cloned();
        let chooser = model.map(|model| Chooser::new(model, objective));
        let log = self.judge().map_or_else(Arc::default, |judge| Arc::clone(&judge.log));
        self.judged_by(Judge::new(objective, chooser, log))
    }

    /// What algorithms are chosen for.
    #[must_use]
    pub fn objective(&self) -> Objective {
        self.judge().map_or_else(Objective::default, |judge| judge.objective)
    }

    /// By what algorithms are chosen, if by a model.
    #[must_use]
    pub fn model(&self) -> Option<&Model> {
        Some(self.judge()?.chooser.as_ref()?.model())
    }

    /// The rules that somebody prefers first, then the model; the library's rules where there is none.
    pub(crate) fn choose(&self, question: &Question) -> Chosen {
        let chooser = self.judge().and_then(|judge| judge.chooser.as_ref());
        let Some(chooser) = chooser else {
            return Chosen { choice: self.table().choose(question), price: None, lesson: None };
        };
        match self.table().preference(question) {
            Some(choice) => Chosen { choice, price: None, lesson: None },
            None => {
                let (choice, price, lesson) = chooser.look_up(question);
                Chosen { choice, price: price.filter(|_| question.bytes.is_some()), lesson }
            }
        }
    }

    /// By the model that the job's processes were told, if any: the same text on all of them, so that they
    /// make the same of it.
    pub(crate) fn with_told_model(self) -> Self {
        match told(self.node().model()) {
            Some(market) => self.with_model(&market),
            None => self,
        }
    }

    /// For what another one has algorithms chosen; by its model, too, if there is none here.
    pub(crate) fn judged_as(self, other: &Self) -> Self {
        let Some(judge) = other.judge() else { return self };
        match self.model() {
            // What was seen in an equal market is worth as much in the new group.
            Some(model) => {
                let same = other.model().is_some_and(|other| other.market == model.market);
                let log = if same { Arc::clone(&judge.log) } else { Arc::default() };
                let chooser = Chooser::new(model.clone(), judge.objective);
                self.judged_by(Judge::new(judge.objective, Some(chooser), log))
            }
            None => {
                let judge = judge.of(&self);
                self.judged_by(judge)
            }
        }
    }

    pub(crate) fn hinted(&self) -> Hint {
        self.judge().map_or_else(Hint::default, |judge| judge.hint)
    }

    /// Where the members are, on machines with so many cores; 0: each thread has its own.
    fn topology(&self, cores: usize) -> Topology {
        topology(self.node().roster(), &self.group(), cores)
    }
}

impl Judge {
    fn new(objective: Objective, chooser: Option<Chooser>, log: Arc<Log>) -> Self {
        Self { objective, hint: Hint::of(objective), chooser, log }
    }

    /// What this rank has seen of its collectives.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// The same for another group.
    pub(crate) fn of(&self, comm: &Communicator) -> Self {
        let chooser = self.chooser.as_ref().map(|chooser| {
            let market = Arc::clone(&chooser.model().market);
            let topology = comm.topology(market.profile.host.cores);
            Chooser::new(Model::new(market, topology), self.objective)
        });
        Self::new(self.objective, chooser, Arc::clone(&self.log))
    }
}

/// What a text says. All ranks of a process share it, and what they find out with it.
pub(crate) fn told(text: &Arc<str>) -> Option<Arc<Market>> {
    /// Those of the latest jobs; a process has few.
    static TOLD: Mutex<VecDeque<(Arc<str>, Arc<Market>)>> = Mutex::new(VecDeque::new());
    if text.is_empty() {
        return None;
    }
    let mut told = TOLD.lock();
    if let Some((_, market)) = told.iter().find(|(known, _)| known == text) {
        return Some(Arc::clone(market));
    }
    let market = Market::from_text(text)
        .inspect_err(|error| tracing::warn!("the job's model is not used: {error}"));
    let market = Arc::new(market.ok()?);
    told.truncate(3);
    told.push_front((Arc::clone(text), Arc::clone(&market)));
    Some(market)
}

/// Where the ranks of a group are. The same on all of them: it follows from the roster.
///
/// Ranks of a process stand on its threads in contiguous runs, threads of a machine on its cores in turn.
fn topology(roster: &Roster, group: &[u32], cores: usize) -> Topology {
    let mut machines: FxHashMap<&str, u32> = FxHashMap::default();
    // Of each machine, how many threads there are.
    let mut threads: Vec<u32> = Vec::new();
    let mut hosts: FxHashMap<u32, (u32, u32)> = FxHashMap::default();
    for member in roster.members() {
        let next = threads.len() as u32;
        let machine = match &*member.machine {
            "" => next,
            name => *machines.entry(name).or_insert(next),
        };
        if machine == next {
            threads.push(0);
        }
        let before = &mut threads[machine as usize];
        hosts.insert(member.process, (machine, *before));
        *before += count(member);
    }
    // Cores of machines before.
    let mut first = 0;
    let firsts: Vec<u32> = threads
        .iter()
        .map(|threads| {
            let before = first;
            first += if cores == 0 { *threads } else { cores as u32 };
            before
        })
        .collect();
    let place = |rank: &u32| {
        let process = roster.host(*rank).unwrap_or_default();
        let (machine, before) = hosts.get(&process).copied().unwrap_or_default();
        let thread = roster.member(process).map_or(0, |member| thread(member, *rank));
        let core = before + thread;
        let core = if cores == 0 { core } else { core % cores as u32 };
        Place { process, machine, core: firsts[machine as usize] + core }
    };
    Topology::new(group.iter().map(place).collect())
}

/// Threads of a process.
fn count(member: &Member) -> u32 {
    let ranks = member.ranks.len() as u32;
    if member.threads == 0 { ranks } else { member.threads.min(ranks) }
}

/// On which of its threads a rank is: they are in runs, the first ones one longer if need be.
fn thread(member: &Member, rank: u32) -> u32 {
    let place = member.ranks.iter().position(|own| *own == rank).unwrap_or(0);
    (place * count(member) as usize / member.ranks.len().max(1)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use fmi_model::topology::Distance;

    fn member(process: u32, ranks: std::ops::Range<u32>, machine: &str, threads: u32) -> Member {
        let ranks = ranks.collect();
        Member { process, ranks, machine: machine.to_owned(), threads, ..Member::default() }
    }

    #[test]
    fn ranks_stand_on_the_threads_of_their_processes() {
        let members = vec![
            member(4, 0..4, "a", 2),
            member(5, 4..5, "b", 1),
            member(6, 5..7, "a", 0),
            member(7, 7..8, "", 0),
            member(8, 8..9, "", 0),
        ];
        let roster = Roster::new(members, Arc::default());
        let all: Vec<u32> = (0..9).collect();
        let apart = topology(&roster, &all, 0);
        let cores: Vec<u32> = apart.places().iter().map(|place| place.core).collect();
        assert_eq!(cores, [0, 0, 1, 1, 4, 2, 3, 5, 6]);
        let shared = topology(&roster, &all, 2);
        let cores: Vec<u32> = shared.places().iter().map(|place| place.core).collect();
        assert_eq!(cores, [0, 0, 1, 1, 2, 0, 1, 4, 6]);
        let distances = [(0, 3), (0, 5), (0, 4), (7, 8)].map(|(a, b)| apart.distance(a, b));
        use Distance::{Machine, Network, Process};
        assert_eq!(distances, [Process, Machine, Network, Network]);
        let part = topology(&roster, &[8, 0], 2);
        assert_eq!((part.ranks(), part.processes()), (2, 2));
    }
}
