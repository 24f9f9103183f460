//! Hole punching over UDP: does what [`Punch`] says, with the endpoint's own socket. What comes
//! back is told from QUIC in [`Socket`](super::socket::Socket) and ends up here.

use super::{hub::Hub, look::Look, socket::Aside};
use crate::{
    handshake::HANDSHAKE_DEADLINE,
    interfaces,
    outside::Outside,
    punch::{Action, Failure, Punch, Shot, Sight, Wire, cookie_of},
    rendezvous::mirror,
};
use fmi_actors::{
    Node,
    channel::{DialError, Rung},
    clock::Time,
    service::Service,
};
use futures::future::join_all;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, mpsc, oneshot};

/// How long what mirrors have said counts.
const FRESH: Duration = Duration::from_secs(25);
/// How long a mirror may take, and how often it is asked meanwhile.
const LOOK: Duration = Duration::from_millis(600);
const ASK_AGAIN: Duration = Duration::from_millis(120);
/// Datagrams of others that may wait until they are looked at. More are dropped, as datagrams are.
const HEARD: usize = 256;
/// Name of the channel.
const QUIC: &str = "quic";

/// The punching of a process.
pub(super) struct Puncher {
    hub: Arc<Hub>,
    node: Weak<Node>,
    outside: Outside,
    /// The socket's own address.
    bound: SocketAddr,
    cases: Mutex<HashMap<u32, Arc<Case>>>,
    /// Which case a datagram belongs to.
    cookies: Mutex<HashMap<u64, u32>>,
    asked: Asked,
    /// What mirrors were asked before there was an endpoint.
    first: Mutex<HashMap<SocketAddr, Question>>,
    /// Locked during a look; what the last one has brought.
    looking: tokio::sync::Mutex<Vec<SocketAddr>>,
    /// How this socket is seen, and since when that is known.
    seen: Mutex<Option<(Time, Vec<SocketAddr>)>>,
}

/// Punching with one other process.
struct Case {
    peer: u32,
    punch: Mutex<Punch>,
    /// Its cookie, as it stands in the list.
    cookie: Mutex<Option<u64>>,
    waiting: Mutex<Vec<oneshot::Sender<Result<(), Failure>>>>,
    /// Its timer may be another one.
    moved: Notify,
    ticking: AtomicBool,
}

/// What a socket hears that is no QUIC, on its way to the [`Puncher`].
pub(super) struct Ears {
    asked: Asked,
    first: Vec<(SocketAddr, Question)>,
    heard: mpsc::Receiver<(SocketAddr, u64)>,
}

/// Questions to mirrors, by nonce.
type Asked = Arc<Mutex<HashMap<u64, oneshot::Sender<SocketAddr>>>>;
/// One that waits for its answer.
type Question = (u64, oneshot::Receiver<SocketAddr>);

impl Ears {
    /// To be there before the socket is read: answers may lie in it already.
    pub(super) fn open(look: &Look, outside: &Outside) -> (Self, Aside) {
        let asked: Asked = Arc::default();
        let (hears, heard) = mpsc::channel(HEARD);
        let first = look.asked(&outside.udp_mirrors).map(|(mirror, nonce)| {
            let (said, answer) = oneshot::channel();
            asked.lock().insert(nonce, said);
            (mirror, (nonce, answer))
        });
        let ears = Self { first: first.collect(), asked: Arc::clone(&asked), heard };
        // On whatever thread reads the socket: short, and without locks of others.
        let aside = Box::new(move |from, datagram: &[u8]| {
            if let Some((nonce, seen)) = mirror::answer(datagram) {
                let asked = asked.lock().remove(&nonce);
                if let Some(asked) = asked {
                    let _ = asked.send(seen);
                }
                return true;
            }
            let cookie = cookie_of(datagram);
            if let Some(cookie) = cookie {
                let _ = hears.try_send((from, cookie));
            }
            cookie.is_some()
        });
        (ears, aside)
    }
}

