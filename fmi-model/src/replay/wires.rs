//! Which channel a step goes over.

use crate::{
    channel::{Channel, Server},
    host::Host,
    topology::{Distance, Topology},
};

/// The way of a message or of something published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Route {
    /// A message inside a process.
    Process,
    /// A message between processes of one machine.
    Machine,
    /// A message between machines.
    Network,
    /// What is published for ranks of the same process.
    Board,
    /// What is published for other processes.
    Store,
}

impl Route {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Process, Self::Machine, Self::Network, Self::Board, Self::Store];
}

/// The channel of each route, and what is besides.
#[derive(Debug, Clone, Copy)]
pub struct Wires<'a> {
    channels: [&'a Channel; 5],
    /// What the ranks and cores do themselves.
    pub host: Host,
}

impl<'a> Wires<'a> {
    /// One channel for everything.
    #[must_use]
    pub fn all(channel: &'a Channel) -> Self {
        Self { channels: [channel; 5], host: Host::default() }
    }

    /// Another channel for a route.
    #[must_use]
    pub fn with(mut self, route: Route, channel: &'a Channel) -> Self {
        self.channels[route as usize] = channel;
        self
    }

    /// The channel of a route.
    #[must_use]
    pub fn channel(&self, route: Route) -> &'a Channel {
        self.channels[route as usize]
    }

    /// The server that takes a core of the ranks' machine, if there is one: all routes to it are to the same. In
    /// one process nobody asks it.
    pub(super) fn server_here(&self, topology: &Topology) -> Option<Server> {
        let server = self.channels.iter().find_map(|channel| channel.server_here());
        server.filter(|_| topology.processes() > 1)
    }

    /// Whether ranks may have to wait for a core: another one has it, or a store's server.
    #[must_use]
    pub fn are_crowded(&self, topology: &Topology) -> bool {
        topology.cores() < topology.ranks() || self.server_here(topology).is_some()
    }

    /// The way of a message.
    pub(super) fn message(topology: &Topology, from: usize, to: usize) -> Route {
        match topology.distance(from, to) {
            Distance::Process => Route::Process,
            Distance::Machine => Route::Machine,
            Distance::Network => Route::Network,
        }
    }

    /// The way of what is published.
    pub(super) fn shelf(topology: &Topology, from: usize, to: usize) -> Route {
        match topology.distance(from, to) {
            Distance::Process => Route::Board,
            Distance::Machine | Distance::Network => Route::Store,
        }
    }
}
