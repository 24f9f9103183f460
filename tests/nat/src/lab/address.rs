//! Who has which address. Those of the internet are the ones that documentation may use.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Of which family the addresses of a lab are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Family {
    /// 203.0.113.x and 198.51.100.x outside, 10.x behind address translations.
    #[default]
    V4,
    /// 2001:db8:… outside, fd00:… behind address translations.
    V6,
}

impl Family {
    /// The internet's own router, as its neighbours see it.
    pub(super) fn router(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::new(203, 0, 113, 1).into(),
            Self::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
        }
    }

    /// Where a site is connected to the internet: its box, or its only host.
    pub(super) fn outer(self, site: u8) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::new(203, 0, 113, 10 + site).into(),
            Self::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, site.into()).into(),
        }
    }

    /// The box, as the hosts behind it see it.
    pub(super) fn gateway(self, site: u8) -> IpAddr {
        self.private(site, 1)
    }

    /// A host behind an address translation.
    pub(super) fn private(self, site: u8, host: u8) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::new(10, 0, site, host).into(),
            Self::V6 => Ipv6Addr::new(0xfd00, 0, 0, site.into(), 0, 0, 0, host.into()).into(),
        }
    }

    /// A host with an address of its own behind a box: 16 a site.
    pub(super) fn public(self, site: u8, host: u8) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::new(198, 51, 100, site * 16 + host).into(),
            Self::V6 => Ipv6Addr::new(0x2001, 0xdb8, 1, site.into(), 0, 0, 0, host.into()).into(),
        }
    }

    /// What the internet has no way to.
    pub(super) fn nowhere(self) -> &'static str {
        match self {
            Self::V4 => "10.0.0.0/8",
            Self::V6 => "fd00::/8",
        }
    }

    /// Nobody in particular of this family.
    pub(super) fn unspecified(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Self::V6 => Ipv6Addr::UNSPECIFIED.into(),
        }
    }

    /// Bits of an address.
    pub(super) const fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// What `ip` calls it.
    pub(super) const fn ip(self) -> &'static str {
        match self {
            Self::V4 => "-4",
            Self::V6 => "-6",
        }
    }

    /// What `nft` calls it.
    pub(super) const fn nft(self) -> &'static str {
        match self {
            Self::V4 => "ip",
            Self::V6 => "ip6",
        }
    }

    /// What lets a namespace pass packets on, under `/proc/sys/net`.
    pub(super) const fn forwarding(self) -> &'static str {
        match self {
            Self::V4 => "ipv4/ip_forward",
            Self::V6 => "ipv6/conf/all/forwarding",
        }
    }
}
