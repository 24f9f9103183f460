//! The other replicas: who is there and has room, and what is asked of them.

use super::proof;
use axum::body::Bytes;
use fmi::config::Token;
use futures::{StreamExt, stream::FuturesUnordered};
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, StatusCode,
    client::conn::http1::{self, Connection, SendRequest},
};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashSet,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    time::Duration,
};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

/// Where replicas ask each other whether there is room for one more group.
pub(super) const READY: &str = "/internal/ready";
/// Where they invite each other.
pub(super) const JOIN: &str = "/internal/join";

/// Who has not said so by then is not ready: gone, hung, or far too busy.
const PATIENCE: Duration = Duration::from_millis(500);

/// The answer of a replica that is ready.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ready {
    /// Its name: the same replica may be listed twice, and is listed to itself.
    pub(super) id: String,
}

/// To a group, as one of its ranks.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Invitation {
    pub(super) job: String,
    pub(super) rank: usize,
    pub(super) size: usize,
    pub(super) rendezvous: String,
}

/// A replica that is there, on a connection that lives as long as this.
pub(super) struct Peer {
    address: SocketAddr,
    /// By which of its addresses this process reaches it.
    own: IpAddr,
    sender: SendRequest<Full<Bytes>>,
    /// Moves the bytes of this connection, whenever something is awaited of it. Nobody else does: it
    /// ends with what it is for.
    connection: Pin<Box<Connection<TokioIo<TcpStream>, Full<Bytes>>>>,
}

/// Why a replica did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{address}: {source}")]
    Unreachable { address: SocketAddr, source: std::io::Error },
    #[error("{address}: {source}")]
    Connection { address: SocketAddr, source: hyper::Error },
    #[error("{address} has closed the connection")]
    Closed { address: SocketAddr },
    #[error("{address} answers {status}: {text}")]
    Refused { address: SocketAddr, status: StatusCode, text: String },
}

/// The replicas behind these names that are ready now, without the one that asks, in any order.
pub(super) async fn ready(names: &[String], token: &Token, own: &str) -> Vec<Peer> {
    let mut addresses = HashSet::new();
    let mut looks: FuturesUnordered<_> =
        names.iter().map(|name| timeout(PATIENCE, lookup_host(name))).collect();
    while let Some(found) = looks.next().await {
        // A name that nobody has is a replica that is not there.
        addresses.extend(found.into_iter().flatten().flatten());
    }
    let asked = addresses.into_iter().map(|address| timeout(PATIENCE, ask(address, token)));
    let mut asked: FuturesUnordered<_> = asked.collect();
    let (mut peers, mut known) = (Vec::new(), HashSet::from([own.to_owned()]));
    while let Some(answer) = asked.next().await {
        match answer {
            Ok(Ok((id, peer))) if known.insert(id.clone()) => peers.push(peer),
            Ok(Err(failure)) => tracing::debug!("not ready: {failure}"),
            Ok(Ok(_)) | Err(_) => {}
        }
    }
    peers
}

impl Peer {
    /// By which of its addresses the other one reaches this process.
    pub(super) fn own_address(&self) -> IpAddr {
        self.own
    }

    /// Has it take part; ends when it has left the group again.
    pub(super) async fn invite(
        mut self,
        token: Token,
        invitation: Invitation,
    ) -> Result<(), Failure> {
        let body = serde_json::to_vec(&invitation).expect("it is plain data");
        self.call(JOIN, &token, body.into()).await.map(drop)
    }

    async fn connect(address: SocketAddr) -> Result<Self, Failure> {
        let unreachable = |source| Failure::Unreachable { address, source };
        let stream = TcpStream::connect(address).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let own = stream.local_addr().map_err(unreachable)?.ip();
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|source| Failure::Connection { address, source })?;
        Ok(Self { address, own, sender, connection: Box::pin(connection) })
    }

    async fn call(&mut self, path: &str, token: &Token, body: Bytes) -> Result<Bytes, Failure> {
        let address = self.address;
        let broken = |source| Failure::Connection { address, source };
        let request = Request::post(path)
            .header("host", address.to_string())
            .header("content-type", "application/json")
            .header(proof::HEADER, proof::make(token, path, &body))
            .body(Full::new(body))
            .expect("it is a request");
        let answered = async {
            let answer = self.sender.send_request(request).await.map_err(broken)?;
            let status = answer.status();
            let body = answer.into_body().collect().await.map_err(broken)?.to_bytes();
            if status.is_success() {
                return Ok(body);
            }
            let text = String::from_utf8_lossy(&body).into_owned();
            Err(Failure::Refused { address, status, text })
        };
        tokio::select! {
            biased;
            answer = answered => answer,
            ended = &mut self.connection => match ended {
                Ok(()) => Err(Failure::Closed { address }),
                Err(source) => Err(broken(source)),
            },
        }
    }
}

async fn ask(address: SocketAddr, token: &Token) -> Result<(String, Peer), Failure> {
    let mut peer = Peer::connect(address).await?;
    let answer = peer.call(READY, token, Bytes::new()).await?;
    let ready: Ready = serde_json::from_slice(&answer).map_err(|error| Failure::Refused {
        address,
        status: StatusCode::OK,
        text: error.to_string(),
    })?;
    Ok((ready.id, peer))
}
