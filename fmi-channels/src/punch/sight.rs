//! How a process is seen from outside, and what follows for those who fire at it.

use super::{ATTEMPT, Failure};
use serde::{Deserialize, Serialize};
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// What a transport knows of its own address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sight {
    /// The local port that fires and is fired at.
    pub port: u16,
    /// Addresses of this side's interfaces with that port.
    pub own: Vec<SocketAddr>,
    /// How that port is seen by different others, in the order in which they were asked.
    pub observed: Vec<SocketAddr>,
    /// Local ports that nobody uses, and that can be fired from.
    pub spares: Vec<u16>,
    /// Round trip to the rendezvous.
    pub round_trip: Duration,
}

/// What lies between a process and those who observe it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mapping {
    /// Nobody has said how it is seen.
    Unknown,
    /// Nothing: it is seen at an address of its own.
    Open,
    /// A translation that keeps the port.
    Kept,
    /// A translation to one other port, whoever looks (or one alone has looked).
    Stable,
    /// Each who looks sees a port that is this much higher.
    Stepping(i32),
    /// Each who looks sees another port.
    Random,
}

/// Predicted ports that are fired at.
const PREDICTED: i32 = 6;
/// Ports that lie further apart follow no pattern.
const WIDEST_STEP: i32 = 16;
/// How long it is tried whether a translation lets in anybody.
const SLIM: Duration = Duration::from_millis(250);

/// One side's addresses, as both sides see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Face {
    pub(super) port: u16,
    pub(super) own: Vec<SocketAddr>,
    pub(super) observed: Vec<SocketAddr>,
    pub(super) spares: Vec<u16>,
}

impl Face {
    /// Numbers of addresses and ports that make sense; what is longer is garbage.
    const MOST: [usize; 3] = [12, 4, 32];

    pub(super) fn of(sight: &Sight) -> Self {
        let [own, observed, spares] = Self::MOST;
        Self {
            port: sight.port,
            own: sight.own.iter().copied().map(canonical).take(own).collect(),
            observed: sight.observed.iter().copied().map(canonical).take(observed).collect(),
            spares: sight.spares.iter().copied().take(spares).collect(),
        }
    }

    pub(super) fn makes_sense(&self) -> bool {
        [self.own.len(), self.observed.len(), self.spares.len()]
            .iter()
            .zip(Self::MOST)
            .all(|(len, most)| *len <= most)
    }

    pub(super) fn mapping(&self) -> Mapping {
        let Some((first, rest)) = self.observed.split_first() else { return Mapping::Unknown };
        if rest.iter().all(|other| other == first) {
            return if self.own.contains(first) {
                Mapping::Open
            } else if first.port() == self.port {
                Mapping::Kept
            } else {
                Mapping::Stable
            };
        }
        if rest.iter().any(|other| other.ip() != first.ip()) {
            return Mapping::Random;
        }
        let steps: Vec<i32> = self
            .observed
            .windows(2)
            .map(|pair| i32::from(pair[1].port()) - i32::from(pair[0].port()))
            .collect();
        let same = steps.iter().all(|step| *step == steps[0]);
        if same && steps[0].abs() <= WIDEST_STEP {
            Mapping::Stepping(steps[0])
        } else {
            Mapping::Random
        }
    }

    /// Whether a local port is also the port that the outside sees.
    pub(super) fn keeps_ports(&self) -> bool {
        matches!(self.mapping(), Mapping::Open | Mapping::Kept)
    }

    /// The address of one of the spare ports, for others.
    pub(super) fn spare(&self, index: usize) -> Option<SocketAddr> {
        let port = *self.spares.get(index)?;
        Some(SocketAddr::new(self.observed.first()?.ip(), port)).filter(is_target)
    }

    /// Where `us` fires to reach this side through whatever lies between, the likeliest first.
    pub(super) fn outside(&self) -> Vec<SocketAddr> {
        let mut targets = Vec::new();
        match self.mapping() {
            Mapping::Unknown | Mapping::Random => {}
            Mapping::Open | Mapping::Kept | Mapping::Stable => {
                targets.extend(self.observed.first())
            }
            Mapping::Stepping(step) => {
                if let Some(last) = self.observed.last() {
                    let ports = (1..=PREDICTED).map(|times| i32::from(last.port()) + times * step);
                    let ports = ports.filter_map(|port| u16::try_from(port).ok());
                    targets.extend(ports.map(|port| SocketAddr::new(last.ip(), port)));
                }
            }
        }
        targets.retain(is_target);
        targets
    }

    /// Addresses of its own at which `us` may reach it.
    pub(super) fn inside(&self, us: &Self) -> Vec<SocketAddr> {
        let together = self.beside(us);
        let mut targets: Vec<_> = self
            .own
            .iter()
            .copied()
            .filter(|own| together || !is_private(own.ip()))
            .filter(|own| us.own.iter().any(|ours| ours.is_ipv4() == own.is_ipv4()))
            .filter(|own| is_target(own) && !us.own.contains(own))
            .collect();
        targets.dedup();
        targets
    }

    /// Whether both are seen at the same address: they share a translation, or a machine.
    fn beside(&self, us: &Self) -> bool {
        match (self.observed.first(), us.observed.first()) {
            (Some(theirs), Some(ours)) => theirs.ip() == ours.ip(),
            _ => true,
        }
    }
}

