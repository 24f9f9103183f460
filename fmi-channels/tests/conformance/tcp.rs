//! TCP on the loopback interface, straight and through a relay that can be cut; plain, with
//! checksums, and encrypted.

use crate::proxy::Proxy;
use fmi_actors::{Member, Node, Place, Settings};
use fmi_channels::{
    conformance::Wire,
    conformance_suite,
    handshake::Token,
    identity::Identity,
    local::LocalLink,
    tcp::{Protection, Tcp},
};
use parking_lot::Mutex;
use std::{net::SocketAddr, sync::Arc};

const SECRET: &str = "correct horse battery staple";

mod straight {
    use super::*;
    conformance_suite!(Straight(plain));
}

mod relayed {
    use super::*;
    conformance_suite!(Relayed::new(plain));
}

mod encrypted {
    use super::*;
    conformance_suite!(Straight(encrypted));
}

mod encrypted_relayed {
    use super::*;
    conformance_suite!(Relayed::new(encrypted));
}

mod checked_relayed {
    use super::*;
    conformance_suite!(Relayed::new(checked));
}

/// How the links of a process are protected, and what others have to know for that.
type Protect = fn() -> (Protection, Option<[u8; 32]>);

fn plain() -> (Protection, Option<[u8; 32]>) {
    (Protection::Plain, None)
}

fn checked() -> (Protection, Option<[u8; 32]>) {
    (Protection::Checksum, None)
}

fn encrypted() -> (Protection, Option<[u8; 32]>) {
    let identity = Arc::new(Identity::new().unwrap());
    let fingerprint = identity.fingerprint();
    (Protection::Tls(identity), Some(fingerprint))
}

/// Processes dial each other.
#[derive(Debug)]
struct Straight(Protect);

impl Wire for Straight {
    fn nodes(&self, processes: &[usize], settings: &Settings) -> Vec<Arc<Node>> {
        nodes(processes, settings, self.0, |_, address| address)
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
#[derive(Debug)]
struct Relayed {
    protect: Protect,
    proxies: Mutex<Vec<Proxy>>,
}

impl Relayed {
    fn new(protect: Protect) -> Self {
        Self { protect, proxies: Mutex::default() }
    }
}

impl Wire for Relayed {
    fn nodes(&self, processes: &[usize], settings: &Settings) -> Vec<Arc<Node>> {
        let mut proxies = self.proxies.lock();
        proxies.clear();
        nodes(processes, settings, self.protect, |_, address| {
            proxies.push(Proxy::to(address));
            proxies[proxies.len() - 1].address()
        })
    }

    fn cut(&self, one: &Arc<Node>, other: &Arc<Node>) -> bool {
        let proxies = self.proxies.lock();
        [one, other].map(|node| proxies[node.process() as usize].cut()).iter().sum::<usize>() > 0
    }
}

/// One process after another; `reached` says at which address the others find it.
fn nodes(
    processes: &[usize],
    settings: &Settings,
    protect: Protect,
    mut reached: impl FnMut(u32, SocketAddr) -> SocketAddr,
) -> Vec<Arc<Node>> {
    let mut next = 0;
    let (members, channels): (Vec<_>, Vec<_>) = (0..)
        .zip(processes)
        .map(|(process, ranks)| {
            let first = next;
            next += *ranks as u32;
            let (protection, fingerprint) = protect();
            let channel = Tcp::bind(Some("127.0.0.1:0"), None, Token::new(SECRET)).unwrap();
            let channel = channel.protected(protection);
            let address = reached(process, channel.local_addr()).to_string();
            let addresses = vec![("tcp".to_owned(), address)];
            let ranks = (first..next).collect();
            let member = Member {
                process,
                ranks,
                addresses,
                incarnation: 3,
                fingerprint,
                ..Member::default()
            };
            (member, channel)
        })
        .unzip();
    (0..)
        .zip(channels)
        .map(|(process, channel)| {
            let place =
                Place { process, epoch: 77, members: members.clone(), model: Arc::default() };
            let node = Node::new(place, vec![Arc::new(channel)], &[], settings.clone());
            LocalLink::attach(&node);
            node.start();
            node
        })
        .collect()
}
