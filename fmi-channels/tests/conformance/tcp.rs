//! TCP on the loopback interface, straight and through a relay that can be cut.

use crate::proxy::Proxy;
use fmi_actors::{Member, Node, Place, Settings};
use fmi_channels::{
    conformance::Wire, conformance_suite, handshake::Token, local::LocalLink, tcp::Tcp,
};
use parking_lot::Mutex;
use std::{net::SocketAddr, sync::Arc};

const SECRET: &str = "correct horse battery staple";

mod straight {
    use super::*;
    conformance_suite!(Straight);
}

mod relayed {
    use super::*;
    conformance_suite!(Relayed::default());
}

/// Processes dial each other.
#[derive(Debug)]
struct Straight;

impl Wire for Straight {
    fn nodes(&self, processes: &[usize], settings: &Settings) -> Vec<Arc<Node>> {
        nodes(processes, settings, |_, address| address)
    }

    fn cut(&self, one: &Arc<Node>, other: &Arc<Node>) -> bool {
        // The best that can be done from inside: both hang up at once.
        [(one, other), (other, one)].into_iter().fold(false, |cut, (from, to)| {
            let link = from.peer(to.process()).and_then(|peer| peer.link());
            link.inspect(|link| link.close()).is_some() || cut
        })
    }
}

/// Processes dial a relay.
#[derive(Debug, Default)]
struct Relayed(Mutex<Vec<Proxy>>);

impl Wire for Relayed {
    fn nodes(&self, processes: &[usize], settings: &Settings) -> Vec<Arc<Node>> {
        let mut proxies = self.0.lock();
        proxies.clear();
        nodes(processes, settings, |_, address| {
            proxies.push(Proxy::to(address));
            proxies[proxies.len() - 1].address()
        })
    }

    fn cut(&self, one: &Arc<Node>, other: &Arc<Node>) -> bool {
        let proxies = self.0.lock();
        [one, other].map(|node| proxies[node.process() as usize].cut()).iter().sum::<usize>() > 0
    }
}

/// One process after another; `reached` says at which address the others find it.
fn nodes(
    processes: &[usize],
    settings: &Settings,
    mut reached: impl FnMut(u32, SocketAddr) -> SocketAddr,
) -> Vec<Arc<Node>> {
    let mut next = 0;
    let (members, channels): (Vec<_>, Vec<_>) = (0..)
        .zip(processes)
        .map(|(process, ranks)| {
            let first = next;
            next += *ranks as u32;
            let channel = Tcp::bind(Some("127.0.0.1:0"), None, Token::new(SECRET)).unwrap();
            let address = reached(process, channel.local_addr()).to_string();
            let addresses = vec![("tcp".to_owned(), address)];
            {
                let ranks = (first..next).collect();
                let member =
                    Member { process, ranks, addresses, incarnation: 3, ..Member::default() };
                (member, channel)
            }
        })
        .unzip();
    (0..)
        .zip(channels)
        .map(|(process, channel)| {
            let place = Place { process, epoch: 77, members: members.clone() };
            let node = Node::new(place, vec![Arc::new(channel)], &[], settings.clone());
            LocalLink::attach(&node);
            node.start();
            node
        })
        .collect()
}