impl Puncher {
    /// Begins to listen for what others fire.
    pub(super) fn new(
        hub: &Arc<Hub>,
        node: &Arc<Node>,
        outside: Outside,
        bound: SocketAddr,
        Ears { asked, first, mut heard }: Ears,
    ) -> Arc<Self> {
        let puncher = Arc::new(Self {
            hub: Arc::clone(hub),
            node: Arc::downgrade(node),
            outside,
            bound,
            cases: Mutex::default(),
            cookies: Mutex::default(),
            asked,
            first: Mutex::new(first.into_iter().collect()),
            looking: tokio::sync::Mutex::default(),
            seen: Mutex::default(),
        });
        let listening = Arc::downgrade(&puncher);
        Service::get().spawn(async move {
            while let Some((from, cookie)) = heard.recv().await {
                let Some(puncher) = listening.upgrade() else { return };
                puncher.heard(from, cookie);
            }
        });
        // So that it is known when it is needed.
        let looking = Arc::clone(&puncher);
        Service::get().spawn(async move {
            looking.look().await;
        });
        puncher
    }

    /// Opens the way to a process and waits until there is a link.
    pub(super) async fn link(self: &Arc<Self>, peer: u32) -> Result<(), DialError> {
        let node = self.node.upgrade().ok_or_else(|| DialError::soft("the process has ended"))?;
        let case = self.case(peer);
        let (done, over) = oneshot::channel();
        case.waiting.lock().push(done);
        let cookie = random().map_err(DialError::soft)?;
        case.punch.lock().call(node.now(), cookie, None);
        self.work(&case);
        let mut given_up = GiveUp { puncher: self, case: &case, over: false };
        let outcome = over.await;
        given_up.over = true;
        outcome.unwrap_or(Err(Failure::Withdrawn)).map_err(DialError::soft)
    }

    /// The other side's puncher has sent a note.
    pub(super) fn told(self: &Arc<Self>, from: u32, note: &[u8]) {
        let Some(node) = self.node.upgrade() else { return };
        let case = self.case(from);
        case.punch.lock().told(node.now(), note);
        self.work(&case);
    }

    /// There is a link to a process.
    pub(super) fn linked(self: &Arc<Self>, peer: u32) {
        let Some(node) = self.node.upgrade() else { return };
        let case = self.cases.lock().get(&peer).map(Arc::clone);
        if let Some(case) = case {
            case.punch.lock().linked(node.now());
            self.work(&case);
        }
    }

    fn heard(self: &Arc<Self>, from: SocketAddr, cookie: u64) {
        let Some(node) = self.node.upgrade() else { return };
        let peer = self.cookies.lock().get(&cookie).copied();
        let Some(case) = peer.and_then(|peer| self.cases.lock().get(&peer).map(Arc::clone)) else {
            return;
        };
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        case.punch.lock().heard(node.now(), from);
        self.work(&case);
    }

    fn case(&self, peer: u32) -> Arc<Case> {
        let own = self.node.upgrade().map_or(u32::MAX, |node| node.process());
        let mut cases = self.cases.lock();
        let case = cases.entry(peer).or_insert_with(|| {
            Arc::new(Case {
                peer,
                punch: Mutex::new(Punch::new(Wire::Udp, own, peer)),
                cookie: Mutex::default(),
                waiting: Mutex::default(),
                moved: Notify::new(),
                ticking: AtomicBool::new(false),
            })
        });
        Arc::clone(case)
    }

