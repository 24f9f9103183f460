//! A rendezvous inside this program, for a job that it starts itself.

use fmi::Result;
use fmi_channels::{
    handshake::Token,
    rendezvous::{Mirrors, Options, Server},
};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::{sync::oneshot, task::JoinHandle};

/// A rendezvous that runs as a task, with a token of its own. It ends when dropped.
#[derive(Debug)]
pub(crate) struct Embedded {
    address: SocketAddr,
    token: Token,
    task: JoinHandle<()>,
    /// Its other end is dropped with this: then the server ends.
    _running: oneshot::Sender<()>,
}

impl Embedded {
    /// Begins to listen on `address`; port 0 takes a free one.
    pub(crate) async fn start(address: &str) -> Result<Self> {
        let token = Token::random()?;
        // On one machine nobody has to look from outside.
        let alone = address.rsplit_once(':').is_some_and(|(host, _)| {
            host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
        });
        let mirrors = if alone { Mirrors::Off } else { Mirrors::Near };
        let options = Options { mirrors, ..Options::default() };
        let server = Server::bind(address, token.clone(), options).await?;
        let address = server.local_addr();
        let (running, ended) = oneshot::channel();
        let task = tokio::spawn(server.run(ended));
        Ok(Self { address, token, task, _running: running })
    }

    /// `FMI_RENDEZVOUS` for processes of this machine.
    pub(crate) fn url(&self) -> String {
        format!("tcp://{}", from_here(self.address))
    }

    /// `FMI_TOKEN`.
    pub(crate) fn token(&self) -> &str {
        self.token.reveal()
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // Nobody is left whom a graceful end would help.
        self.task.abort();
    }
}

/// Where a listener on all addresses is reached from this machine.
fn from_here(mut address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
            address.set_ip(Ipv4Addr::LOCALHOST.into())
        }
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            address.set_ip(Ipv6Addr::LOCALHOST.into())
        }
        _ => {}
    }
    address
}
