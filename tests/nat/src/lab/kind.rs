//! What may lie between a process and the internet.

use std::fmt;

use super::address::Family;

/// How a site is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A public address and nothing in between.
    None,
    /// Address translation that keeps ports and passes on whatever comes in, from anybody
    /// ("endpoint-independent filtering").
    FullCone,
    /// Keeps ports; lets in only answers from whom was written to. What home routers and NAT
    /// gateways do, and what Linux does by default.
    Restricted,
    /// As [`Restricted`](Self::Restricted), but what is not let in is refused instead of ignored:
    /// a reset for TCP, an ICMP message for UDP.
    Refusing,
    /// Another random port for each destination, lets in only answers.
    Symmetric,
    /// As [`Restricted`](Self::Restricted), and no datagram passes, either way.
    NoUdp,
    /// A public address behind a firewall that lets in only answers.
    NoInbound,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::FullCone,
        Self::Restricted,
        Self::Refusing,
        Self::Symmetric,
        Self::NoUdp,
        Self::NoInbound,
    ];

    /// Its name in tests and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::FullCone => "full_cone",
            Self::Restricted => "restricted",
            Self::Refusing => "refusing",
            Self::Symmetric => "symmetric",
            Self::NoUdp => "no_udp",
            Self::NoInbound => "no_inbound",
        }
    }

    /// Whether a box stands between the hosts of the site and the internet.
    #[must_use]
    pub const fn has_box(self) -> bool {
        !matches!(self, Self::None)
    }

    /// Whether that box hides addresses.
    #[must_use]
    pub const fn translates(self) -> bool {
        !matches!(self, Self::None | Self::NoInbound)
    }

    /// The rules of the box. Its interface to the internet is `wan`; `host` is the first host
    /// behind it.
    pub(super) fn rules(self, family: Family, host: &str) -> String {
        let ip = family.nft();
        let masquerade = match self {
            Self::None | Self::NoInbound => String::new(),
            Self::Symmetric => masquerade("random,fully-random"),
            _ => masquerade(""),
        };
        let inward = match self {
            Self::FullCone => format!(
                "chain inward {{ type nat hook prerouting priority dstnat; \
                 iifname wan dnat {ip} to {host}; }}"
            ),
            _ => String::new(),
        };
        let unasked = match self {
            Self::FullCone => "accept",
            _ => "drop",
        };
        let to_the_box = match self {
            Self::Refusing => "accept",
            _ => "drop",
        };
        let datagrams = match self {
            Self::NoUdp => "meta l4proto udp drop;",
            _ => "",
        };
        format!(
            "table inet box {{
               {masquerade}
               {inward}
               chain passing {{
                 type filter hook forward priority filter; policy {unasked};
                 {datagrams}
                 iifname != wan accept;
                 ct state established,related accept;
               }}
               chain arriving {{
                 type filter hook input priority filter; policy {to_the_box};
                 iifname != wan accept;
                 meta l4proto ipv6-icmp accept;
                 ct state established,related accept;
               }}
             }}"
        )
    }
}

fn masquerade(how: &str) -> String {
    format!(
        "chain outward {{ type nat hook postrouting priority srcnat; \
         oifname wan masquerade {how}; }}"
    )
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
