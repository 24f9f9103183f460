//! Processes that have met at a real rendezvous and that nothing joins but its relay.

use crate::proxy::Proxy;
use fmi_actors::{Member, Node, Place, Settings, channel::Channel, service::Service};
use fmi_channels::{
    handshake::Token,
    identity::Identity,
    local::LocalLink,
    relay::Relay,
    rendezvous::{Client, Event, Options, Ranks, Registration, Server, Terms},
};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, mpsc},
    time::Duration,
};

const SECRET: &str = "correct horse battery staple";

/// All nodes, and the proxy through which they reach the relay.
pub(crate) fn nodes(processes: &[usize], settings: &Settings) -> (Proxy, Vec<Arc<Node>>) {
    on_service(meet(processes.to_vec(), settings.clone()))
}

/// Runs a future where the library runs what has no runtime of its own, and waits.
fn on_service<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    let (send, receive) = mpsc::channel();
    Service::get().spawn(async move {
        let _ = send.send(future.await);
    });
    receive.recv_timeout(Duration::from_secs(20)).expect("the processes meet")
}

/// One process after another registers.
async fn meet(processes: Vec<usize>, settings: Settings) -> (Proxy, Vec<Arc<Node>>) {
    let token = Token::new(SECRET);
    let options = Options { relays: 4096, relays_per_job: 4096, ..Options::default() };
    let server = Server::bind("127.0.0.1:0", token.clone(), options).await.unwrap();
    let (address, proxy) = (server.local_addr(), Proxy::to(server.local_addr()));
    // Ends with the test's process.
    Service::get().spawn(server.run(std::future::pending::<()>()));
    let (mut clients, mut next) = (Vec::new(), 0);
    for ranks in &processes {
        let identity = Arc::new(Identity::new().unwrap());
        let relay = Relay::new(token.clone(), Arc::clone(&identity));
        let own = relay.address(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
        let registration = Registration {
            job: "conformance".to_owned(),
            size: Some(processes.iter().sum::<usize>() as u32),
            ranks: Ranks::Given((next..next + *ranks as u32).collect()),
            addresses: vec![("relay".to_owned(), own)],
            machine: "here".to_owned(),
            threads: 1,
            cores: 0,
            after: None,
            terms: Terms::default(),
            fingerprint: Some(identity.fingerprint()),
            model: String::new(),
        };
        next += *ranks as u32;
        let patience = Duration::from_secs(20);
        let at = format!("tcp://{address}");
        let client = Client::connect(&at, &token, registration, patience).await;
        clients.push((client.unwrap(), relay));
    }
    let mut nodes = Vec::new();
    for (client, relay) in clients {
        let members = client.complete().await.unwrap();
        let mut outside = client.outside().clone();
        outside.server = proxy.address();
        relay.outside(outside);
        let registered = client.registered();
        let place = Place {
            process: registered.process,
            epoch: registered.epoch,
            members: members.iter().map(Member::from).collect(),
            model: client.model(),
        };
        let node = Node::new(place, vec![Arc::new(relay)], &[], settings.clone());
        node.set_post(Arc::new(client.post()));
        let told = Arc::downgrade(&node);
        Service::get().spawn(async move {
            while let Some(event) = client.event().await {
                let Some(node) = told.upgrade() else { return };
                if let Event::Told { from, channel, note } = event {
                    node.told(from, &channel, &note);
                }
            }
        });
        LocalLink::attach(&node);
        node.start();
        nodes.push(node);
    }
    (proxy, nodes)
}
