//! Memory that processes of this machine share; here they are nodes of one process.

use fmi_actors::{Member, Node, Place, Settings, channel::Channel};
use fmi_channels::{
    conformance::Wire, conformance_suite, handshake::Token, local::LocalLink, shm::Shm,
};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

conformance_suite!(Memory);

#[derive(Debug)]
struct Memory;

impl Wire for Memory {
    fn nodes(&self, processes: &[usize], settings: &Settings) -> Vec<Arc<Node>> {
        let mut next = 0;
        let (members, channels): (Vec<_>, Vec<_>) = (0..)
            .zip(processes)
            .map(|(process, ranks)| {
                let first = next;
                next += *ranks as u32;
                let channel = Shm::bind(Token::new("correct horse battery staple")).unwrap();
                let address = channel.address(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
                let member = Member {
                    process,
                    ranks: (first..next).collect(),
                    addresses: vec![("shm".to_owned(), address)],
                    machine: "here".to_owned(),
                    incarnation: 3,
                    ..Member::default()
                };
                (member, channel)
            })
            .unzip();
        (0..)
            .zip(channels)
            .map(|(process, channel)| {
                let members = members.clone();
                let place = Place { process, epoch: 77, members, model: Arc::default() };
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
