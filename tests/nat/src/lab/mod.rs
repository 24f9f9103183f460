//! An internet on one machine: a router, sites that are connected to it in different ways, and
//! hosts there. Each is a network namespace; all are gone when the lab is dropped, or its process.
//!
//! ```text
//!   server ── internet ── box ── host      a box translates addresses, or is a firewall
//!                  │       └──── host
//!                  └────── host            a host with a public address
//! ```

mod address;
mod cut;
mod distance;
mod kind;
mod namespace;

pub use address::Family;
pub use cut::{Cut, How};
pub use distance::Distance;
pub use kind::Kind;
pub use namespace::Namespace;

use std::{
    fmt::Write as _,
    io,
    net::IpAddr,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

/// An internet and what is connected to it.
#[derive(Debug)]
pub struct Lab {
    internet: Arc<Namespace>,
    family: Family,
    server: Site,
    sites: Vec<Site>,
    cuts: AtomicU32,
    _forwarder: Option<distance::Forwarder>,
}

/// A place that is connected to the internet in one way.
#[derive(Debug)]
pub struct Site {
    /// How.
    pub kind: Kind,
    /// Between the hosts and the internet, if something is.
    gate: Option<Namespace>,
    /// Where it is connected: the box, or the host.
    outer: IpAddr,
    hosts: Vec<Host>,
}

/// A machine.
#[derive(Debug)]
pub struct Host {
    /// Its network.
    pub namespace: Namespace,
    /// Its own address.
    pub address: IpAddr,
}

/// What a lab shall be.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    sites: Vec<(Kind, u8)>,
    family: Family,
    distance: Option<Distance>,
    alike: bool,
}

impl Builder {
    /// A site with this many hosts, of at most 14. Without a box there is one.
    #[must_use]
    pub fn site(mut self, kind: Kind, hosts: u8) -> Self {
        assert!((1..=14).contains(&hosts) && (hosts == 1 || kind.has_box()), "so many hosts");
        assert!(self.sites.len() < 14, "so many sites");
        self.sites.push((kind, hosts));
        self
    }

    /// With addresses of this family, and none of the other.
    #[must_use]
    pub fn family(mut self, family: Family) -> Self {
        self.family = family;
        self
    }

    /// With the same private addresses at all sites, as home networks have.
    #[must_use]
    pub fn alike(mut self) -> Self {
        self.alike = true;
        self
    }

    /// With a distance between the sites.
    #[must_use]
    pub fn distance(mut self, distance: Distance) -> Self {
        self.distance = Some(distance);
        self
    }

    /// Makes it.
    ///
    /// # Errors
    /// What the system, `ip` or `nft` say.
    pub fn build(self) -> io::Result<Lab> {
        let family = self.family;
        let internet = Namespace::new("internet")?;
        internet.set(family.forwarding(), "1")?;
        // What is sent to private addresses vanishes, as it does out there.
        internet.ip(&format!("route add blackhole {}\n", family.nowhere()))?;
        let forwarder = self
            .distance
            .map(|distance| distance::Forwarder::start(&internet, distance))
            .transpose()?;
        let server = Site::build(&internet, family, (0, 0), (Kind::None, 1))?;
        let sites = self.sites.iter().zip(1..);
        let sites = sites
            .map(|(site, number)| {
                let private = if self.alike { 1 } else { number };
                Site::build(&internet, family, (number, private), *site)
            })
            .collect::<io::Result<Vec<_>>>()?;
        if forwarder.is_some() {
            let mut lines = format!("route add default dev {} table 100\n", distance::DEVICE);
            let ip = family.ip();
            if family == Family::V6 {
                lines = format!("route add ::/0 dev {} table 100\n", distance::DEVICE);
            }
            for number in 0..=sites.len() {
                let _ = writeln!(lines, "rule add iif down{number} lookup 100");
            }
            internet.ip_of(ip, &lines)?;
        }
        let cuts = AtomicU32::new(0);
        let internet = Arc::new(internet);
        Ok(Lab { internet, family, server, sites, cuts, _forwarder: forwarder })
    }
}

impl Lab {
    /// One that has no site yet.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Two sites, with one host each.
    #[must_use]
    pub fn pair(one: Kind, other: Kind) -> Builder {
        Self::builder().site(one, 1).site(other, 1)
    }

    /// A host with a public address, for the rendezvous.
    #[must_use]
    pub fn server(&self) -> &Host {
        &self.server.hosts[0]
    }

    /// The sites, in the order in which they were given.
    #[must_use]
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// The hosts of all sites, site by site.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.sites.iter().flat_map(|site| &site.hosts)
    }

    /// Any address of its family, to listen on.
    #[must_use]
    pub fn anywhere(&self) -> IpAddr {
        self.family.unspecified()
    }

    /// Cuts the way between two sites.
    #[must_use]
    pub fn cut(&self, one: usize, other: usize, how: How) -> Cut {
        self.cut_off(self.sites[one].outside(), Some(self.sites[other].outside()), how)
    }

    /// Cuts a site off from everybody.
    #[must_use]
    pub fn isolate(&self, site: usize, how: How) -> Cut {
        self.cut_off(self.sites[site].outside(), None, how)
    }

    fn cut_off(&self, one: IpAddr, other: Option<IpAddr>, how: How) -> Cut {
        let name = self.cuts.fetch_add(1, Ordering::Relaxed);
        Cut::new(&self.internet, self.family, (name, how), (one, other))
    }
}

