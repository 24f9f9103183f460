//! The mirrors' side of the server: sockets, and the tasks that answer on them.

use std::{
    io::{self, IoSliceMut},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Socket, Type};
use tokio::{
    io::Interest,
    net::{TcpListener, UdpSocket},
    time::sleep,
};
use tracing::{debug, warn};

use super::{
    super::{counts::count, floor::Shared},
    asked, saying,
};

/// The sockets of a server's mirrors.
#[derive(Debug, Default)]
pub(in super::super) struct Mirrors {
    pub(in super::super) stream: Option<TcpListener>,
    pub(in super::super) datagram: Vec<UdpSocket>,
}

impl Mirrors {
    /// Mirrors for a server on `server`: at its port for datagrams, and at `port` for both; if
    /// that is none, at one that follows the server's, or any. What cannot be had is left out.
    pub(in super::super) fn bind(server: SocketAddr, port: Option<u16>) -> Self {
        let first = datagram(server).inspect_err(|error| {
            warn!(%server, %error, "no mirror for datagrams on the rendezvous' own port");
        });
        let candidates = match port {
            Some(port) => vec![port],
            None => (1..=TRIES).filter_map(|n| server.port().checked_add(n)).chain([0]).collect(),
        };
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for candidate in candidates {
            match both(SocketAddr::new(server.ip(), candidate)) {
                Ok((stream, second)) => {
                    let datagram = first.into_iter().chain([second]).collect();
                    return Self { stream: Some(stream), datagram };
                }
                Err(error) => last = error,
            }
        }
        warn!(%server, error = %last, "no second port for mirrors");
        Self { stream: None, datagram: first.into_iter().collect() }
    }

    /// The port of the mirror for connections.
    pub(in super::super) fn stream_port(&self) -> Option<u16> {
        Some(self.stream.as_ref()?.local_addr().ok()?.port())
    }

    /// Ports of the mirrors for datagrams.
    pub(in super::super) fn datagram_ports(&self) -> Vec<u16> {
        let port = |socket: &UdpSocket| Some(socket.local_addr().ok()?.port());
        self.datagram.iter().filter_map(port).collect()
    }
}

/// Ports after the server's that are tried for the mirror.
const TRIES: u16 = 16;
/// Larger datagrams are not for us, and come here cut.
const BUFFER: usize = 2048;

/// Tells every connection how it looks from here, and closes it.
pub(in super::super) async fn streams(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let seen = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                count(&shared.counts.mirrored, 1);
                let mut nonce = [0; 8];
                let _ = getrandom::fill(&mut nonce);
                // Always fits into a fresh socket's buffer; nobody waits here for anybody.
                if let Err(error) = stream.try_write(&saying(u64::from_be_bytes(nonce), seen)) {
                    debug!(%peer, %error, "a mirror was not looked into");
                }
            }
            Err(error) => {
                warn!(%error, "the mirror cannot accept a connection");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Answers every request that comes as a datagram, from the address that it came to.
pub(in super::super) async fn datagrams(socket: UdpSocket, shared: Arc<Shared>) {
    let state = match UdpSocketState::new((&socket).into()) {
        Ok(state) => state,
        Err(error) => return warn!(%error, "no mirror for datagrams"),
    };
    let mut buffer = vec![0; BUFFER];
    let mut metas = [RecvMeta::default()];
    loop {
        let received = socket
            .async_io(Interest::READABLE, || {
                state.recv((&socket).into(), &mut [IoSliceMut::new(&mut buffer)], &mut metas)
            })
            .await;
        match received {
            Ok(0) => continue,
            Ok(_) => {}
            Err(error) => {
                // Such as the news that a former answer was not wanted.
                debug!(%error, "a mirror's socket");
                sleep(Duration::from_millis(1)).await;
                continue;
            }
        }
        let meta = metas[0];
        // Several at once if the kernel has put them together.
        for datagram in buffer[..meta.len.min(BUFFER)].chunks(meta.stride.max(1)) {
            let Some(nonce) = asked(datagram) else { continue };
            count(&shared.counts.mirrored, 1);
            let peer = meta.addr;
            let seen = SocketAddr::new(peer.ip().to_canonical(), peer.port());
            let answer = Transmit {
                destination: peer,
                ecn: None,
                contents: &saying(nonce, seen),
                segment_size: None,
                src_ip: meta.dst_ip,
            };
            // If there is no room it is lost, as datagrams are.
            let _ = socket.try_io(Interest::WRITABLE, || state.try_send((&socket).into(), &answer));
        }
    }
}

fn both(address: SocketAddr) -> io::Result<(TcpListener, UdpSocket)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    socket.set_nonblocking(true)?;
    let stream = TcpListener::from_std(socket.into())?;
    let datagram = datagram(stream.local_addr()?)?;
    Ok((stream, datagram))
}

fn datagram(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}
