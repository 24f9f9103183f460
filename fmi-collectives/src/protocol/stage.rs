//! A collective that is a scope: entered under a name, told to the neighbours, watched.

use super::Lineage;
use crate::{Communicator, signature::signature_of};
use fmi_actors::{
    Payload,
    endpoint::{Alarm, Collective, SendFuture},
    frame::{Datatype, Signature},
    mailbox::Failure,
};
use std::sync::Arc;

/// This rank's part of something that all ranks of a communicator do under one number.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) collective: Collective,
    /// It had failed before it began.
    pub(super) failed: Option<Failure>,
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
        let signature = signature_of(name);
        let mut stage = Self::of(comm, comm.enter(signature));
        // Within a process that has compared them already.
        if !comm.is_together() {
            stage.greetings = greet(comm, &stage.collective, signature);
        }
        stage
    }

    /// Takes the number; what is done under it is known to agree. Without a name if it is only
    /// to be refused.
    pub(super) fn open(comm: &Communicator, name: Option<&str>) -> Self {
        let signature = name.map(signature_of);
        Self::of(comm, comm.endpoint().enter(comm.scope(), signature))
    }

    fn of(comm: &Communicator, collective: Collective) -> Self {
        let lineage = Arc::<Lineage>::default();
        Self {
            failed: collective.failure().cloned(),
            alarm: comm.endpoint().alarm(collective.space()),
            inside: comm.inside(collective.space().number, Arc::clone(&lineage)),
            lineage,
            collective,
            greetings: Vec::new(),
        }
    }
}

fn greet(comm: &Communicator, collective: &Collective, signature: Signature) -> Vec<SendFuture> {
    let (rank, size) = (comm.rank(), comm.size());
    let (after, before) = ((rank + 1) % size, (rank + size - 1) % size);
    let send = |to| {
        let (space, to) = (collective.space(), comm.world_rank(to));
        comm.endpoint().send_signed(space, to, Datatype::BYTES, Payload::empty(), signature)
    };
    let neighbours = (after != rank).then_some(after).into_iter();
    neighbours.chain((before != after).then_some(before)).map(send).collect()
}
