//! QUIC on the loopback interface.

use fmi_actors::{Member, Node, Place, Settings};
use fmi_channels::{
    conformance::Wire, conformance_suite, handshake::Token, identity::Identity, local::LocalLink,
    quic::Quic,
};
use std::sync::Arc;

conformance_suite!(Straight);

/// Processes dial each other.
#[derive(Debug)]
struct Straight;

impl Wire for Straight {
    fn nodes(&self, processes: &[usize], settings: &Settings) -> Vec<Arc<Node>> {
        let mut next = 0;
        let (members, channels): (Vec<_>, Vec<_>) = (0..)
            .zip(processes)
            .map(|(process, ranks)| {
                let first = next;
                next += *ranks as u32;
                let identity = Arc::new(Identity::new().unwrap());
                let fingerprint = Some(identity.fingerprint());
                let token = Token::new("correct horse battery staple");
                let channel = Quic::bind(Some("127.0.0.1:0"), None, token, identity).unwrap();
                let addresses = vec![("quic".to_owned(), channel.local_addr().to_string())];
                let ranks = (first..next).collect();
                let incarnation = 3;
                let member = Member {
                    process,
                    ranks,
                    addresses,
                    incarnation,
                    fingerprint,
                    ..Member::default()
                };
                (member, channel)
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

    fn cut(&self, one: &Arc<Node>, other: &Arc<Node>) -> bool {
        // The best that can be done from inside: both hang up at once.
        [(one, other), (other, one)].into_iter().fold(false, |cut, (from, to)| {
            let link = from.peer(to.process()).and_then(|peer| peer.link());
            link.inspect(|link| link.close()).is_some() || cut
        })
    }
}
