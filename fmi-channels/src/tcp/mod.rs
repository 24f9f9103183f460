//! Channel `tcp`: one connection between two processes, dialled on demand.
//!
//! The acceptor is an actor on the service thread. A connection opens with an HMAC challenge
//! under the job's token (`begin`); after it frames follow each other, nothing else, in TLS if the
//! link is to be [encrypted](Protection::Tls). Plain TCP authenticates the peer at the beginning, no
//! more.

mod beat;
pub(crate) mod begin;
mod link;
mod protection;
mod punch;
mod stream;
mod tls;

pub use protection::Protection;
pub(crate) use protection::disagreement;

use crate::{
    dial,
    greeting::SUPERSEDED,
    handshake::{BROKE_OFF, HANDSHAKE_DEADLINE, Token},
    listen,
    outside::Outside,
};
use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, WrapFuture,
};
use begin::Terms;
use fmi_actors::{
    Error, Member, Node, Result,
    channel::{Channel, DialError, Rung, Way},
    service::Service,
};
use parking_lot::Mutex;
use punch::Puncher;
use socket2::{Domain, Socket, Type};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream, lookup_host},
    sync::Semaphore,
};

/// Connections that may be in their handshake at once.
const UNKNOWN_PEERS: usize = 256;
const BACKLOG: i32 = 4096;
const NAME: &str = "tcp";

/// The TCP channel of a process.
#[derive(Debug)]
pub struct Tcp {
    terms: Terms,
    advertise: Option<String>,
    bound: SocketAddr,
    listener: Mutex<Option<std::net::TcpListener>>,
    acceptor: Arc<Mutex<Option<Addr<Acceptor>>>>,
    /// Punches links, as soon as it is known how this process is seen from outside.
    puncher: OnceLock<Arc<Puncher>>,
}

impl Tcp {
    /// Listens on `listen` (`HOST:PORT`; port 0 for a free one), by default on all interfaces.
    /// `advertise` replaces the address that peers are told; without a port it gets ours.
    ///
    /// # Errors
    /// [`Error::Listen`] when the address is taken or not ours.
    pub fn bind(listen: Option<&str>, advertise: Option<String>, token: Token) -> Result<Self> {
        let (bound, listener) = listen::on(listen, |address| {
            let listener = listener(address)?;
            Ok((listener.local_addr()?, listener))
        })?;
        let protection = Protection::default();
        Ok(Self {
            terms: Terms { channel: NAME, rung: Rung::Direct, token, protection },
            advertise,
            bound,
            listener: Mutex::new(Some(listener)),
            acceptor: Arc::default(),
            puncher: OnceLock::new(),
        })
    }

    /// With links that are protected so, instead of [plain](Protection::Plain) ones.
    #[must_use]
    pub fn protected(mut self, protection: Protection) -> Self {
        self.terms.protection = protection;
        self
    }

    /// The address that it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.bound
    }

    /// Says what this process knows of the way out; without, it does not punch. Counts once.
    pub fn outside(&self, outside: Outside) {
        let _ = self.puncher.set(Puncher::new(self.terms.clone(), self.bound, outside));
    }
}

impl Channel for Tcp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn address(&self, own: IpAddr) -> Option<String> {
        Some(listen::advertised(self.advertise.as_deref(), self.bound, own))
    }

    fn start(&self, node: &Arc<Node>) {
        let Some(listener) = self.listener.lock().take() else { return };
        let acceptor = Acceptor {
            node: Arc::downgrade(node),
            terms: self.terms.clone(),
            listener: Some(listener),
        };
        let address = Arc::clone(&self.acceptor);
        Service::get().spawn_fn(move || *address.lock() = Some(acceptor.start()));
    }

    fn ways(&self, node: &Arc<Node>, to: &Member) -> Vec<Way> {
        let own = to.addresses.iter().filter(|(channel, _)| channel == self.name());
        let punched = self.puncher.get().and_then(|puncher| puncher.way(node, to));
        own.map(|(_, address)| {
            let (node, terms) = (Arc::downgrade(node), self.terms.clone());
            let (process, address) = (to.process, address.clone());
            Way {
                rung: Rung::Direct,
                name: format!("tcp {address}"),
                after: Duration::ZERO,
                dial: Box::new(move |quality| {
                    let (node, terms, address) = (node.upgrade(), terms.clone(), address.clone());
                    Box::pin(async move {
                        let node = node.ok_or_else(|| DialError::soft("the process has ended"))?;
                        let stream = connect(&address).await.map_err(DialError::soft)?;
                        begin::open(stream, &node, process, &terms, quality, &address).await
                    })
                }),
            }
        })
        .chain(punched)
        .collect()
    }

    fn told(&self, node: &Arc<Node>, from: u32, note: &[u8]) {
        if let Some(puncher) = self.puncher.get() {
            puncher.told(node, from, note);
        }
    }

    fn stop(&self) {
        self.listener.lock().take();
        if let Some(puncher) = self.puncher.get() {
            puncher.stop();
        }
        // In turn behind its start.
        let address = Arc::clone(&self.acceptor);
        Service::get().spawn_fn(move || {
            if let Some(acceptor) = address.lock().take() {
                acceptor.do_send(Stop);
            }
        });
    }
}

