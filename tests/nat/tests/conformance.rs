//! The conformance suite over links that are punched through two restricted address translations.
//!
//! The suite runs in one process, and a socket belongs to the network namespace of the thread that
//! made it. So all sockets of a node are made on threads inside its host's: the channel's when it
//! is bound, those that dial through [`dial::set_place`], by the port that it listens on. Every
//! node has a port of its own, and is registered with a rendezvous in the lab.

use std::{
    collections::HashMap,
    future::Future,
    io,
    net::SocketAddr,
    sync::{
        Arc, LazyLock, Once, Weak,
        atomic::{AtomicU16, AtomicU32, Ordering},
        mpsc,
    },
    time::Duration,
};

use fmi_actors::{
    Member, Node, Place, Settings,
    channel::{Channel, Rung},
    service::Service,
};
#[cfg(feature = "quic")]
use fmi_channels::quic::Quic;
use fmi_channels::{
    conformance::Wire,
    conformance_suite, dial,
    handshake::Token,
    identity::Identity,
    local::LocalLink,
    outside::Outside,
    rendezvous::{Client, Event, Ranks, Reach, Registration, Terms},
    tcp::Tcp,
};
use nat_tests::{
    job::{Rendezvous, SECRET},
    lab::{Host, Kind, Lab, missing},
};
use parking_lot::Mutex;

mod tcp_punched {
    use super::*;
    conformance_suite!(Punched::new(Make::Tcp), on run);
}

#[cfg(feature = "quic")]
mod quic_punched {
    use super::*;
    conformance_suite!(Punched::new(Make::Quic), on run);
}