/// How long it is worth while to try; both sides come to the same answer.
pub(super) fn outlook(one: &Face, other: &Face) -> Result<Duration, Failure> {
    let inside = !one.inside(other).is_empty() || !other.inside(one).is_empty();
    let unsteady = |face: &Face| matches!(face.mapping(), Mapping::Stepping(_) | Mapping::Random);
    let random = |face: &Face| face.mapping() == Mapping::Random;
    if inside {
        return Ok(ATTEMPT);
    }
    if one.outside().is_empty() && other.outside().is_empty() {
        let both = unsteady(one) && unsteady(other);
        return Err(if both { Failure::Symmetric } else { Failure::NoAddress });
    }
    // A port that steps for each who is fired at cannot be predicted by one who fires at many.
    if unsteady(one) && unsteady(other) {
        return Err(Failure::Symmetric);
    }
    if random(one) || random(other) {
        return Ok(SLIM);
    }
    Ok(ATTEMPT)
}

/// Whether the world has many of this address.
#[must_use]
pub fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || shared
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// Whether one can fire there. Addresses of one link only have no meaning elsewhere.
fn is_target(address: &SocketAddr) -> bool {
    let ip = address.ip();
    let nobody = match ip {
        IpAddr::V4(ip) => ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    address.port() != 0 && !nobody && !ip.is_unspecified() && !ip.is_multicast()
}

/// An IPv4 address in IPv6's clothes, without them.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(port: u16, own: &[&str], observed: &[&str]) -> Face {
        let parse = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        Face { port, own: parse(own), observed: parse(observed), spares: Vec::new() }
    }

    const OPEN: &[&str] = &["198.51.100.7:500"];
    const HOME: &[&str] = &["10.0.0.7:500"];

    #[test]
    fn observations_tell_the_kind_of_translation() {
        for (own, observed, expected) in [
            (OPEN, &["198.51.100.7:500"][..], Mapping::Open),
            (HOME, &[], Mapping::Unknown),
            (HOME, &["203.0.113.1:500"], Mapping::Kept),
            (HOME, &["203.0.113.1:500", "203.0.113.1:500"], Mapping::Kept),
            (HOME, &["203.0.113.1:9", "203.0.113.1:9"], Mapping::Stable),
            (HOME, &["203.0.113.1:1001", "203.0.113.1:1003"], Mapping::Stepping(2)),
            (HOME, &["203.0.113.1:1003", "203.0.113.1:1002"], Mapping::Stepping(-1)),
            (HOME, &["203.0.113.1:1001", "203.0.113.1:43210"], Mapping::Random),
            (HOME, &["203.0.113.1:1", "203.0.113.1:2", "203.0.113.1:9"], Mapping::Random),
            (HOME, &["203.0.113.1:500", "203.0.113.2:500"], Mapping::Random),
        ] {
            assert_eq!(face(500, own, observed).mapping(), expected, "{observed:?}");
        }
    }

    #[test]
    fn fires_at_what_can_be_reached() {
        let us = face(500, HOME, &["203.0.113.1:500"]);
        let far = face(600, &["10.0.0.9:600", "[2001:db8::9]:600"], &["203.0.113.2:77"]);
        assert_eq!(far.outside(), ["203.0.113.2:77".parse().unwrap()]);
        // Its private address may be somebody else here, and we have no IPv6.
        assert_eq!(far.inside(&us), []);
        let near = face(600, &["10.0.0.9:600"], &["203.0.113.1:600"]);
        assert_eq!(near.inside(&us), ["10.0.0.9:600".parse().unwrap()]);
        let stepping = face(600, HOME, &["203.0.113.2:65530", "203.0.113.2:65532"]);
        assert_eq!(stepping.outside(), ["203.0.113.2:65534".parse().unwrap()]);
    }

    #[test]
    fn nobody_fires_at_nonsense() {
        let us = face(500, OPEN, OPEN);
        for bad in ["0.0.0.0:5", "255.255.255.255:5", "224.0.0.1:5", "198.51.100.9:0"] {
            let theirs = face(5, &[bad], &[bad]);
            assert_eq!((theirs.outside(), theirs.inside(&us)), (vec![], vec![]), "{bad}");
        }
        assert_eq!(face(500, OPEN, OPEN).inside(&us), [], "itself");
    }

    #[test]
    fn both_sides_see_the_same_outlook() {
        let faces = [
            (face(500, OPEN, OPEN), "open"),
            (face(500, HOME, &["203.0.113.1:500"]), "kept"),
            (face(501, HOME, &["203.0.113.2:9", "203.0.113.2:9"]), "stable"),
            (face(502, HOME, &["203.0.113.3:1001", "203.0.113.3:1002"]), "stepping"),
            (face(503, HOME, &["203.0.113.4:1001", "203.0.113.4:31002"]), "random"),
            (face(504, HOME, &["203.0.113.5:1001", "203.0.113.5:41002"]), "random"),
        ];
        for (one, first) in &faces {
            for (other, second) in faces.iter().filter(|other| !std::ptr::eq(&other.0, one)) {
                let seen = outlook(one, other);
                assert_eq!(seen, outlook(other, one));
                let expected = match (*first, *second) {
                    ("open", _) | (_, "open") => Ok(ATTEMPT),
                    ("random" | "stepping", "random" | "stepping") => Err(Failure::Symmetric),
                    ("random", _) | (_, "random") => Ok(SLIM),
                    _ => Ok(ATTEMPT),
                };
                assert_eq!(seen, expected, "{first} {second}");
            }
        }
    }
}
