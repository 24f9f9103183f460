//! What the connections of a server share: the [`Hall`] under its one lock, notes that wait, bells.

use std::{collections::HashMap, sync::Arc, time::Instant};

use bytes::Bytes;
use fmi_actors::channel::MAX_NOTE;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tracing::info;

use super::{
    counts::Counts,
    crowd::Crowd,
    hall::{Hall, Ticket},
    job::Departure,
    letters::Letters,
    protocol::{Answer, MAX_CHANNEL, MirrorPorts},
    relay::{self, Entry, Hello},
    server::Options,
    wire::frame,
};
use crate::handshake::Token;

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) token: Token,
    pub(super) options: Options,
    /// Of the mirrors.
    pub(super) ports: MirrorPorts,
    pub(super) counts: Counts,
    pub(super) floor: Mutex<Floor>,
}

/// The hall, and the bells that call the connections there.
#[derive(Debug)]
pub(super) struct Floor {
    pub(super) hall: Hall,
    pub(super) relays: relay::Table<relay::Way>,
    letters: Letters,
    pub(super) crowd: Crowd,
    /// By epoch: rung when the job's log has grown.
    bells: HashMap<u32, watch::Sender<()>>,
}

/// What rings for a process.
#[derive(Debug)]
pub(super) struct Bells {
    /// The log of its job has grown.
    pub(super) news: watch::Receiver<()>,
    /// It has got a note.
    pub(super) letters: Arc<Notify>,
}

impl Floor {
    pub(super) fn new(hall: Hall, options: &Options) -> Self {
        let relays = relay::Table::new(options.relays_per_job, options.relays, options.relay_rate);
        let crowd = Crowd::new(options.per_address, Instant::now());
        Self { hall, relays, letters: Letters::default(), crowd, bells: HashMap::new() }
    }

    /// Takes a connection that is to be relayed, of a process that is in a complete job to another
    /// one of it. What `way` leads to, the second of two gets.
    pub(super) fn relay(
        &mut self,
        hello: Hello,
        way: relay::Way,
    ) -> Result<Entry<relay::Way>, String> {
        let Hello { epoch, process, peer, .. } = hello;
        let own = Ticket { epoch, process };
        if process == peer
            || self.hall.addressee(Ticket { epoch, process: peer }, process).is_none()
        {
            return Err(format!("process {process} of epoch {epoch} is not registered here"));
        }
        if self.hall.addressee(own, peer).is_none() {
            return Err(format!("process {peer} of epoch {epoch} is not registered here"));
        }
        self.relays.enter(hello, way)
    }

    /// The bells of a process that has just registered.
    pub(super) fn bells(&mut self, ticket: Ticket) -> Bells {
        Bells {
            news: self.bells.entry(ticket.epoch).or_default().subscribe(),
            letters: self.letters.open(ticket),
        }
    }

    /// Takes a note for another process. Says how many notes got lost by it.
    pub(super) fn tell(&mut self, from: Ticket, to: u32, channel: String, note: Vec<u8>) -> usize {
        let fits = channel.len() <= MAX_CHANNEL && note.len() <= MAX_NOTE;
        match self.hall.addressee(from, to).filter(|_| fits) {
            Some(to) => {
                let told = Answer::Told { from: from.process, channel, note };
                self.letters.put(to, frame(&told))
            }
            None => 1,
        }
    }

    /// Notes that wait for a process.
    pub(super) fn letters(&mut self, ticket: Ticket, most: usize) -> Vec<Bytes> {
        self.letters.take(ticket, most)
    }

    pub(super) fn note_bytes(&self) -> usize {
        self.letters.bytes()
    }

    pub(super) fn depart(&mut self, ticket: Ticket, how: Departure) {
        self.letters.close(ticket);
        let news = self.hall.depart(ticket, how);
        self.ring_stirred();
        if self.hall.job(ticket).is_none() {
            self.relays.forget(ticket.epoch);
            if self.bells.remove(&ticket.epoch).is_some() {
                info!(epoch = ticket.epoch, "job has ended");
            }
        } else if news {
            self.ring(ticket.epoch);
        }
    }

    /// Rings for all that a step of the hall concerned.
    pub(super) fn ring_stirred(&mut self) {
        for epoch in self.hall.stirred() {
            self.ring(epoch);
        }
    }

    pub(super) fn ring(&self, epoch: u32) {
        if let Some(bell) = self.bells.get(&epoch) {
            bell.send_replace(());
        }
    }
}
