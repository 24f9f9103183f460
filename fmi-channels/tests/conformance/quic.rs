//! QUIC on the loopback interface: dialled straight, and punched as if there were something to
//! punch through.

use fmi_actors::{
    Member, Node, Place, Settings,
    channel::{Post, Rung},
    service::Service,
};
use fmi_channels::{
    conformance::Wire, conformance_suite, handshake::Token, identity::Identity, local::LocalLink,
    outside::Outside, quic::Quic,
};
use parking_lot::Mutex;
use std::{
    sync::{Arc, Weak},
    time::Duration,
};

mod straight {
    use super::*;
    conformance_suite!(Straight);
}

mod punched {
    use super::*;
    conformance_suite!(Punched);
}

/// Processes dial each other.
#[derive(Debug)]
struct Straight;

impl Wire for Straight {
    fn nodes(&self, processes: &[usize], settings: &Settings) -> Vec<Arc<Node>> {
        nodes(processes, settings, |_, _| {})
    }

    fn cut(&self, one: &Arc<Node>, other: &Arc<Node>) -> bool {
        cut(one, other)
    }
}

/// Processes call each other and fire.
#[derive(Debug)]
struct Punched;

impl Wire for Punched {
    fn nodes(&self, processes: &[usize], settings: &Settings) -> Vec<Arc<Node>> {
        let settings = Settings { ladder: vec![Rung::Punched], ..settings.clone() };
        let office: Office = Arc::default();
        let nodes = nodes(processes, &settings, |node, channel| {
            let local = channel.local_addr();
            channel.outside(Outside {
                server: local,
                local,
                observed: local,
                tcp_mirror: None,
                udp_mirrors: Vec::new(),
                round_trip: Duration::from_millis(1),
                token: Token::new(SECRET),
            });
            let from = node.process();
            node.set_post(Arc::new(Carrier { from, office: Arc::clone(&office) }));
        });
        *office.lock() = nodes.iter().map(Arc::downgrade).collect();
        nodes
    }

    fn cut(&self, one: &Arc<Node>, other: &Arc<Node>) -> bool {
        cut(one, other)
    }
}

const SECRET: &str = "correct horse battery staple";

type Office = Arc<Mutex<Vec<Weak<Node>>>>;

/// Carries notes between the nodes of a test.
#[derive(Debug)]
struct Carrier {
    from: u32,
    office: Office,
}

impl Post for Carrier {
    fn tell(&self, process: u32, channel: &str, note: Vec<u8>) {
        let to = self.office.lock().get(process as usize).and_then(Weak::upgrade);
        let (from, channel) = (self.from, channel.to_owned());
        if let Some(to) = to {
            Service::get().spawn(async move { to.told(from, &channel, &note) });
        }
    }
}

/// One process after another; `prepare` sees each before it starts.
fn nodes(
    processes: &[usize],
    settings: &Settings,
    prepare: impl Fn(&Arc<Node>, &Quic),
) -> Vec<Arc<Node>> {
    let mut next = 0;
    let (members, channels): (Vec<_>, Vec<_>) = (0..)
        .zip(processes)
        .map(|(process, ranks)| {
            let first = next;
            next += *ranks as u32;
            let identity = Arc::new(Identity::new().unwrap());
            let fingerprint = Some(identity.fingerprint());
            let token = Token::new(SECRET);
            let channel = Quic::bind(Some("127.0.0.1:0"), None, token, identity).unwrap();
            let member = Member {
                process,
                ranks: (first..next).collect(),
                addresses: vec![("quic".to_owned(), channel.local_addr().to_string())],
                incarnation: 3,
                fingerprint,
                ..Member::default()
            };
            (member, Arc::new(channel))
        })
        .unzip();
    let nodes: Vec<_> = (0..)
        .zip(&channels)
        .map(|(process, channel)| {
            let place =
                Place { process, epoch: 77, members: members.clone(), model: Arc::default() };
            let channel: Arc<Quic> = Arc::clone(channel);
            Node::new(place, vec![channel], &[], settings.clone())
        })
        .collect();
    for (node, channel) in nodes.iter().zip(&channels) {
        LocalLink::attach(node);
        prepare(node, channel);
        node.start();
    }
    nodes
}

/// The best that can be done from inside: both hang up at once.
fn cut(one: &Arc<Node>, other: &Arc<Node>) -> bool {
    [(one, other), (other, one)].into_iter().fold(false, |cut, (from, to)| {
        let link = from.peer(to.process()).and_then(|peer| peer.link());
        link.inspect(|link| link.close()).is_some() || cut
    })
}