    /// Does what the machine says, until it says nothing.
    fn work(self: &Arc<Self>, case: &Arc<Case>) {
        loop {
            let (action, datagram, cookie) = {
                let mut punch = case.punch.lock();
                let (datagram, cookie) = (punch.datagram(), punch.cookie());
                (punch.poll(), datagram, cookie)
            };
            self.index(case, cookie);
            let Some(action) = action else { break };
            tracing::trace!(process = case.peer, %action, "punching");
            match action {
                Action::Look { .. } => self.show(case),
                Action::Tell(note) => {
                    if let Some(node) = self.node.upgrade() {
                        node.tell(case.peer, QUIC, note);
                    }
                }
                Action::Fire(shots) => {
                    if let Some(datagram) = datagram {
                        self.fire(shots, datagram.to_vec());
                    }
                }
                Action::Dial(address) => self.dial(case, address),
                Action::Over(outcome) => {
                    let waiting = std::mem::take(&mut *case.waiting.lock());
                    for done in waiting {
                        let _ = done.send(outcome);
                    }
                }
            }
        }
        case.moved.notify_one();
        if case.punch.lock().is_busy() && !case.ticking.swap(true, Ordering::AcqRel) {
            let (puncher, case) = (Arc::clone(self), Arc::clone(case));
            Service::get().spawn(async move { puncher.tick(&case).await });
        }
    }

    /// Keeps the list of cookies true.
    fn index(&self, case: &Case, cookie: Option<u64>) {
        let old = std::mem::replace(&mut *case.cookie.lock(), cookie);
        if old != cookie {
            let mut cookies = self.cookies.lock();
            if let Some(old) = old {
                cookies.remove(&old);
            }
            if let Some(cookie) = cookie {
                cookies.insert(cookie, case.peer);
            }
        }
    }

    /// The machine's timer, while it is busy.
    async fn tick(self: &Arc<Self>, case: &Arc<Case>) {
        loop {
            let Some(node) = self.node.upgrade() else { return };
            let at = case.punch.lock().timer();
            if at == Time::NEVER {
                case.ticking.store(false, Ordering::Release);
                // It may have become busy in between, and nobody has begun another.
                if case.punch.lock().timer() == Time::NEVER
                    || case.ticking.swap(true, Ordering::AcqRel)
                {
                    return;
                }
                continue;
            }
            let span = at.since(node.now());
            drop(node);
            if tokio::time::timeout(span, case.moved.notified()).await.is_ok() {
                continue;
            }
            let Some(node) = self.node.upgrade() else { return };
            case.punch.lock().tick(node.now());
            self.work(case);
        }
    }

    /// Tells the machine how this side is seen, now or as soon as the mirrors have said it.
    fn show(self: &Arc<Self>, case: &Arc<Case>) {
        let (puncher, case) = (Arc::clone(self), Arc::clone(case));
        let known = puncher.known();
        Service::get().spawn(async move {
            let observed = match known {
                Some(known) => known,
                None => puncher.look().await,
            };
            let Some(node) = puncher.node.upgrade() else { return };
            let sight = Sight {
                port: puncher.bound.port(),
                own: puncher.own(),
                observed,
                spares: Vec::new(),
                round_trip: puncher.outside.round_trip,
            };
            case.punch.lock().seen(node.now(), &sight);
            puncher.work(&case);
        });
    }

    /// The addresses of the socket on this machine.
    fn own(&self) -> Vec<SocketAddr> {
        let ips = match self.bound.ip() {
            any if any.is_unspecified() => interfaces::addresses().unwrap_or_default(),
            one => vec![one],
        };
        let own = ips.into_iter().map(|ip| SocketAddr::new(ip, self.bound.port()));
        // Of the other family it cannot be reached.
        own.filter(|own| self.bound.is_ipv6() || own.is_ipv4()).collect()
    }

    /// What is known of how the socket is seen, if that is still worth something.
    fn known(&self) -> Option<Vec<SocketAddr>> {
        let now = self.node.upgrade()?.now();
        let seen = self.seen.lock();
        let (since, observed) = seen.as_ref()?;
        // Who is seen differently by each has to look again each time.
        let steady = observed.windows(2).all(|pair| pair[0] == pair[1]);
        (steady && now.since(*since) < FRESH).then(|| observed.clone())
    }

