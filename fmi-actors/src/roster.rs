//! Who is in a job: the same for all its processes.

use crate::{Member, mailbox::Group};
use fmi_model::topology::take_turns;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// The processes of a job and the ranks that each hosts. Shared by all nodes that live in one
/// simulator, which could not hold a table of all ranks for each rank.
#[derive(Debug)]
pub struct Roster {
    members: Vec<Arc<Member>>,
    /// Places in `members`, by process.
    places: FxHashMap<u32, usize>,
    /// Process of each rank.
    hosts: Vec<u32>,
    world: Group,
    model: Arc<str>,
    packed: bool,
    /// Processes of machines that have more threads of the job than cores.
    crowded: FxHashSet<u32>,
}

impl Roster {
    /// A job of these processes, which all go by this model; see [`model`](Self::model).
    ///
    /// # Panics
    /// When they do not make up ranks `0..size`: the rendezvous checks that.
    #[must_use]
    pub fn new(members: Vec<Member>, model: Arc<str>) -> Self {
        let size: usize = members.iter().map(|member| member.ranks.len()).sum();
        let mut hosts = vec![None; size];
        for member in &members {
            for rank in &member.ranks {
                hosts[*rank as usize] = Some(member.process);
            }
        }
        Self {
            crowded: crowded(&members),
            packed: members.iter().any(|member| member.ranks.len() > 1),
            places: members.iter().enumerate().map(|(at, member)| (member.process, at)).collect(),
            members: members.into_iter().map(Arc::new).collect(),
            hosts: hosts.into_iter().map(|host| host.expect("every rank has a process")).collect(),
            world: (0..size as u32).collect(),
            model,
        }
    }

    /// All ranks.
    #[must_use]
    pub fn world(&self) -> &Group {
        &self.world
    }

    /// Whether a process has several ranks.
    #[must_use]
    pub fn is_packed(&self) -> bool {
        self.packed
    }

    /// Whether the process of one of these ranks shares its machine with so many others of the job that there
    /// are more threads than cores; or, where all are in one process, whether they [take turns](take_turns).
    #[must_use]
    pub fn is_crowded(&self, ranks: &[u32]) -> bool {
        let hosts = || ranks.iter().map(|rank| self.hosts[*rank as usize]);
        if let Some(first) = hosts().next()
            && hosts().all(|host| host == first)
        {
            let threads = self.member(first).map_or(0, |member| member.threads);
            return take_turns(ranks.len(), threads as usize);
        }
        let crowded = |rank: &u32| self.crowded.contains(&self.hosts[*rank as usize]);
        !self.crowded.is_empty() && ranks.iter().any(crowded)
    }

    /// The model of time and money that all processes go by, as text; empty if nobody brought one.
    #[must_use]
    pub fn model(&self) -> &Arc<str> {
        &self.model
    }

    /// All processes.
    #[must_use]
    pub fn members(&self) -> &[Arc<Member>] {
        &self.members
    }

    /// A process by its number.
    #[must_use]
    pub fn member(&self, process: u32) -> Option<&Arc<Member>> {
        Some(&self.members[self.place(process)?])
    }

    /// The process that hosts a rank.
    #[must_use]
    pub fn host(&self, rank: u32) -> Option<u32> {
        self.hosts.get(rank as usize).copied()
    }

    /// Where a process stands among the [`members`](Self::members).
    pub(crate) fn place(&self, process: u32) -> Option<usize> {
        self.places.get(&process).copied()
    }
}

/// Processes of crowded machines. Who does not know its machine, or its cores, is not among them.
fn crowded(members: &[Member]) -> FxHashSet<u32> {
    // Threads and cores.
    let mut machines: FxHashMap<&str, (u32, u32)> = FxHashMap::default();
    for member in members {
        let (threads, cores) = machines.entry(&member.machine).or_default();
        *threads += member.threads;
        *cores = member.cores.max(*cores);
    }
    let crowded = |member: &&Member| {
        let (threads, cores) = machines[&*member.machine];
        !member.machine.is_empty() && cores > 0 && threads > cores
    };
    members.iter().filter(crowded).map(|member| member.process).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_with_more_threads_than_cores_are_crowded() {
        let member = |process: u32, machine: &str, threads, cores| {
            let machine = machine.to_owned();
            Member { process, ranks: vec![process], machine, threads, cores, ..Member::default() }
        };
        let members = [("a", 1, 2), ("a", 2, 2), ("b", 2, 2), ("", 9, 2), ("", 9, 2), ("c", 3, 0)];
        let members = (0..)
            .zip(members)
            .map(|(process, (machine, threads, cores))| member(process, machine, threads, cores));
        let roster = Roster::new(members.collect(), Arc::from(""));
        assert!(roster.is_crowded(&[2, 1]) && roster.is_crowded(&[0, 4]));
        assert!(!roster.is_crowded(&[2, 3, 4, 5]) && !roster.is_crowded(&[]));
    }

    #[test]
    fn ranks_of_a_process_with_fewer_threads_take_turns() {
        let ranks = |ranks: std::ops::Range<u32>| ranks.collect::<Vec<_>>();
        let member = |process, of: std::ops::Range<u32>, threads| {
            let machine = "a".to_owned();
            Member { process, ranks: ranks(of), machine, threads, cores: 2, ..Member::default() }
        };
        // The second does not know how many it has.
        let roster = Roster::new(vec![member(0, 0..4, 2), member(1, 4..8, 0)], Arc::from(""));
        assert!(roster.is_crowded(&ranks(0..4)) && roster.is_crowded(&ranks(0..3)));
        assert!(!roster.is_crowded(&ranks(0..2)) && !roster.is_crowded(&ranks(4..8)));
        assert!(!roster.is_crowded(&ranks(0..8)), "two threads on two cores");
    }
}
