//! A collective that is a scope: entered under a name, told to the neighbours, watched.

use super::Lineage;
use crate::{Communicator, signature::signature_of};
use fmi_actors::{
    Payload,
    endpoint::{Alarm, Collective, SendFuture},
    frame::Datatype,
};
use std::sync::Arc;

/// This rank's part of something that all ranks of a communicator do under one number.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) collective: Collective,
    /// Ready when it failed anywhere.
    pub(super) alarm: Alarm,
    /// The group, with messages and collectives that live inside.
    pub(super) inside: Communicator,
    pub(super) lineage: Arc<Lineage>,
    /// Not waited for: they help if they arrive.
    pub(super) greetings: Vec<SendFuture>,
}

impl Stage {
    /// Takes the number, and tells the neighbours what this rank calls under it: of two ranks
    /// that call different things some two are neighbours. A message to each, that nobody awaits.
    pub(super) fn enter(comm: &Communicator, name: &str) -> Self {
        let mut stage = Self::open(comm, Some(name));
        stage.greetings = greet(comm, &stage.collective, name);
        stage
    }

    /// Takes the number; what is done under it is known to agree. Without a name if it is only
    /// to be refused.
    pub(super) fn open(comm: &Communicator, name: Option<&str>) -> Self {
        let endpoint = comm.endpoint();
        let collective = match name {
            Some(name) => comm.enter(signature_of(name)),
            None => endpoint.enter(comm.scope(), None),
        };
        let lineage = Arc::<Lineage>::default();
        Self {
            alarm: endpoint.alarm(collective.space()),
            inside: comm.inside(collective.space().number, Arc::clone(&lineage)),
            lineage,
            collective,
            greetings: Vec::new(),
        }
    }
}

fn greet(comm: &Communicator, collective: &Collective, name: &str) -> Vec<SendFuture> {
    let (rank, size) = (comm.rank(), comm.size());
    let (after, before) = ((rank + 1) % size, (rank + size - 1) % size);
    let send = |to| {
        let (space, signature) = (collective.space(), signature_of(name));
        let to = comm.world_rank(to);
        comm.endpoint().send_signed(space, to, Datatype::BYTES, Payload::empty(), signature)
    };
    let neighbours = (after != rank).then_some(after).into_iter();
    neighbours.chain((before != after).then_some(before)).map(send).collect()
}
