//! How the port that the channel listens on is seen from outside.

use crate::{dial, interfaces, outside::Outside, punch::Sight, rendezvous::mirror};
use parking_lot::Mutex;
use socket2::Socket;
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::{Duration, Instant},
};

/// How long what a mirror has said is believed.
const FRESH: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Eye {
    bound: SocketAddr,
    outside: Outside,
    /// What was seen last, and when.
    seen: Mutex<Option<(Instant, Vec<SocketAddr>)>>,
}

impl Eye {
    pub(super) fn new(bound: SocketAddr, outside: Outside) -> Self {
        Self { bound, outside, seen: Mutex::default() }
    }

    /// The port that the channel listens on.
    pub(super) fn port(&self) -> u16 {
        self.bound.port()
    }

    /// What is known without asking anybody.
    pub(super) fn known(&self) -> Option<Sight> {
        let port = self.bound.port();
        let Outside { local, observed, .. } = &self.outside;
        if local.port() == port && (observed.port() == port || observed.ip() == local.ip()) {
            // Not by chance.
            return Some(self.sight(vec![*observed]));
        }
        let seen = self.seen.lock();
        let fresh = seen.as_ref().filter(|(when, _)| when.elapsed() < FRESH);
        fresh.map(|(_, observed)| self.sight(observed.clone()))
    }

    /// Asks the mirror.
    pub(super) async fn look(&self) -> Sight {
        let port = self.bound.port();
        let Outside { local, observed, tcp_mirror, .. } = &self.outside;
        let mut seen = Vec::new();
        if local.port() == port {
            seen.push(*observed);
        }
        if let Some(at) = tcp_mirror {
            match mirror::tcp(Some(port), *at).await {
                Ok((observed, own)) if own.port() == port => seen.push(observed),
                Ok(_) => {}
                Err(error) => tracing::debug!(%at, %error, "the mirror shows nothing"),
            }
        }
        *self.seen.lock() = Some((Instant::now(), seen.clone()));
        self.sight(seen)
    }

    /// Free ports from which one can fire at whom we see as we see the rendezvous.
    pub(super) fn spares(&self, count: usize) -> Vec<(u16, Socket)> {
        let any: SocketAddr = match self.outside.observed.ip().to_canonical().is_ipv4() {
            true => (Ipv4Addr::UNSPECIFIED, 0).into(),
            false => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let spare = |_| -> io::Result<(u16, Socket)> {
            let socket = dial::bound(any, Some(0), Some(self.port()))?;
            let port = socket.local_addr()?.as_socket().map_or(0, |address| address.port());
            Ok((port, socket))
        };
        // With fewer it may work as well.
        (0..count).map_while(|at| spare(at).ok()).collect()
    }

    fn sight(&self, observed: Vec<SocketAddr>) -> Sight {
        let port = self.bound.port();
        let ip = self.bound.ip();
        let own = if ip.is_unspecified() {
            let all = interfaces::addresses().unwrap_or_default();
            all.into_iter().filter(|own| own.is_ipv4() || ip.is_ipv6()).collect()
        } else {
            vec![ip]
        };
        Sight {
            port,
            own: own.into_iter().map(|ip| SocketAddr::new(ip, port)).collect(),
            observed,
            spares: Vec::new(),
            round_trip: self.outside.round_trip,
        }
    }
}
