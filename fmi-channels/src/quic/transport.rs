//! How QUIC behaves on a path: packet sizes, windows, congestion, patience.

use quinn::{
    AckFrequencyConfig, IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt,
    congestion::{Controller, ControllerFactory},
};
use socket2::{Domain, SockRef, Socket, Type};
use std::{
    any::Any,
    io,
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd,
    sync::Arc,
    time::{Duration, Instant},
};

/// Bytes of one stream that may be on their way.
const STREAM_WINDOW: u32 = 8 << 20;
/// Bytes of a connection that may wait here before we know who the peer is, and after.
pub(super) const UNKNOWN_WINDOW: u32 = 64 << 10;
pub(super) const KNOWN_WINDOW: u32 = 16 << 20;
const SEND_WINDOW: u64 = 8 << 20;
/// Bytes in flight inside the machine.
const MACHINE_WINDOW: u64 = 1 << 20;
/// The largest payload of a datagram over IPv6, which is less than over IPv4.
const MAX_DATAGRAM: u16 = 65_487;
/// Bytes of IP and UDP headers.
const HEADERS_V4: u16 = 28;
const HEADERS_V6: u16 = 48;

/// A path to a peer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    /// It does not leave the machine.
    pub(super) inside: bool,
    /// Bytes of payload that a datagram may have as far as this machine can tell.
    pub(super) datagram: u16,
}

impl Route {
    /// What the kernel knows of the path to an address.
    pub(super) fn to(address: SocketAddr) -> Self {
        let ip = address.ip().to_canonical();
        let known = probe(SocketAddr::new(ip, address.port()));
        let (own, mtu) = known.map_or((None, None), |(own, mtu)| (Some(own), mtu));
        let headers = if ip.is_ipv4() { HEADERS_V4 } else { HEADERS_V6 };
        // Ethernet's, where the kernel does not say.
        let mtu = mtu.unwrap_or(1500);
        Self {
            inside: ip.is_loopback() || own == Some(ip),
            datagram: u16::try_from(mtu)
                .unwrap_or(u16::MAX)
                .saturating_sub(headers)
                .clamp(1200, MAX_DATAGRAM),
        }
    }
}

/// The configuration for a path. `silent` is how long a peer may be; `buffer` how many bytes of
/// datagrams the kernel holds for a process, here and so probably there.
pub(super) fn config(route: Route, silent: Duration, buffer: usize) -> TransportConfig {
    let silent = silent.max(Duration::from_secs(1));
    let mut config = TransportConfig::default();
    config
        .max_idle_timeout(IdleTimeout::try_from(silent).ok())
        .keep_alive_interval(Some(silent / 4))
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(1))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(UNKNOWN_WINDOW))
        .send_window(SEND_WINDOW)
        .send_fairness(false)
        .datagram_receive_buffer_size(None);
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(route.datagram);
    config.mtu_discovery_config(Some(discovery));
    if route.inside {
        let window = (buffer as u64 / 4 * 3).clamp(4 * u64::from(route.datagram), MACHINE_WINDOW);
        config
            .initial_mtu(route.datagram)
            .initial_rtt(Duration::from_millis(20))
            .congestion_controller_factory(Arc::new(InsideFactory { window }));
    } else {
        let mut acks = AckFrequencyConfig::default();
        acks.ack_eliciting_threshold(VarInt::from_u32(8));
        config.ack_frequency_config(Some(acks)).initial_rtt(Duration::from_millis(100));
    }
    config
}

/// Asks the kernel to hold more, as much as it allows.
pub(super) fn widen(socket: &Socket, bytes: usize) {
    for (option, plain) in
        [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)]
    {
        // Beyond the system's limit only with privileges; without, as far as the limit.
        if set(socket, option, bytes).is_err() {
            let _ = set(socket, plain, bytes);
        }
    }
}

/// The own address of a path, and its MTU.
fn probe(to: SocketAddr) -> io::Result<(IpAddr, Option<u32>)> {
    let socket = Socket::new(Domain::for_address(to), Type::DGRAM, None)?;
    socket.connect(&to.into())?;
    let own = socket.local_addr()?.as_socket().map(|own| own.ip());
    let own = own.ok_or(io::ErrorKind::AddrNotAvailable)?;
    let (level, option) = match to {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MTU),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_MTU),
    };
    Ok((own, get(&socket, level, option).ok().and_then(|mtu| u32::try_from(mtu).ok())))
}

fn set(socket: &Socket, option: libc::c_int, bytes: usize) -> io::Result<()> {
    let value = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    // SAFETY: the descriptor is open, and the value is of the length given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const value).cast(),
            size_of_val(&value) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn get(socket: &Socket, level: libc::c_int, option: libc::c_int) -> io::Result<libc::c_int> {
    let (mut value, mut length): (libc::c_int, _) =
        (0, size_of::<libc::c_int>() as libc::socklen_t);
    let descriptor = SockRef::from(socket).as_raw_fd();
    // SAFETY: the descriptor is open, and the kernel writes at most `length` bytes.
    let result = unsafe {
        libc::getsockopt(descriptor, level, option, (&raw mut value).cast(), &raw mut length)
    };
    if result == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}

/// Inside the machine nothing is congested but the receiver's buffer: a fixed window that fits
/// into it, halved when something is lost all the same (many send to one), and soon back.
#[derive(Debug, Clone)]
struct Inside {
    full: u64,
    window: u64,
    mtu: u64,
    /// Losses of what was sent before are the same event.
    since: Instant,
}

#[derive(Debug)]
struct InsideFactory {
    window: u64,
}

impl ControllerFactory for InsideFactory {
    fn build(self: Arc<Self>, now: Instant, mtu: u16) -> Box<dyn Controller> {
        let (full, mtu) = (self.window, u64::from(mtu));
        Box::new(Inside { full, window: full, mtu, since: now })
    }
}

impl Controller for Inside {
    fn on_end_acks(&mut self, _: Instant, _: u64, _: bool, _: Option<u64>) {
        self.window = (self.window + self.mtu).min(self.full);
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, _: bool, _: u64) {
        if sent > self.since {
            self.since = now;
            self.window = (self.window / 2).max(2 * self.mtu + 1);
        }
    }

    fn on_mtu_update(&mut self, mtu: u16) {
        self.mtu = u64::from(mtu);
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        self.full
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