/// Accepts connections for one node.
struct Acceptor {
    node: Weak<Node>,
    terms: Terms,
    listener: Option<std::net::TcpListener>,
}

struct Stop;

impl Message for Stop {
    type Result = ();
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Acceptor")
    }
}

impl Actor for Acceptor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        if let Some(listener) = self.listener.take() {
            let accept = accept_all(listener, self.node.clone(), self.terms.clone());
            context.spawn(accept.into_actor(self).map(|(), _, context| context.stop()));
        }
    }
}

impl Handler<Stop> for Acceptor {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Self::Context) {
        context.stop();
    }
}

async fn accept_all(listener: std::net::TcpListener, node: Weak<Node>, terms: Terms) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "cannot accept links"),
    };
    let unknown = Arc::new(Semaphore::new(UNKNOWN_PEERS));
    loop {
        let Ok(permit) = Arc::clone(&unknown).acquire_owned().await else { return };
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: others may close some.
                tracing::warn!(%error, "cannot accept a link");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(node) = node.upgrade() else { return };
        let terms = terms.clone();
        actix_rt::spawn(async move {
            let _permit = permit;
            let at = from.to_string();
            let begun = begin::accept(stream, &node, &terms, &at);
            let greeted = tokio::time::timeout(HANDSHAKE_DEADLINE, begun);
            match greeted.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) if error.to_string().ends_with(SUPERSEDED) => {
                    tracing::debug!(%from, "both sides dialled");
                }
                Ok(Err(error)) if error.to_string().contains(BROKE_OFF) => {
                    tracing::debug!(%from, %error, "dropped a connection");
                }
                Ok(Err(error)) => tracing::warn!(%from, %error, "dropped a connection"),
                Err(_) => tracing::warn!(%from, "dropped a connection that said nothing"),
            }
        });
    }
}

/// Tries all addresses of a name.
async fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for candidate in lookup_host(address).await? {
        match TcpStream::connect(candidate).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn listener(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    dial::share(&socket)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn system(what: &'static str, error: &io::Error) -> Error {
    Error::System { what, reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(advertise: Option<&str>) -> Tcp {
        Tcp::bind(None, advertise.map(str::to_owned), Token::new("secret")).unwrap()
    }

    #[test]
    fn advertises_what_peers_can_dial() {
        let own: IpAddr = "10.1.2.3".parse().unwrap();
        for (advertise, address) in [
            (None, "10.1.2.3:PORT"),
            (Some("gateway"), "gateway:PORT"),
            (Some("gateway:77"), "gateway:77"),
            (Some("fe80::1"), "[fe80::1]:PORT"),
            (Some("[fe80::1]:77"), "[fe80::1]:77"),
        ] {
            let tcp = tcp(advertise);
            let expected = address.replace("PORT", &tcp.local_addr().port().to_string());
            assert_eq!(tcp.address(own), Some(expected));
        }
    }

    #[test]
    fn a_port_in_use_is_named() {
        let taken = tcp(None).local_addr().port();
        let first = Tcp::bind(Some(&format!("127.0.0.1:{taken}")), None, Token::new("a"));
        let again = Tcp::bind(
            Some(&format!("127.0.0.1:{}", first.as_ref().unwrap().local_addr().port())),
            None,
            Token::new("a"),
        );
        assert!(matches!(again, Err(Error::Listen { .. })), "{again:?}");
    }
}
