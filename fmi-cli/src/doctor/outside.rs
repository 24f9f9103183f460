//! How this machine looks from the rendezvous: whether an address translation lies between, and
//! of which kind.

use super::Finding;
use fmi_channels::{handshake::Token, outside::Outside, rendezvous::mirror};
use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::{net::UdpSocket, time::timeout};

const CHECK: &str = "outside";
/// How often datagrams are sent: some get lost.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(250);

/// What lies between this machine and the rendezvous.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Translation {
    /// Nothing that changes addresses.
    None,
    /// One outer address for each port here, whomever it talks to: others can be told of it.
    Cone { keeps_port: bool },
    /// Another outer address for each peer: nobody can be told of the next one.
    Symmetric,
    /// There is one, and just one place to look at it from.
    Unknown,
}

/// What the rendezvous sees of us. `port` is the one that `outside` was asked from.
pub(super) async fn look(outside: &Outside, port: u16) -> Vec<Finding> {
    let mut seen = vec![(outside.local, outside.observed)];
    if let Some(at) = outside.tcp_mirror
        && let Ok((observed, own)) = mirror::tcp(Some(port), at).await
        && own.port() == outside.local.port()
    {
        seen.push((own, observed));
    }
    let tcp = finding("tcp", &seen);
    let udp = match datagrams(outside).await {
        Ok(seen) if !seen.is_empty() => finding("udp", &seen),
        Ok(_) if outside.udp_mirrors.is_empty() => {
            Finding::ok(CHECK, "udp: the rendezvous has no mirror for it")
        }
        Ok(_) => Finding::note(
            CHECK,
            "udp: no answer from the rendezvous",
            "a firewall drops datagrams, here or there: quic does not get through, tcp does",
        ),
        Err(error) => Finding::note(CHECK, format!("udp: {error}"), "quic will not work here"),
    };
    vec![tcp, udp]
}

/// Our address and the outer one of one datagram socket, mirror by mirror.
async fn datagrams(outside: &Outside) -> io::Result<Vec<(SocketAddr, SocketAddr)>> {
    let any: IpAddr = match outside.server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    let own = SocketAddr::new(outside.local.ip(), socket.local_addr()?.port());
    let mut asked: BTreeMap<u64, SocketAddr> = BTreeMap::new();
    for at in &outside.udp_mirrors {
        asked.insert(nonce()?, *at);
    }
    let mut seen: BTreeMap<u64, SocketAddr> = BTreeMap::new();
    for _ in 0..TRIES {
        for (nonce, at) in asked.iter().filter(|(nonce, _)| !seen.contains_key(nonce)) {
            // What does not leave is not answered.
            let _ = socket.send_to(&mirror::request(*nonce), *at).await;
        }
        let answers = async {
            let mut bytes = [0; mirror::REQUEST];
            while seen.len() < asked.len() {
                let (length, _) = socket.recv_from(&mut bytes).await?;
                if let Some((nonce, address)) = mirror::answer(&bytes[..length])
                    && asked.contains_key(&nonce)
                {
                    seen.insert(nonce, address);
                }
            }
            io::Result::Ok(())
        };
        match timeout(PAUSE, answers).await {
            Ok(done) => {
                done?;
                break;
            }
            Err(_) => continue,
        }
    }
    Ok(seen.into_values().map(|observed| (own, observed)).collect())
}

fn nonce() -> io::Result<u64> {
    // Random, as whoever forges an answer must not know it.
    let token = Token::random().map_err(|error| io::Error::other(error.to_string()))?;
    let digits = token.reveal().get(..16).unwrap_or_default();
    u64::from_str_radix(digits, 16).map_err(io::Error::other)
}

fn finding(protocol: &str, seen: &[(SocketAddr, SocketAddr)]) -> Finding {
    let Some((own, observed)) = seen.first() else {
        return Finding::ok(CHECK, format!("{protocol}: nothing seen"));
    };
    let ways = format!("{protocol}: {own} is seen as {observed}");
    match judge(seen) {
        Translation::None => {
            Finding::ok(CHECK, format!("{protocol}: seen as {own}, no address translation"))
        }
        Translation::Cone { keeps_port: true } => Finding::ok(
            CHECK,
            format!("{ways}: a translation that keeps ports (cone-like); punching gets through"),
        ),
        Translation::Cone { keeps_port: false } => Finding::ok(
            CHECK,
            format!(
                "{ways}: a translation of one address a port (cone-like); punching gets through"
            ),
        ),
        Translation::Symmetric => Finding::note(
            CHECK,
            format!("{ways}, and otherwise elsewhere: a symmetric address translation"),
            "from here punching reaches only processes without such a translation; all others \
             are relayed by the rendezvous",
        ),
        Translation::Unknown => Finding::ok(CHECK, format!("{ways}: an address translation")),
    }
}

/// By what was seen of one socket: its own address and the outer one, from one or two places.
fn judge(seen: &[(SocketAddr, SocketAddr)]) -> Translation {
    if seen.iter().all(|(own, observed)| own == observed) {
        return Translation::None;
    }
    match seen {
        [(own, one), (_, two)] if one == two => {
            Translation::Cone { keeps_port: own.port() == one.port() }
        }
        [_, _] => Translation::Symmetric,
        _ => Translation::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Status, *};

    fn seen(observed: &[&str]) -> Vec<(SocketAddr, SocketAddr)> {
        let own = "10.0.0.7:4000".parse().unwrap();
        observed.iter().map(|observed| (own, observed.parse().unwrap())).collect()
    }

    #[test]
    fn kinds_of_translation() {
        for (observed, kind) in [
            (&["10.0.0.7:4000", "10.0.0.7:4000"][..], Translation::None),
            (&["10.0.0.7:4000"], Translation::None),
            (&["1.2.3.4:4000", "1.2.3.4:4000"], Translation::Cone { keeps_port: true }),
            (&["1.2.3.4:5000", "1.2.3.4:5000"], Translation::Cone { keeps_port: false }),
            (&["1.2.3.4:5000", "1.2.3.4:5001"], Translation::Symmetric),
            (&["1.2.3.4:5000"], Translation::Unknown),
        ] {
            assert_eq!(judge(&seen(observed)), kind, "{observed:?}");
        }
        assert_eq!(finding("udp", &seen(&["1.2.3.4:1", "1.2.3.4:2"])).status, Status::Note);
        assert_eq!(finding("udp", &seen(&["1.2.3.4:1", "1.2.3.4:1"])).status, Status::Ok);
    }

    #[test]
    fn nonces_differ() {
        assert_ne!(nonce().unwrap(), nonce().unwrap());
    }
}
