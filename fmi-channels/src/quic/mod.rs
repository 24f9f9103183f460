//! Channel `quic`: encrypted connections between processes over one UDP socket each.
//!
//! Both sides show the certificate that the rendezvous knows of them
//! ([`identity`](crate::identity)), and greet each other under the job's token inside.

mod alarm;
mod hub;
mod link;
mod look;
mod punching;
mod reader;
mod runtime;
mod socket;
mod transport;
mod watch;
mod writer;

use crate::{engine, handshake::Token, identity::Identity, listen, outside::Outside};
use fmi_actors::{
    Member, Node, Result,
    channel::{Channel, DialError, Rung, Way},
    service::Service,
};
use futures::future::{AbortHandle, abortable};
use hub::Hub;
use look::Look;
use parking_lot::Mutex;
use punching::{Ears, Puncher};
use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::net::lookup_host;

/// Start that another channel's direct way gets, if there is one: a TCP connection costs less.
const DIRECT_LATER: Duration = Duration::from_millis(100);
/// Start that a direct way gets where it is likely to lead to the peer.
const PUNCH_LATER: Duration = Duration::from_millis(300);

/// The QUIC channel of a process.
#[derive(Debug)]
pub struct Quic {
    token: Token,
    identity: Arc<Identity>,
    advertise: Option<String>,
    bound: SocketAddr,
    stage: Arc<Mutex<Stage>>,
    outside: OnceLock<Outside>,
}

#[derive(Debug)]
enum Stage {
    Bound { socket: UdpSocket, look: Look },
    Started { hub: Arc<Hub>, acceptor: AbortHandle, puncher: Option<Arc<Puncher>> },
    Stopped,
}

impl Quic {
    /// Takes a UDP port: `listen` (`HOST:PORT`; port 0 for a free one), by default on all
    /// interfaces. `advertise` replaces the address that peers are told; without a port it gets
    /// ours.
    ///
    /// # Errors
    /// [`Error::Listen`](fmi_actors::Error::Listen) when the address is taken or not ours.
    pub fn bind(
        listen: Option<&str>,
        advertise: Option<String>,
        token: Token,
        identity: Arc<Identity>,
    ) -> Result<Self> {
        let (bound, socket) = listen::on(listen, |address| {
            let socket = socket::bind(address)?;
            Ok((socket.local_addr()?, socket))
        })?;
        let stage = Arc::new(Mutex::new(Stage::Bound { socket, look: Look::default() }));
        Ok(Self { token, identity, advertise, bound, stage, outside: OnceLock::new() })
    }

    /// The address of its socket.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.bound
    }

    /// Says what this process knows of the way out; without, it does not punch. Counts once, and
    /// before the channel is started. It begins to find out how its socket is seen there.
    pub fn outside(&self, outside: Outside) {
        self.look(&outside.udp_mirrors);
        let _ = self.outside.set(outside);
    }

    /// Asks mirrors how its socket is seen, before it is known whether there are any. Nothing
    /// depends on it, but what they answer is known sooner.
    pub fn look(&self, mirrors: &[SocketAddr]) {
        if let Stage::Bound { socket, look } = &mut *self.stage.lock() {
            look.ask(socket, mirrors);
        }
    }

    /// The way that has to be opened from both sides.
    fn punched(&self, to: &Member) -> Option<Way> {
        let outside = self.outside.get()?;
        let seen_at_home = |seen: SocketAddr| {
            to.addresses.iter().any(|(_, address)| {
                let own = address.parse::<SocketAddr>();
                own.is_ok_and(|own| own.ip().to_canonical() == seen.ip().to_canonical())
            })
        };
        let ours = outside.observed.ip().to_canonical();
        let after = match to.observed {
            // The same translation, or none: the direct way is likely to lead there.
            Some(seen) if seen.ip().to_canonical() == ours || seen_at_home(seen) => PUNCH_LATER,
            Some(_) => Duration::ZERO,
            None => PUNCH_LATER,
        };
        let (process, stage) = (to.process, Arc::clone(&self.stage));
        Some(Way {
            rung: Rung::Punched,
            name: "quic punched".to_owned(),
            after,
            dial: Box::new(move |_| {
                let puncher = match &*stage.lock() {
                    Stage::Started { puncher, .. } => puncher.clone(),
                    _ => None,
                };
                Box::pin(async move {
                    let puncher =
                        puncher.ok_or_else(|| DialError::soft("QUIC does not run here"))?;
                    puncher.link(process).await
                })
            }),
        })
    }
}