impl Site {
    /// Its hosts.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The address that others see it at.
    #[must_use]
    pub fn outside(&self) -> IpAddr {
        match self.kind {
            Kind::NoInbound => self.hosts[0].address,
            _ => self.outer,
        }
    }

    /// The box, if there is one.
    #[must_use]
    pub fn gate(&self) -> Option<&Namespace> {
        self.gate.as_ref()
    }

    fn build(
        internet: &Namespace,
        family: Family,
        (number, private): (u8, u8),
        (kind, hosts): (Kind, u8),
    ) -> io::Result<Self> {
        let outer = family.outer(number);
        let down = format!("down{number}");
        let upstream = Port { namespace: internet, name: &down, address: family.router() };
        if !kind.has_box() {
            let namespace = Namespace::new(format!("host {number}"))?;
            connect(
                family,
                &upstream,
                Port { namespace: &namespace, name: "net0", address: outer },
            )?;
            let hosts = vec![Host { namespace, address: outer }];
            return Ok(Self { kind, gate: None, outer, hosts });
        }
        let gate = Namespace::new(format!("box {number}"))?;
        gate.set(family.forwarding(), "1")?;
        connect(family, &upstream, Port { namespace: &gate, name: "wan", address: outer })?;
        let mut made = Vec::new();
        for host in 0..hosts {
            let address = match kind.translates() {
                true => family.private(private, 2 + host),
                false => family.public(number, 2 + host),
            };
            let namespace = Namespace::new(format!("host {number}.{host}"))?;
            let port = format!("lan{host}");
            let inner = Port { namespace: &gate, name: &port, address: family.gateway(private) };
            connect(family, &inner, Port { namespace: &namespace, name: "net0", address })?;
            if !kind.translates() {
                internet.ip(&format!("route add {address} via {outer} dev {down}\n"))?;
            }
            made.push(Host { namespace, address });
        }
        gate.nft(&kind.rules(family, &made[0].address.to_string()))?;
        Ok(Self { kind, gate: Some(gate), outer, hosts: made })
    }
}

/// An end of a cable.
struct Port<'a> {
    namespace: &'a Namespace,
    name: &'a str,
    address: IpAddr,
}

/// Lays a cable. Each end has an address of its own and a route to the other; the lower end's
/// way to everybody is the upper one.
fn connect(family: Family, upper: &Port<'_>, lower: Port<'_>) -> io::Result<()> {
    let (bits, ip) = (family.bits(), family.ip());
    let nodad = if family == Family::V6 { "nodad" } else { "" };
    let (upper_name, lower_name) = (upper.name, lower.name);
    let (upper_address, lower_address) = (upper.address, lower.address);
    upper.namespace.ip(&format!(
        "link add name {upper_name} type veth peer name {lower_name} netns {}
         addr add {upper_address}/{bits} dev {upper_name} {nodad}
         link set {upper_name} up\n",
        lower.namespace.path(),
    ))?;
    lower.namespace.ip_of(
        ip,
        &format!(
            "addr add {lower_address}/{bits} dev {lower_name} {nodad}
             link set {lower_name} up
             route add {upper_address} dev {lower_name}
             route add default via {upper_address} dev {lower_name}\n"
        ),
    )?;
    upper.namespace.ip_of(ip, &format!("route add {lower_address} dev {upper_name}\n"))
}

/// Set where a lab must be possible: then nothing that is missing passes for a skipped test.
const REQUIRED: &str = "NAT_TESTS";

/// What is missing here for a lab, if anything is. Tests end early then, and say so.
///
/// # Panics
/// If something is missing although `NAT_TESTS=required`.
#[must_use]
pub fn missing() -> Option<String> {
    let missing = look();
    if let Some(missing) = &missing {
        let required = std::env::var(REQUIRED).is_ok_and(|value| value == "required");
        assert!(!required, "{REQUIRED}=required, but {missing}");
    }
    missing
}

fn look() -> Option<String> {
    for program in ["ip", "nft"] {
        let mut version = Command::new(program);
        let version = version.arg("-V").stdout(Stdio::null()).stderr(Stdio::null());
        if let Err(error) = version.status() {
            return Some(format!("{program} cannot be run: {error}"));
        }
    }
    let rules =
        "table inet probe {\n chain out {\n type nat hook postrouting priority 100;\n }\n}\n";
    let tried = Namespace::new("probe").and_then(|probe| probe.nft(rules));
    tried.err().map(|error| format!("network namespaces with nftables cannot be made: {error}"))
}
