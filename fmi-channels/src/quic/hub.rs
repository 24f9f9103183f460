//! The endpoint of a process: one socket for all peers, which dials and accepts.

use super::{
    alarm::Alarm,
    engine::Engine,
    link::QuicLink,
    punching::Puncher,
    runtime::{OnEngine, serve},
    socket::{Aside, Socket},
    transport::{self, KNOWN_WINDOW, Route},
    watch::look,
};
use crate::{
    greeting::{self, SUPERSEDED},
    handshake::{BINDING, HANDSHAKE_DEADLINE, Token},
    identity::{Fingerprint, Identity, NAME, fingerprint},
    watch::Watch,
};
use fmi_actors::{
    Error, LinkRank, Node, Result,
    channel::{DialError, Rung},
    service::Service,
};
use futures::FutureExt;
use quinn::{
    ClientConfig, Connection, Endpoint, EndpointConfig, Incoming, ServerConfig,
    ValidationTokenConfig, VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rustls::pki_types::CertificateDer;
use std::{
    fmt,
    net::{SocketAddr, UdpSocket},
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};
use tokio::sync::Semaphore;

/// The protocol that both sides name.
const ALPN: &[u8] = b"fmi";
/// What both sides derive the secret from under which they greet each other.
const EXPORTER: &[u8] = b"EXPORTER-fmi-link";
/// Connections that may be in their handshake at once, and from how many on a peer has to show
/// that it is where it says.
const UNKNOWN_PEERS: usize = 256;
const UNPROVEN_PEERS: usize = 64;
/// Bytes of a connection that may wait until it is looked at, and of all.
const INCOMING: u64 = 64 << 10;
const ALL_INCOMING: u64 = 4 << 20;

/// The endpoint of a process, and what it runs on. Links hold it.
pub(super) struct Hub {
    pub(super) engine: Arc<Engine>,
    pub(super) alarm: Arc<Alarm>,
    pub(super) socket: Arc<Socket>,
    pub(super) watch: Arc<Watch>,
    endpoint: Endpoint,
    identity: Arc<Identity>,
    token: Token,
    silent: Duration,
    /// Told of links.
    puncher: OnceLock<Weak<Puncher>>,
}

impl Hub {
    /// Makes an endpoint of a socket. What is no QUIC goes to `aside`.
    ///
    /// # Errors
    /// [`Error::System`] when the socket cannot be used.
    pub(super) fn new(
        io: UdpSocket,
        identity: Arc<Identity>,
        token: Token,
        silent: Duration,
        aside: Option<Aside>,
    ) -> Result<Arc<Self>> {
        let engine = Arc::new(Engine::default());
        let alarm = Alarm::new(Arc::clone(&engine));
        let socket = Socket::new(io, Arc::clone(&engine), aside).map_err(|error| failed(&error))?;
        let runtime = OnEngine { engine: Arc::clone(&engine), alarm: Arc::clone(&alarm) };
        let mut config = EndpointConfig::default();
        // So that what is no QUIC can be told by its first byte.
        config.grease_quic_bit(false);
        config.max_udp_payload_size(65_527).map_err(|error| failed(&error))?;
        let endpoint = Endpoint::new_with_abstract_socket(
            config,
            None,
            Arc::clone(&socket) as Arc<dyn quinn::AsyncUdpSocket>,
            Arc::new(runtime),
        );
        let endpoint = endpoint.map_err(|error| failed(&error))?;
        let (driven, watched) = (Arc::clone(&engine), Arc::clone(&socket));
        let watch = Watch::new(move || look(Arc::clone(&driven), Arc::clone(&watched)).boxed());
        let (serving, ringing) = (Arc::clone(&engine), Arc::clone(&alarm));
        let (draining, watching) = (Arc::clone(&socket), Arc::clone(&watch));
        Service::get().spawn(serve(serving, ringing, draining, watching));
        Ok(Arc::new(Self {
            engine,
            alarm,
            socket,
            watch,
            endpoint,
            identity,
            token,
            silent,
            puncher: OnceLock::new(),
        }))
    }

    /// Says who punches here.
    pub(super) fn set_puncher(&self, puncher: &Arc<Puncher>) {
        let _ = self.puncher.set(Arc::downgrade(puncher));
    }

    /// Accepts connections, on the service thread, until it is aborted or the node goes.
    pub(super) async fn accept_all(self: Arc<Self>, node: Weak<Node>) {
        let server = match self.server() {
            Ok(server) => server,
            Err(error) => return tracing::error!(%error, "cannot accept links"),
        };
        self.endpoint.set_server_config(Some(server.clone()));
        let unknown = Arc::new(Semaphore::new(UNKNOWN_PEERS));
        while let Some(incoming) = self.endpoint.accept().await {
            let from = incoming.remote_address();
            let free = unknown.available_permits();
            if free < UNKNOWN_PEERS - UNPROVEN_PEERS && !incoming.remote_address_validated() {
                // Costs nothing here, and an answer from there.
                let _ = incoming.retry();
                continue;
            }
            let Ok(permit) = Arc::clone(&unknown).try_acquire_owned() else {
                incoming.ignore();
                continue;
            };
            let Some(node) = node.upgrade() else { return };
            let (hub, server) = (Arc::clone(&self), server.clone());
            actix_rt::spawn(async move {
                let _permit = permit;
                let greeted = hub.greet(incoming, server, &node);
                match tokio::time::timeout(HANDSHAKE_DEADLINE, greeted).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) if error.to_string().ends_with(SUPERSEDED) => {
                        tracing::debug!(%from, "both sides dialled");
                    }
                    Ok(Err(error)) => tracing::warn!(%from, %error, "dropped a connection"),
                    Err(_) => tracing::warn!(%from, "dropped a connection that said nothing"),
                }
            });
        }
    }

    /// Takes no more connections. Those there are stay.
    pub(super) fn refuse(&self) {
        self.endpoint.set_server_config(None);
    }

    /// Dials a process at an address, and links to it.
    pub(super) async fn dial(
        self: &Arc<Self>,
        node: &Arc<Node>,
        (process, address): (u32, SocketAddr),
        (rung, quality): (Rung, u16),
    ) -> Result<(), DialError> {
        let peer = node.peer(process).ok_or_else(|| DialError::soft("no such process"))?;
        let Some(expected) = peer.member().fingerprint else {
            let reason = "its certificate is not known".to_owned();
            return Err(DialError { reason, fatal: true });
        };
        let config = self.client(expected, Route::to(address)).map_err(DialError::soft)?;
        let connecting = self.endpoint.connect_with(config, address, NAME);
        let connection = connecting.map_err(DialError::soft)?.await.map_err(DialError::soft)?;
        let ends = Ends { connection, address };
        let (send, receive) = ends.connection.open_bi().await.map_err(DialError::soft)?;
        let mut stream = tokio::io::join(receive, send);
        let secret = ends.secret().map_err(DialError::soft)?;
        let terms = (quality, &secret);
        let at = address.to_string();
        let rank =
            greeting::open_bound(&mut stream, node, process, &self.token, terms, &at).await?;
        let (receive, send) = stream.into_inner();
        self.attach(ends, rung, (send, receive), (node, process, rank))
            .await
            .map_err(DialError::soft)
    }

    /// The accepting side of a link's beginning.
    async fn greet(
        self: &Arc<Self>,
        incoming: Incoming,
        mut server: ServerConfig,
        node: &Arc<Node>,
    ) -> Result<()> {
        let address = incoming.remote_address();
        let mut route = Route::to(address);
        // It may have come to another of our addresses than the one that leads there.
        route.inside |= incoming.local_ip() == Some(address.ip());
        server.transport_config(Arc::new(self.transport(route)));
        let connecting = incoming.accept_with(Arc::new(server)).map_err(|e| broken(address, &e))?;
        let connection = connecting.await.map_err(|error| broken(address, &error))?;
        let ends = Ends { connection, address };
        let shown = ends.shown().ok_or_else(|| broken(address, &"it shows no certificate"))?;
        if !node.roster().members().iter().any(|member| member.fingerprint == Some(shown)) {
            ends.connection.close(VarInt::from_u32(1), b"unknown certificate");
            return Err(broken(address, &"its certificate is none of this job's"));
        }
        let stream = ends.connection.accept_bi().await;
        let (send, receive) = stream.map_err(|error| broken(address, &error))?;
        let mut stream = tokio::io::join(receive, send);
        let secret = ends.secret()?;
        let at = address.to_string();
        let accepted = greeting::accept_bound(&mut stream, node, &self.token, &secret, &at).await;
        let (receive, mut send) = stream.into_inner();
        let (process, rank) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // What it is told has to arrive before the connection goes.
                let _ = send.finish();
                let _ = tokio::time::timeout(HANDSHAKE_DEADLINE, send.stopped()).await;
                return Err(error);
            }
        };
        let member = node.peer(process);
        if member.is_none_or(|peer| peer.member().fingerprint != Some(shown)) {
            ends.connection.close(VarInt::from_u32(1), b"another's certificate");
            return Err(broken(address, &"it shows the certificate of another process"));
        }
        // It knows on which way it has come.
        let rung = node.rung(rank.quality).unwrap_or(Rung::Direct);
        let at = ends.address;
        self.attach(ends, rung, (send, receive), (node, process, rank))
            .await
            .map_err(|error| broken(at, &error))
    }

    async fn attach(
        self: &Arc<Self>,
        ends: Ends,
        rung: Rung,
        first: (quinn::SendStream, quinn::RecvStream),
        (node, process, rank): (&Arc<Node>, u32, LinkRank),
    ) -> Result<(), quinn::WriteError> {
        ends.connection.set_receive_window(VarInt::from_u32(KNOWN_WINDOW));
        let to = (node, process);
        let link = QuicLink::begin(self, (ends.connection, rung), first, to).await?;
        // It is closed if it is not taken.
        let taken = node.peer(process).is_some_and(|peer| peer.attach(link.clone(), rank));
        if !taken {
            return Ok(());
        }
        link.open();
        if let Some(puncher) = self.puncher.get().and_then(Weak::upgrade) {
            puncher.linked(process);
        }
        Ok(())
    }

    fn client(&self, peer: Fingerprint, route: Route) -> Result<ClientConfig> {
        let mut tls = self.identity.opener(peer)?;
        tls.alpn_protocols = vec![ALPN.to_vec()];
        tls.resumption = rustls::client::Resumption::disabled();
        let crypto = QuicClientConfig::try_from(tls).map_err(|error| failed(&error))?;
        let mut config = ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(self.transport(route)));
        Ok(config)
    }

    fn server(&self) -> Result<ServerConfig> {
        let mut tls = self.identity.acceptor()?;
        tls.alpn_protocols = vec![ALPN.to_vec()];
        tls.send_tls13_tickets = 0;
        let crypto = QuicServerConfig::try_from(tls).map_err(|error| failed(&error))?;
        let mut tokens = ValidationTokenConfig::default();
        tokens.sent(0);
        let mut config = ServerConfig::with_crypto(Arc::new(crypto));
        config
            .validation_token_config(tokens)
            .max_incoming(UNKNOWN_PEERS)
            .incoming_buffer_size(INCOMING)
            .incoming_buffer_size_total(ALL_INCOMING);
        Ok(config)
    }

    fn transport(&self, route: Route) -> quinn::TransportConfig {
        transport::config(route, self.silent, self.socket.receive_buffer())
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// A connection and where it leads.
struct Ends {
    connection: Connection,
    address: SocketAddr,
}

impl Ends {
    /// What both ends of this connection know, and nobody else.
    fn secret(&self) -> Result<[u8; BINDING]> {
        let mut secret = [0; BINDING];
        let exported = self.connection.export_keying_material(&mut secret, EXPORTER, b"");
        exported.map_err(|_| broken(self.address, &"it has no keys"))?;
        Ok(secret)
    }

    /// The fingerprint of the peer's certificate.
    fn shown(&self) -> Option<Fingerprint> {
        let chain = self.connection.peer_identity()?;
        let chain = chain.downcast::<Vec<CertificateDer<'static>>>().ok()?;
        chain.first().map(fingerprint)
    }
}

fn failed(error: &dyn fmt::Display) -> Error {
    Error::System { what: "a QUIC endpoint", reason: error.to_string() }
}

fn broken(at: SocketAddr, why: &dyn fmt::Display) -> Error {
    Error::System { what: "a QUIC connection", reason: format!("{at}: {why}") }
}
