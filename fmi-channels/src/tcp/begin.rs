//! How a connection becomes a link.
//!
//! 1. The [greeting], in the clear: both prove that they hold the token and say which process they
//!    are, whom they mean and how the link is to be protected. It also settles who opened, where
//!    both did.
//! 2. If the link is encrypted, TLS 1.3. The opener is its client. Both show their certificates
//!    and take only the one whose fingerprint the rendezvous told of the process that the greeting
//!    named.
//! 3. Inside of it both prove once more that they hold the token, over what only the two ends of
//!    one TLS connection know (its exporter). So it is not enough to make the rendezvous tell
//!    other fingerprints: who sits in the middle has two connections and no token.

use super::{
    Protection, beat, link::TcpLink, protection::DISAGREE, stream::Stream, system, tls::Tls,
};
use crate::{
    greeting,
    handshake::{HANDSHAKE_DEADLINE, Role, Token},
    identity::{self, Fingerprint, Identity, fingerprint},
};
use fmi_actors::{
    Error, LinkRank, Node, Result,
    channel::{DialError, Rung},
};
use hmac::{Hmac, Mac};
use rustls::{
    Connection, client::Resumption, pki_types::ServerName, server::NoServerSessionStorage,
};
use sha2::Sha256;
use socket2::{SockRef, Socket, TcpKeepalive};
use std::{fmt, io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// What the links of a channel have in common.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pub(crate) channel: &'static str,
    /// Of links that are dialled; what is accepted may be another.
    pub(crate) rung: Rung,
    pub(crate) token: Token,
    pub(crate) protection: Protection,
}

/// What has been settled about a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Greeted {
    /// This side's part.
    pub(crate) role: Role,
    /// The process at the other end.
    pub(crate) process: u32,
    /// To attach the link with.
    pub(crate) rank: LinkRank,
    pub(crate) rung: Rung,
}

/// Makes a connection that this side has opened a link.
pub(crate) async fn open(
    mut stream: TcpStream,
    node: &Arc<Node>,
    process: u32,
    terms: &Terms,
    quality: u16,
    at: &str,
) -> Result<(), DialError> {
    tune(&stream, node).map_err(DialError::soft)?;
    let bound = (quality, terms.protection.word());
    let rank = greeting::open(&mut stream, node, process, &terms.token, bound, at)
        .await
        // Nothing will change that.
        .map_err(|error| DialError {
            fatal: error.fatal || error.reason.contains(DISAGREE),
            ..error
        })?;
    let greeted = Greeted { role: Role::Opener, process, rank, rung: terms.rung };
    attach(stream, node, greeted, terms, at).await.map_err(DialError::soft)
}

/// Makes a connection that the other side has opened a link. The caller limits the time.
pub(crate) async fn accept(
    mut stream: TcpStream,
    node: &Arc<Node>,
    terms: &Terms,
    at: &str,
) -> Result<()> {
    tune(&stream, node)?;
    let word = terms.protection.word();
    let (process, rank) = greeting::accept(&mut stream, node, &terms.token, word, at).await?;
    let rung = match terms.rung {
        Rung::Relay => Rung::Relay,
        // A shot of one who punches comes in here, if it has not met one of ours.
        other => node.rung(rank.quality).unwrap_or(other),
    };
    let greeted = Greeted { role: Role::Acceptor, process, rank, rung };
    attach(stream, node, greeted, terms, at).await
}

/// Makes a connection that has been greeted a link.
pub(crate) async fn attach(
    stream: TcpStream,
    node: &Arc<Node>,
    Greeted { role, process, rank, rung }: Greeted,
    terms: &Terms,
    at: &str,
) -> Result<()> {
    let Some(peer) = node.peer(process) else { return Ok(()) };
    let stream = match &terms.protection {
        Protection::Plain | Protection::Checksum => Stream::Plain(into_socket(stream)?),
        Protection::Tls(identity) => {
            let pinned = peer.member().fingerprint.ok_or_else(|| {
                failed(at, &"no fingerprint of its certificate is known, so it cannot be trusted")
            })?;
            let secured = secure(stream, role, identity, pinned, &terms.token, at);
            match tokio::time::timeout(HANDSHAKE_DEADLINE, secured).await {
                Ok(tls) => Stream::Tls(Box::new(tls?)),
                Err(_) => return Err(failed(at, &"it has stopped answering")),
            }
        }
    };
    let checked = matches!(terms.protection, Protection::Checksum);
    let link = TcpLink::new(stream, (terms.channel, rung), checked, node, process);
    if link.heard().is_some() {
        beat::start(&link, node.settings().silent);
    }
    peer.attach(link, rank);
    Ok(())
}

