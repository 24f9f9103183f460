//! Who is in a job: the same for all its processes.

use crate::{Member, mailbox::Group};
use rustc_hash::FxHashMap;
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
