//! What the tests of collectives over real stores share: jobs of several processes, in fact in one,
//! that have nothing in common but a store.
//!
//! A package of its own, so that nobody else has to build S3 servers.

use fmi::Communicator;
use fmi_actors::{Member, Node, Place, Settings, channel::Channel};
use fmi_channels::local::LocalLink;
use futures::future::join_all;
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

/// A job, for as long as its ranks live.
#[derive(Debug)]
pub struct Job {
    /// Its ranks, in their order.
    pub ranks: Vec<Communicator>,
}

impl Job {
    /// Processes with so many ranks each, and one channel each.
    ///
    /// # Panics
    /// When there are not as many channels as processes.
    #[must_use]
    pub fn new(processes: &[usize], channels: Vec<Arc<dyn Channel>>) -> Self {
        static EPOCH: AtomicU32 = AtomicU32::new(1);
        assert_eq!(processes.len(), channels.len(), "a channel a process");
        let epoch = EPOCH.fetch_add(1, Ordering::Relaxed);
        let mut next = 0;
        let members: Vec<_> = (0..)
            .zip(processes)
            .zip(&channels)
            .map(|((process, ranks), channel)| {
                let first = next;
                next += *ranks as u32;
                let address = channel.address(IpAddr::V4(Ipv4Addr::LOCALHOST));
                let addresses = address.map(|address| (channel.name().to_owned(), address));
                Member {
                    process,
                    ranks: (first..next).collect(),
                    addresses: addresses.into_iter().collect(),
                    ..Member::default()
                }
            })
            .collect();
        let mut ranks = Vec::new();
        for (process, channel) in (0..).zip(channels) {
            let place = Place { process, epoch, members: members.clone(), model: Arc::default() };
            let node = Node::new(place, vec![channel], &[], Settings::default());
            LocalLink::attach(&node);
            node.start();
            let own = members[process as usize].ranks.iter();
            ranks.extend(own.map(|rank| Communicator::world(&node, *rank, "stores")));
        }
        Self { ranks }
    }

    /// Lets all ranks leave in good order.
    ///
    /// # Panics
    /// When one cannot.
    pub async fn close(self) {
        let closed = join_all(self.ranks.iter().map(Communicator::close)).await;
        closed.into_iter().for_each(|end| end.expect("what was sent has arrived"));
    }
}
