//! The simulator as the keeper of a process: its ticks and deadlines are events.

use super::network::{Network, Process};
use fmi_actors::{
    clock::{Clock, Time},
    home::HomeHandle,
    keeper::Keeper,
};
use futures::future::BoxFuture;
use std::{
    sync::{Arc, Weak},
    time::Duration,
};

/// Keeps the time of one simulated process.
#[derive(Debug)]
pub(super) struct BySimulator {
    network: Weak<Network>,
    process: Process,
}

impl BySimulator {
    pub(super) fn new(network: &Arc<Network>, process: Process) -> Self {
        Self { network: Arc::downgrade(network), process }
    }
}

impl Clock for BySimulator {
    fn now(&self) -> Time {
        self.network.upgrade().map_or(Time::NEVER, |network| network.now())
    }
}

impl Keeper for BySimulator {
    fn kick(&self) {
        if let Some(network) = self.network.upgrade() {
            network.kick(self.process);
        }
    }

    fn deadline(&self, at: Time) {
        if let Some(network) = self.network.upgrade() {
            network.deadline(self.process, at);
        }
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        if let Some(network) = self.network.upgrade()
            && network.lives(self.process)
        {
            network.spawn(future);
        }
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        match self.network.upgrade() {
            Some(network) => Box::pin(network.sleep(span)),
            None => Box::pin(std::future::pending()),
        }
    }

    fn home(&self) -> Option<&HomeHandle> {
        None
    }
}
