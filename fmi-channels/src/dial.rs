//! Connections that come from a port which something here listens on: an address translation then
//! shows them, and the links that others punch through to it, under one address.

use std::{io, net::SocketAddr};

use socket2::{Domain, SockRef, Socket, Type};
use tokio::net::{TcpSocket, TcpStream};

/// A socket that dials `to`; from `port`, if one is given. The socket that listens there must have
/// been made fit for it by [`share`], and other dialling ones come from here.
///
/// # Errors
/// When the port cannot be had.
pub fn socket(to: SocketAddr, port: Option<u16>) -> io::Result<TcpSocket> {
    Ok(TcpSocket::from_std_stream(bound(to, port, port)?.into()))
}

/// As [`socket`]: for those who do not wait until the connection stands. `home` is the port that
/// the channel listens on, whose neighbour `port` is to be; 0 stands for any.
pub(crate) fn bound(to: SocketAddr, port: Option<u16>, home: Option<u16>) -> io::Result<Socket> {
    let socket = made(Domain::for_address(to), home)?;
    if let Some(port) = port {
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        let any: SocketAddr = match to {
            SocketAddr::V4(_) => ([0; 4], port).into(),
            SocketAddr::V6(_) => ([0; 16], port).into(),
        };
        socket.bind(&any.into())?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Dials `to` from `port`; from any other one if that cannot be had, as after a connection to the
/// same place has just ended.
///
/// # Errors
/// When nothing accepts there.
pub async fn from(port: Option<u16>, to: SocketAddr) -> io::Result<TcpStream> {
    if port.is_some() {
        let dialled = match socket(to, port) {
            Ok(socket) => socket.connect(to).await,
            Err(error) => Err(error),
        };
        match dialled {
            Err(error) if taken(&error) => {}
            dialled => return dialled,
        }
    }
    socket(to, None)?.connect(to).await
}

/// Lets sockets made here dial from the port that a socket listens on. To be called when it
/// listens already: another program that wants the same port must still be told that it is in use.
///
/// # Errors
/// When the system knows no such thing.
pub fn share<'s>(listening: impl Into<SockRef<'s>>) -> io::Result<()> {
    listening.into().set_reuse_port(true)
}

fn made(domain: Domain, home: Option<u16>) -> io::Result<Socket> {
    let make = || Socket::new(domain, Type::STREAM, None);
    #[cfg(feature = "conformance")]
    if let (Some(home), Some(place)) = (home, PLACE.get()) {
        return place(home, &make);
    }
    #[cfg(not(feature = "conformance"))]
    let _ = home;
    make()
}

/// Makes a socket of a channel that listens on a port, by calling the function wherever it belongs.
#[cfg(feature = "conformance")]
pub type Place =
    dyn Fn(u16, &(dyn Fn() -> io::Result<Socket> + Sync)) -> io::Result<Socket> + Send + Sync;

#[cfg(feature = "conformance")]
static PLACE: std::sync::OnceLock<Box<Place>> = std::sync::OnceLock::new();

/// For tests whose process stands for many, each in a network of its own: a socket keeps the
/// network of the thread that makes it, and all that dial from a port are made on the service
/// thread. Counts once.
#[cfg(feature = "conformance")]
pub fn set_place(place: Box<Place>) {
    let _ = PLACE.set(place);
}

fn taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};

    use super::*;

    fn listener(address: &str) -> io::Result<TcpListener> {
        let address: SocketAddr = address.parse().unwrap();
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(8)?;
        share(&socket)?;
        Ok(socket.into())
    }

    #[tokio::test]
    async fn a_port_that_listens_dials_too_and_nobody_else_gets_it() {
        let v4 = IpAddr::from(Ipv4Addr::LOCALHOST);
        let v6 = IpAddr::from(Ipv6Addr::LOCALHOST);
        let mut tried = 0;
        for ours in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"] {
            // Without IPv6 on this machine there is less to try.
            let Ok(listening) = listener(ours) else { continue };
            let port = listening.local_addr().unwrap().port();
            for ip in [v4, v6] {
                let Ok(far) = TcpListener::bind((ip, 0)) else { continue };
                let at = far.local_addr().unwrap();
                let one = from(Some(port), at).await.unwrap();
                assert_eq!(one.local_addr().unwrap().port(), port, "{ours} to {ip}");
                // The same place again cannot be had from there.
                let two = from(Some(port), at).await.unwrap();
                assert_ne!(two.local_addr().unwrap().port(), port);
                tried += 1;
            }
            let again = listener(&format!("0.0.0.0:{port}")).map(drop);
            assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AddrInUse, "{ours}");
        }
        assert!(tried >= 2);
    }
}