impl Channel for Quic {
    fn name(&self) -> &'static str {
        "quic"
    }

    fn address(&self, own: IpAddr) -> Option<String> {
        Some(listen::advertised(self.advertise.as_deref(), self.bound, own))
    }

    fn start(&self, node: &Arc<Node>) {
        let mut stage = self.stage.lock();
        let Stage::Bound { socket, look } = std::mem::replace(&mut *stage, Stage::Stopped) else {
            return;
        };
        let (identity, token) = (Arc::clone(&self.identity), self.token.clone());
        let outside = self.outside.get().filter(|_| node.has_post());
        let (ears, aside) = outside.map(|outside| Ears::open(&look, outside)).unzip();
        match Hub::new(socket, identity, token, node.settings().silent, aside) {
            Ok(hub) => {
                let accept = Arc::clone(&hub).accept_all(Arc::downgrade(node));
                let (accept, acceptor) = abortable(accept);
                Service::get().spawn(async move {
                    let _ = accept.await;
                });
                let puncher = outside.zip(ears).map(|(outside, ears)| {
                    Puncher::new(&hub, node, outside.clone(), self.bound, ears)
                });
                if let Some(puncher) = &puncher {
                    hub.set_puncher(puncher);
                }
                *stage = Stage::Started { hub, acceptor, puncher };
            }
            Err(error) => tracing::error!(%error, "cannot use QUIC"),
        }
    }

    fn ways(&self, node: &Arc<Node>, to: &Member) -> Vec<Way> {
        let own = to.addresses.iter().filter(|(channel, _)| channel == self.name());
        let direct = own.map(|(_, address)| {
            let (node, stage) = (Arc::downgrade(node), Arc::clone(&self.stage));
            let (process, address) = (to.process, address.clone());
            Way {
                rung: Rung::Direct,
                name: format!("quic {address}"),
                after: DIRECT_LATER,
                dial: Box::new(move |quality| {
                    let (node, address) = (node.upgrade(), address.clone());
                    let hub = hub_of(&stage);
                    Box::pin(async move {
                        let node = node.ok_or_else(|| DialError::soft("the process has ended"))?;
                        dial(&hub?, &node, (process, &address), quality).await
                    })
                }),
            }
        });
        let mut ways: Vec<_> = direct.collect();
        // Who has no address of this channel does not speak it.
        if !ways.is_empty() && node.has_post() {
            ways.extend(self.punched(to));
        }
        ways
    }

    fn told(&self, _: &Arc<Node>, from: u32, note: &[u8]) {
        let puncher = match &*self.stage.lock() {
            Stage::Started { puncher, .. } => puncher.clone(),
            _ => None,
        };
        if let Some(puncher) = puncher {
            puncher.told(from, note);
        }
    }

    fn stop(&self) {
        let stage = std::mem::replace(&mut *self.stage.lock(), Stage::Stopped);
        if let Stage::Started { hub, acceptor, .. } = stage {
            acceptor.abort();
            hub.refuse();
        }
    }
}

fn hub_of(stage: &Mutex<Stage>) -> Result<Arc<Hub>, DialError> {
    match &*stage.lock() {
        Stage::Started { hub, .. } => Ok(Arc::clone(hub)),
        Stage::Bound { .. } | Stage::Stopped => Err(DialError::soft("QUIC does not run here")),
    }
}

/// Tries all addresses of a name.
async fn dial(
    hub: &Arc<Hub>,
    node: &Arc<Node>,
    (process, address): (u32, &str),
    quality: u16,
) -> Result<(), DialError> {
    let mut last = DialError::soft("the name has no address");
    for candidate in lookup_host(address).await.map_err(DialError::soft)? {
        match hub.dial(node, (process, candidate), (Rung::Direct, quality)).await {
            Ok(()) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}
