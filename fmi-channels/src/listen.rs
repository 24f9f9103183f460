//! Where a channel listens, and at which address others reach it there.

use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
};

use fmi_actors::{Error, Result};

/// Binds what `bind` makes to `listen` (`HOST:PORT`; the first of the host's addresses that it
/// takes), by default to a free port on all interfaces.
///
/// # Errors
/// [`Error::Listen`] when the address is taken or not ours.
pub(crate) fn on<T>(listen: Option<&str>, bind: impl Fn(SocketAddr) -> io::Result<T>) -> Result<T> {
    match listen {
        Some(address) => on_address(address, &bind),
        // One socket for both families, where the machine has both.
        None => on_address("[::]:0", &bind).or_else(|_| on_address("0.0.0.0:0", &bind)),
    }
}

/// What others are told of a socket that is `bound` on a machine that they see at `own`:
/// `advertise`, if that is given, with the socket's port if it has none.
pub(crate) fn advertised(advertise: Option<&str>, bound: SocketAddr, own: IpAddr) -> String {
    let port = bound.port();
    match advertise {
        Some(address) if address.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()) => {
            format!("[{address}]:{port}")
        }
        Some(address) if has_port(address) => address.to_owned(),
        Some(address) => format!("{address}:{port}"),
        None if bound.ip().is_unspecified() => SocketAddr::new(own, port).to_string(),
        None => bound.to_string(),
    }
}

fn on_address<T>(address: &str, bind: impl Fn(SocketAddr) -> io::Result<T>) -> Result<T> {
    let failed =
        |error: io::Error| Error::Listen { address: address.to_owned(), reason: error.to_string() };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for candidate in address.to_socket_addrs().map_err(failed)? {
        match bind(candidate) {
            Ok(bound) => return Ok(bound),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

fn has_port(address: &str) -> bool {
    address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}