    /// Asks the mirrors how the socket is seen.
    async fn look(&self) -> Vec<SocketAddr> {
        let Ok(mut last) = self.looking.try_lock() else {
            // The one that is under way will do.
            return self.looking.lock().await.clone();
        };
        let mirrors = &self.outside.udp_mirrors;
        let observed: Vec<_> = join_all(mirrors.iter().map(|mirror| self.ask(*mirror))).await;
        let observed: Vec<_> = observed.into_iter().flatten().collect();
        if let Some(node) = self.node.upgrade().filter(|_| !observed.is_empty()) {
            *self.seen.lock() = Some((node.now(), observed.clone()));
        }
        last.clone_from(&observed);
        observed
    }

    async fn ask(&self, mirror: SocketAddr) -> Option<SocketAddr> {
        let first = self.first.lock().remove(&mirror);
        let mut is_asked = first.is_some();
        let (nonce, mut answer) = match first {
            Some(first) => first,
            None => {
                let nonce = random().ok()?;
                let (said, answer) = oneshot::channel();
                self.asked.lock().insert(nonce, said);
                (nonce, answer)
            }
        };
        let asking = async {
            loop {
                if !std::mem::replace(&mut is_asked, false) {
                    self.hub.socket.fire(mirror, &mirror::request(nonce));
                }
                tokio::select! {
                    seen = &mut answer => return seen.ok(),
                    () = tokio::time::sleep(ASK_AGAIN) => {}
                }
            }
        };
        let seen = tokio::time::timeout(LOOK, asking).await.ok().flatten();
        self.asked.lock().remove(&nonce);
        seen
    }

    fn fire(self: &Arc<Self>, shots: Vec<Shot>, datagram: Vec<u8>) {
        let Some(node) = self.node.upgrade() else { return };
        let now = node.now();
        let (due, later): (Vec<_>, Vec<_>) = shots.into_iter().partition(|shot| shot.at <= now);
        for shot in due {
            self.hub.socket.fire(shot.to, &datagram);
        }
        if later.is_empty() {
            return;
        }
        let hub = Arc::clone(&self.hub);
        Service::get().spawn(async move {
            for shot in later {
                tokio::time::sleep(shot.at.since(node.now())).await;
                hub.socket.fire(shot.to, &datagram);
            }
        });
    }

    /// The way is open.
    fn dial(self: &Arc<Self>, case: &Arc<Case>, address: SocketAddr) {
        let (puncher, case) = (Arc::clone(self), Arc::clone(case));
        Service::get().spawn(async move {
            let Some(node) = puncher.node.upgrade() else { return };
            let Some(quality) = node.quality(QUIC, Rung::Punched) else { return };
            let to = (case.peer, address);
            let dialled = puncher.hub.dial(&node, to, (Rung::Punched, quality));
            match tokio::time::timeout(HANDSHAKE_DEADLINE, dialled).await {
                Ok(Ok(())) => {
                    case.punch.lock().linked(node.now());
                    puncher.work(&case);
                }
                Ok(Err(error)) => {
                    tracing::debug!(process = case.peer, %address, %error, "punched for nothing");
                }
                Err(_) => tracing::debug!(process = case.peer, %address, "punched, no answer"),
            }
        });
    }
}

impl fmt::Debug for Puncher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Puncher").field("bound", &self.bound).finish_non_exhaustive()
    }
}

/// Who waited for a link does not any more.
struct GiveUp<'a> {
    puncher: &'a Arc<Puncher>,
    case: &'a Arc<Case>,
    over: bool,
}

impl Drop for GiveUp<'_> {
    fn drop(&mut self) {
        let mut waiting = self.case.waiting.lock();
        waiting.retain(|done| !done.is_closed());
        let alone = waiting.is_empty();
        drop(waiting);
        if !self.over
            && alone
            && let Some(node) = self.puncher.node.upgrade()
        {
            self.case.punch.lock().withdraw(node.now());
            self.puncher.work(self.case);
        }
    }
}

fn random() -> Result<u64, getrandom::Error> {
    getrandom::u64()
}
