//! Mirrors: where a process asks how its sockets look from outside.
//!
//! The rendezvous has two for datagrams (its own port, and the mirror port) and, on the mirror
//! port, one for TCP connections. What two mirrors say about one socket tells what kind of address
//! translation lies between.
//!
//! ```text
//! request  (64 bytes)  "FMIm"  version  1  0 0  nonce(8)  zeros
//! answer   (34 bytes)  "FMIm"  version  2  0 0  nonce(8)  masked: address(16)  port(2)
//! ```
//!
//! The address is IPv6 or a mapped IPv4 one, in network order, and masked by the nonce: some
//! address translations rewrite whatever looks like an address of theirs. A TCP connection gets an
//! answer without a request. An answer is shorter than a request, so that a forged sender gains
//! nothing, and whoever cannot see the request does not know its nonce.

mod serve;

use std::{
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{io::AsyncReadExt, time::timeout};

pub(super) use serve::{Mirrors, datagrams, streams};

use crate::dial;

/// Bytes of a request.
pub const REQUEST: usize = 64;
/// Bytes of an answer.
pub const ANSWER: usize = 34;

/// The address of this machine's TCP port `local_port` as the TCP mirror `at` sees it; of any port
/// if that one cannot be had, which is the second thing told.
///
/// # Errors
/// When nothing answers there, or something else.
pub async fn tcp(local_port: Option<u16>, at: SocketAddr) -> io::Result<(SocketAddr, SocketAddr)> {
    let asked = async {
        let mut stream = dial::from(local_port, at).await?;
        let own = stream.local_addr()?;
        let mut bytes = [0; ANSWER];
        stream.read_exact(&mut bytes).await?;
        let (_, seen) = answer(&bytes)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is no mirror"))?;
        Ok((seen, own))
    };
    timeout(PATIENCE, asked).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// Where a server's mirrors for datagrams are, if nothing was in the way and it was told nothing
/// else. Who has registered knows better.
#[must_use]
pub fn likely(server: SocketAddr) -> Vec<SocketAddr> {
    let ports = [Some(server.port()), server.port().checked_add(1)];
    ports.into_iter().flatten().map(|port| SocketAddr::new(server.ip(), port)).collect()
}

/// A datagram that asks a mirror. The nonce comes back in the answer; take a random one.
#[must_use]
pub fn request(nonce: u64) -> [u8; REQUEST] {
    let mut bytes = [0; REQUEST];
    bytes[..8].copy_from_slice(&head(ASK));
    bytes[8..16].copy_from_slice(&nonce.to_be_bytes());
    bytes
}

/// What a mirror's answer says: the nonce of the request, and the address that it came from.
#[must_use]
pub fn answer(bytes: &[u8]) -> Option<(u64, SocketAddr)> {
    let bytes: &[u8; ANSWER] = bytes.try_into().ok()?;
    let rest = bytes.strip_prefix(&head(SAY))?;
    let (nonce, rest) = rest.split_first_chunk::<8>()?;
    let (ip, port) = rest.split_first_chunk::<16>()?;
    let (ip, port) = masked(*nonce, *ip, port.try_into().ok()?);
    let ip = IpAddr::from(Ipv6Addr::from(ip)).to_canonical();
    Some((u64::from_be_bytes(*nonce), SocketAddr::new(ip, u16::from_be_bytes(port))))
}

/// Whether a datagram begins like those of mirrors, so that who shares a socket with them can tell.
#[must_use]
pub fn is_ours(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// How long a TCP mirror may take.
const PATIENCE: Duration = Duration::from_secs(5);
const MAGIC: [u8; 4] = *b"FMIm";
const VERSION: u8 = 1;
const ASK: u8 = 1;
const SAY: u8 = 2;

fn head(kind: u8) -> [u8; 8] {
    let [a, b, c, d] = MAGIC;
    [a, b, c, d, VERSION, kind, 0, 0]
}

/// The nonce of a request.
fn asked(bytes: &[u8]) -> Option<u64> {
    let bytes: &[u8; REQUEST] = bytes.try_into().ok()?;
    let (nonce, rest) = bytes.strip_prefix(&head(ASK))?.split_first_chunk::<8>()?;
    rest.iter().all(|byte| *byte == 0).then(|| u64::from_be_bytes(*nonce))
}

fn saying(nonce: u64, seen: SocketAddr) -> [u8; ANSWER] {
    let nonce = nonce.to_be_bytes();
    let ip = match seen.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let (ip, port) = masked(nonce, ip.octets(), seen.port().to_be_bytes());
    let mut bytes = [0; ANSWER];
    bytes[..8].copy_from_slice(&head(SAY));
    bytes[8..16].copy_from_slice(&nonce);
    bytes[16..32].copy_from_slice(&ip);
    bytes[32..].copy_from_slice(&port);
    bytes
}

/// Its own inverse.
fn masked(nonce: [u8; 8], mut ip: [u8; 16], mut port: [u8; 2]) -> ([u8; 16], [u8; 2]) {
    for (place, byte) in ip.iter_mut().chain(&mut port).enumerate() {
        *byte ^= nonce[place % 8] ^ 0xa5;
    }
    (ip, port)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn answers_are_shorter_than_requests() {
        const { assert!(ANSWER < REQUEST) }
    }

    #[test]
    fn other_datagrams_are_neither() {
        let good = request(7);
        assert_eq!(asked(&good), Some(7));
        assert!(is_ours(&good));
        for (place, byte) in [(0, b'f'), (4, 2), (5, SAY), (6, 1), (63, 1)] {
            let mut bad = good;
            bad[place] = byte;
            assert_eq!(asked(&bad), None);
        }
        assert_eq!(asked(&good[..63]), None);
        let said = saying(7, "192.0.2.1:80".parse().unwrap());
        assert_eq!(answer(&said[..33]), None);
        assert_eq!(asked(&said), None);
        assert_eq!(answer(&good), None);
    }

    proptest! {
        #[test]
        fn addresses_come_back(nonce: u64, v4: [u8; 4], v6: [u8; 16], port: u16) {
            for ip in [IpAddr::from(v4), IpAddr::from(v6).to_canonical()] {
                let seen = SocketAddr::new(ip, port);
                prop_assert_eq!(answer(&saying(nonce, seen)), Some((nonce, seen)));
            }
            prop_assert_eq!(asked(&request(nonce)), Some(nonce));
        }

        #[test]
        fn random_bytes_harm_nobody(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let (_, _) = (answer(&bytes), asked(&bytes));
        }
    }
}