/// No waiting for company, and the kernel watches whether the peer's machine lives.
pub(crate) fn tune(stream: &TcpStream, node: &Node) -> Result<()> {
    let silent = node.settings().silent.max(Duration::from_secs(1));
    let probe = (silent / 4).max(Duration::from_secs(1));
    let keepalive = TcpKeepalive::new().with_time(probe).with_interval(probe).with_retries(3);
    let socket = SockRef::from(stream);
    if stream.peer_addr().is_ok_and(|peer| peer.ip().to_canonical().is_loopback()) {
        // Where the system's choice paces what it sends (BBR does), a large message inside the
        // machine takes twice the time, and there is no congestion to be careful of. Not every
        // user may choose; then it stays as it is.
        let _ = ["cubic", "reno"]
            .iter()
            .find(|name| socket.set_tcp_congestion(name.as_bytes()).is_ok());
    }
    socket
        .set_tcp_nodelay(true)
        .and_then(|()| socket.set_tcp_keepalive(&keepalive))
        .and_then(|()| socket.set_tcp_user_timeout(Some(silent)))
        .map_err(|error| system("tune a connection", &error))
}

/// TLS and the proof inside of it.
async fn secure(
    stream: TcpStream,
    role: Role,
    identity: &Identity,
    pinned: Fingerprint,
    token: &Token,
    at: &str,
) -> Result<Tls> {
    let (stream, connection) = match role {
        Role::Opener => {
            let mut config = identity.opener(pinned)?;
            // A link is not resumed, it begins anew.
            config.resumption = Resumption::disabled();
            let name = ServerName::try_from(identity::NAME).map_err(|error| failed(at, &error))?;
            let connect = TlsConnector::from(Arc::new(config)).connect(name, stream);
            let mut stream = connect.await.map_err(|error| failed(at, &error))?;
            let secret = stream.get_ref().1.export_keying_material([0; 32], EXPORTER, None);
            prove(&mut stream, role, token, secret, at).await?;
            let (stream, connection) = stream.into_inner();
            (stream, Connection::Client(connection))
        }
        Role::Acceptor => {
            let mut config = identity.acceptor()?;
            config.send_tls13_tickets = 0;
            config.session_storage = Arc::new(NoServerSessionStorage {});
            let accept = TlsAcceptor::from(Arc::new(config)).accept(stream);
            let mut stream = accept.await.map_err(|error| failed(at, &error))?;
            let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            if shown.map(fingerprint) != Some(pinned) {
                return Err(failed(at, &ANOTHER));
            }
            let secret = stream.get_ref().1.export_keying_material([0; 32], EXPORTER, None);
            prove(&mut stream, role, token, secret, at).await?;
            let (stream, connection) = stream.into_inner();
            (stream, Connection::Server(connection))
        }
    };
    Ok(Tls::new(into_socket(stream)?, connection))
}

const EXPORTER: &[u8] = b"EXPORTER-fmi-link";
const ANOTHER: &str = "it shows another certificate than the process it says it is";
const IN_THE_MIDDLE: &str = "somebody sits in the middle of this connection";

/// Both prove that they hold the token, over the secret of this very connection.
async fn prove<S>(
    stream: &mut S,
    role: Role,
    token: &Token,
    secret: Result<[u8; 32], rustls::Error>,
    at: &str,
) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let secret = secret.map_err(|error| failed(at, &error))?;
    let other = match role {
        Role::Opener => Role::Acceptor,
        Role::Acceptor => Role::Opener,
    };
    let (ours, theirs) = (proof(token, role, &secret), proof(token, other, &secret));
    // The acceptor says nothing to somebody who has proved nothing.
    if role == Role::Opener {
        say(stream, ours, at).await?;
        hear(stream, theirs, at).await
    } else {
        hear(stream, theirs, at).await?;
        say(stream, ours, at).await
    }
}

type HmacSha256 = Hmac<Sha256>;

/// What `role` shows: the two differ, so none can be sent back as the other.
fn proof(token: &Token, role: Role, secret: &[u8; 32]) -> HmacSha256 {
    let mut mac = HmacSha256::new_from_slice(token.reveal().as_bytes())
        .expect("HMAC takes a key of any length");
    mac.update(match role {
        Role::Opener => b"fmi1 tls opener  ",
        Role::Acceptor => b"fmi1 tls acceptor",
    });
    mac.update(secret);
    mac
}

async fn say<S: AsyncWrite + Unpin>(stream: &mut S, proof: HmacSha256, at: &str) -> Result<()> {
    let bytes = proof.finalize().into_bytes();
    let said = async {
        stream.write_all(&bytes).await?;
        stream.flush().await
    };
    said.await.map_err(|error: io::Error| failed(at, &error))
}

async fn hear<S: AsyncRead + Unpin>(stream: &mut S, proof: HmacSha256, at: &str) -> Result<()> {
    let mut heard = [0; 32];
    stream.read_exact(&mut heard).await.map_err(|error| failed(at, &error))?;
    proof.verify_slice(&heard).map_err(|_| failed(at, &IN_THE_MIDDLE))
}

fn into_socket(stream: TcpStream) -> Result<Socket> {
    let stream = stream.into_std().map_err(|error| system("use a connection", &error))?;
    Ok(Socket::from(stream))
}

fn failed(at: &str, why: &dyn fmt::Display) -> Error {
    Error::System { what: "handshake", reason: format!("{at}: {why}") }
}
