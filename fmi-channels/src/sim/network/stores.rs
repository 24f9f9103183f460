//! The stores of the jobs, as the network has them: what was asked of them, and how long that takes.

use super::{Network, Process, State};
use crate::sim::{
    depot::{Contents, Requests},
    modelled::{Load, Modelled},
};
use fmi_actors::clock::Time;
use fmi_model::channel::Channel;
use parking_lot::Mutex;
use std::{
    sync::{Arc, Weak},
    time::Duration,
};

impl Network {
    /// A job's store is on the network.
    pub(in super::super) fn stock(&self, contents: &Arc<Mutex<Contents>>) {
        self.stores.lock().push(Arc::downgrade(contents));
    }

    /// What processes that live have left in stores.
    pub(in super::super) fn left_in_store(&self) -> usize {
        let stores: Vec<_> = self.stores.lock().iter().filter_map(Weak::upgrade).collect();
        stores.iter().map(|contents| contents.lock().left(|process| self.lives(process))).sum()
    }

    /// What has been asked of stores.
    pub(in super::super) fn asked_of_store(&self) -> Requests {
        let stores: Vec<_> = self.stores.lock().iter().filter_map(Weak::upgrade).collect();
        let messages = self.state.lock().tally.requests;
        stores.iter().fold(messages, |sum, contents| sum + contents.lock().requests)
    }

    /// Whether each message is written into a store that takes money for it, and read there.
    pub(super) fn is_paid(&self) -> bool {
        self.wire.channel.as_ref().is_some_and(|channel| channel.requests.is_some())
    }

    /// A process writes something into a store: when others can read it.
    pub(in super::super) fn write(
        &self,
        process: Process,
        channel: &Channel,
        bytes: usize,
    ) -> Time {
        let mut state = self.state.lock();
        let State { processes, shared, .. } = &mut *state;
        let mut store = Modelled { channel, server: &mut shared.server, now: self.now() };
        let load = Load::whole(bytes);
        let (_, comes) = store.leave(&mut processes[process.index()].port, &load);
        comes + store.late(&load, &mut shared.dice)
    }

    /// A process reads something that is there: when it has it. Had it to look for it, it does so later.
    pub(in super::super) fn read(
        &self,
        process: Process,
        channel: &Channel,
        bytes: usize,
        waited: bool,
    ) -> Time {
        let mut state = self.state.lock();
        let State { processes, shared, .. } = &mut *state;
        let now = self.now();
        let mut store = Modelled { channel, server: &mut shared.server, now };
        let load = Load::whole(bytes);
        let late = if waited { store.unseen(&load, &mut shared.dice) } else { Duration::ZERO };
        let port = &mut processes[process.index()].port;
        let comes = store.served(now + late, &load);
        store.receive(port, comes, &load) + store.late(&load, &mut shared.dice)
    }
}