/// Runs a test where there can be a lab; elsewhere it says why not.
fn run(_: &Punched, test: impl Future<Output = ()>) {
    if let Some(missing) = missing() {
        eprintln!("skipped: {missing}");
        return;
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().build().expect("no runtime").block_on(test);
}

/// Each process is alone behind a restricted address translation, and links are only punched.
#[derive(Debug)]
struct Punched {
    make: Make,
    /// Made when it is known how many sites it needs.
    world: Mutex<Option<Arc<World>>>,
}

/// A lab, and a rendezvous in it.
#[derive(Debug)]
struct World {
    // Ends before the lab does.
    rendezvous: Rendezvous,
    lab: Lab,
    /// Jobs that have met here.
    jobs: AtomicU32,
}

impl Punched {
    fn new(make: Make) -> Self {
        Self { make, world: Mutex::default() }
    }

    /// A lab with so many sites at least.
    fn world(&self, sites: usize) -> Arc<World> {
        let mut world = self.world.lock();
        let enough = world.take().filter(|world| world.lab.sites().len() >= sites);
        let enough = enough.unwrap_or_else(|| Arc::new(World::new(sites)));
        Arc::clone(world.insert(enough))
    }
}

impl World {
    fn new(sites: usize) -> Self {
        let builder =
            (0..sites).fold(Lab::builder(), |builder, _| builder.site(Kind::Restricted, 1));
        let lab = builder.build().expect("no lab");
        Self { rendezvous: Rendezvous::start(&lab), lab, jobs: AtomicU32::new(0) }
    }

    /// Where a process is.
    fn host(&self, process: usize) -> &Host {
        &self.lab.sites()[process].hosts()[0]
    }
}

impl Wire for Punched {
    fn nodes(&self, processes: &[usize], settings: &Settings) -> Vec<Arc<Node>> {
        let settings = Settings { ladder: vec![Rung::Punched], ..settings.clone() };
        let (world, make) = (self.world(processes.len()), self.make);
        let (send, receive) = mpsc::channel();
        let processes = processes.to_vec();
        // Where the library runs what has no runtime of its own.
        Service::get().spawn(async move {
            let _ = send.send(meet(&world, make, &processes, &settings).await);
        });
        receive.recv_timeout(PATIENCE).expect("the processes meet")
    }

    /// The best that can be done from inside: both hang up at once. What happens to links whose
    /// packets the internet drops or refuses is in `survival.rs`.
    fn cut(&self, one: &Arc<Node>, other: &Arc<Node>) -> bool {
        [(one, other), (other, one)].into_iter().fold(false, |cut, (from, to)| {
            let link = from.peer(to.process()).and_then(|peer| peer.link());
            link.inspect(|link| link.close()).is_some() || cut
        })
    }
}

/// Processes may take so long to meet.
const PATIENCE: Duration = Duration::from_secs(20);

/// One process after another registers, then all are complete.
async fn meet(
    world: &Arc<World>,
    make: Make,
    processes: &[usize],
    settings: &Settings,
) -> Vec<Arc<Node>> {
    let token = Token::new(SECRET);
    let job = format!("conformance {}", world.jobs.fetch_add(1, Ordering::Relaxed));
    let (mut clients, mut next) = (Vec::new(), 0);
    for (process, ranks) in processes.iter().enumerate() {
        let host = world.host(process);
        let port = port(world, process);
        let identity = Arc::new(Identity::new().expect("no identity"));
        let listen = SocketAddr::new(host.address, port);
        let bind = || make.bind(listen, &token, &identity);
        let bound = host.namespace.within(bind).expect("the host's namespace can be entered");
        let address = bound.channel().address(host.address).expect("an address");
        let registration = Registration {
            job: job.clone(),
            size: Some(processes.iter().sum::<usize>() as u32),
            ranks: Ranks::Given((next..next + *ranks as u32).collect()),
            addresses: vec![(bound.channel().name().to_owned(), address)],
            machine: host.namespace.name().to_owned(),
            threads: 1,
            cores: 0,
            after: None,
            terms: Terms::default(),
            fingerprint: Some(identity.fingerprint()),
            model: String::new(),
        };
        next += *ranks as u32;
        let reach = Reach { address: world.rendezvous.url(), port: Some(port), ..Reach::default() };
        let client = Client::connect_with(&reach, &token, |_| registration.clone(), PATIENCE).await;
        clients.push((client.expect("the process registers"), bound));
    }
    let mut nodes = Vec::new();
    for (client, bound) in clients {
        let members = client.complete().await.expect("the job is complete");
        bound.outside(client.outside().clone());
        let registered = client.registered();
        let place = Place {
            process: registered.process,
            epoch: registered.epoch,
            members: members.iter().map(Member::from).collect(),
            model: client.model(),
        };
        let node = Node::new(place, vec![bound.channel()], &[], settings.clone());
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
    nodes
}

/// Where sockets that dial from a port belong.
static HOSTS: LazyLock<Mutex<HashMap<u16, Seat>>> = LazyLock::new(Mutex::default);

/// A process in a lab.
type Seat = (Weak<World>, usize);

/// A port that no other process of any test here has.
fn port(world: &Arc<World>, process: usize) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    static PLACE: Once = Once::new();
    PLACE.call_once(|| {
        dial::set_place(Box::new(|port, make| {
            let host = HOSTS.lock().get(&port).cloned();
            let Some((world, process)) = host else { return make() };
            let world = world.upgrade().ok_or(io::ErrorKind::NetworkDown)?;
            world.host(process).namespace.within(make)?
        }));
    });
    let port = NEXT.fetch_add(1, Ordering::Relaxed);
    HOSTS.lock().insert(port, (Arc::downgrade(world), process));
    port
}

/// Which channel is under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Make {
    Tcp,
    #[cfg(feature = "quic")]
    Quic,
}

impl Make {
    /// Only QUIC shows who it is.
    #[cfg_attr(not(feature = "quic"), allow(unused_variables, reason = "there is only TCP then"))]
    fn bind(self, listen: SocketAddr, token: &Token, identity: &Arc<Identity>) -> Bound {
        let (listen, token) = (listen.to_string(), token.clone());
        match self {
            Self::Tcp => Bound::Tcp(Arc::new(
                Tcp::bind(Some(&listen), None, token).expect("a port of one's own"),
            )),
            #[cfg(feature = "quic")]
            Self::Quic => {
                let identity = Arc::clone(identity);
                let bound = Quic::bind(Some(&listen), None, token, identity);
                Bound::Quic(Arc::new(bound.expect("a port of one's own")))
            }
        }
    }
}

/// The channel of a process.
enum Bound {
    Tcp(Arc<Tcp>),
    #[cfg(feature = "quic")]
    Quic(Arc<Quic>),
}

impl Bound {
    fn channel(&self) -> Arc<dyn Channel> {
        match self {
            Self::Tcp(tcp) => Arc::clone(tcp) as Arc<dyn Channel>,
            #[cfg(feature = "quic")]
            Self::Quic(quic) => Arc::clone(quic) as Arc<dyn Channel>,
        }
    }

    fn outside(&self, outside: Outside) {
        match self {
            Self::Tcp(tcp) => tcp.outside(outside),
            #[cfg(feature = "quic")]
            Self::Quic(quic) => quic.outside(outside),
        }
    }
}
