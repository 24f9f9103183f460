//! How many connections come from one address. Pure: time comes in as an argument.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::Instant,
};

use super::bucket::Bucket;

/// Addresses that are remembered. Those that come beyond share one bucket.
const ADDRESSES: usize = 16_384;

/// A bucket of connections an address; IPv6 has one a network of 64 bits, as one host has all of
/// that.
#[derive(Debug)]
pub(super) struct Crowd {
    burst: u32,
    rate: u32,
    buckets: HashMap<IpAddr, Bucket>,
    others: Bucket,
}

impl Crowd {
    pub(super) fn new((burst, rate): (u32, u32), now: Instant) -> Self {
        Self { burst, rate, buckets: HashMap::new(), others: Bucket::new(burst, rate, now) }
    }

    /// Whether a connection from there may come in now.
    pub(super) fn admit(&mut self, from: IpAddr, now: Instant) -> bool {
        let from = network(from);
        if !self.buckets.contains_key(&from) && self.buckets.len() >= ADDRESSES {
            // A full bucket says nothing that a new one would not.
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
            if self.buckets.len() >= ADDRESSES {
                return self.others.take(now);
            }
        }
        let new = || Bucket::new(self.burst, self.rate, now);
        self.buckets.entry(from).or_insert_with(new).take(now)
    }
}

fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_address_has_its_own_share() {
        let now = Instant::now();
        let mut crowd = Crowd::new((2, 1), now);
        let come = |crowd: &mut Crowd, from, times| {
            (0..times).filter(|_| crowd.admit(ip(from), now)).count()
        };
        assert_eq!(come(&mut crowd, "192.0.2.1", 5), 2);
        assert_eq!(come(&mut crowd, "::ffff:192.0.2.1", 5), 0, "the same");
        assert_eq!(come(&mut crowd, "192.0.2.2", 5), 2);
        assert_eq!(come(&mut crowd, "2001:db8::1", 1), 1);
        assert_eq!(come(&mut crowd, "2001:db8::2", 5), 1, "the same network");
        assert_eq!(come(&mut crowd, "2001:db8:0:1::1", 5), 2);
    }

    #[test]
    fn many_addresses_take_no_more_room() {
        let now = Instant::now();
        let mut crowd = Crowd::new((2, 1), now);
        let admitted = (0..20_000u32).filter(|n| crowd.admit(IpAddr::from(n.to_be_bytes()), now));
        assert_eq!(admitted.count(), ADDRESSES + 2);
        assert_eq!(crowd.buckets.len(), ADDRESSES);
        // Forgotten when they have been quiet for long enough.
        let later = now + Duration::from_secs(9);
        assert!(crowd.admit(ip("192.0.2.1"), later));
        assert_eq!(crowd.buckets.len(), 1);
    }
}
