//! Addresses: where the rendezvous is, where to listen, what to tell others.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use fmi_actors::Error;

use super::suggest;

/// Where the processes of a job find each other.
///
/// As text, `tcp://HOST:PORT` or `tls://HOST:PORT`: an `fmi rendezvous` server, the latter
/// started with a certificate. `file:///FOLDER`: a folder that all processes share.
/// `redis://…`, `rediss://…`, `s3://…`: a store, by the URL of the channel. Neither `Debug` nor
/// `Display` shows a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendezvous {
    scheme: Scheme,
    address: String,
}

/// What a rendezvous is, and how it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheme {
    /// A server, in the clear: authenticated, but who listens reads names and addresses.
    Tcp,
    /// A server, encrypted.
    Tls,
    /// A folder.
    File,
    /// A Redis server.
    Redis,
    /// A bucket.
    S3,
}

impl Scheme {
    /// As URLs have it, without `://`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::File => "file",
            Self::Redis => "redis",
            Self::S3 => "s3",
        }
    }
}

impl Rendezvous {
    /// What it is.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// `HOST:PORT`, as `ToSocketAddrs` and `tokio::net::lookup_host` take it; of a folder its
    /// path; of a store its whole URL, password and all.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The whole URL, password and all, as `FMI_RENDEZVOUS` takes it.
    pub fn url(&self) -> String {
        match self.scheme {
            Scheme::Redis | Scheme::S3 => self.address.clone(),
            _ => format!("{}://{}", self.scheme.name(), self.address),
        }
    }

    /// Why this build cannot use it; `None` if it can.
    pub fn unavailable(&self) -> Option<&'static str> {
        match self.scheme {
            Scheme::Tcp | Scheme::Tls if !cfg!(feature = "tcp") => {
                Some("built without the feature \"tcp\"")
            }
            Scheme::Redis if !cfg!(feature = "redis") => {
                Some("built without the feature \"redis\"")
            }
            Scheme::S3 if !cfg!(feature = "s3") => Some("built without the feature \"s3\""),
            _ => None,
        }
    }

    /// A folder of this machine.
    #[cfg(any(feature = "tcp", feature = "redis", feature = "s3"))]
    pub(crate) fn folder_at(path: &std::path::Path) -> Result<Self, Error> {
        let text = path.to_str().ok_or_else(|| {
            super::told("HOME", "is not valid UTF-8: set FMI_RENDEZVOUS and FMI_TOKEN")
        })?;
        folder(text).map_err(|wrong| super::told("HOME", wrong))
    }

    pub(super) fn read(url: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = url.split_once("://") else {
            let url = super::channel::hidden(url);
            return Err(format!("{url:?} is no URL: write tcp://HOST:PORT"));
        };
        let scheme = match scheme {
            "tcp" => Scheme::Tcp,
            "tls" => Scheme::Tls,
            "file" => return folder(rest),
            "redis" | "rediss" | "valkey" | "valkeys" => return store(Scheme::Redis, url),
            "s3" => return store(Scheme::S3, url),
            _ => return Err(unknown(scheme)),
        };
        let address = rest.strip_suffix('/').unwrap_or(rest);
        match parts(address)?.1 {
            Some(0) => Err(format!("{address:?} has port 0: write the port it listens on")),
            Some(_) => Ok(Self { scheme, address: address.to_owned() }),
            None => Err(format!("{address:?} has no port: write {}://HOST:PORT", scheme.name())),
        }
    }
}

impl fmt::Display for Rendezvous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&super::channel::hidden(&self.url()))
    }
}

impl fmt::Debug for Rendezvous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rendezvous({self})")
    }
}

impl FromStr for Rendezvous {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self, Error> {
        Self::read(url).map_err(|wrong| super::told("rendezvous", wrong))
    }
}

/// A store's URL, checked as that of its channel is.
fn store(scheme: Scheme, url: &str) -> Result<Rendezvous, String> {
    super::ChannelSpec::read(url)?;
    Ok(Rendezvous { scheme, address: url.to_owned() })
}

/// The path of a `file://` URL.
fn folder(path: &str) -> Result<Rendezvous, String> {
    let end = path.trim_end_matches('/');
    if !end.starts_with('/') {
        return Err(format!(
            "file://{path} names no folder: write file:// and an absolute path, as in \
             file:///shared/jobs"
        ));
    }
    Ok(Rendezvous { scheme: Scheme::File, address: end.to_owned() })
}

/// A URL that leads nowhere.
fn unknown(scheme: &str) -> String {
    let known = [Scheme::Tcp, Scheme::Tls, Scheme::File, Scheme::Redis, Scheme::S3];
    match suggest::closest(scheme, known.map(Scheme::name)) {
        Some(known) => format!("{scheme}:// leads to no rendezvous: did you mean {known}://?"),
        None => format!("{scheme}:// leads to no rendezvous: write tcp://HOST:PORT"),
    }
}

/// Checks an address to listen on.
pub(super) fn listen(address: &str) -> Result<String, String> {
    match parts(address)?.1 {
        Some(_) => Ok(address.to_owned()),
        None => Err(format!("{address:?} has no port: add one, or :0 for any free port")),
    }
}

/// Checks an address that others are told.
pub(super) fn advertise(address: &str) -> Result<String, String> {
    let (host, port) = parts(address)?;
    if host.parse().is_ok_and(|ip: IpAddr| ip.is_unspecified()) {
        return Err(format!(
            "{address:?} is no address that others can reach: write this machine's address"
        ));
    }
    match port {
        Some(0) => Err(format!("{address:?} has port 0: write the port that others can reach")),
        _ => Ok(address.to_owned()),
    }
}

/// `HOST:PORT`, with the brackets that an IPv6 address needs there.
pub(super) fn joined(host: &str, port: u16) -> String {
    match host.parse::<Ipv6Addr>() {
        Ok(ip) => format!("[{ip}]:{port}"),
        Err(_) => format!("{host}:{port}"),
    }
}

/// Host (without brackets) and port, if there is one.
pub(super) fn parts(address: &str) -> Result<(&str, Option<u16>), String> {
    // First, as what stands before the "@" may be a password and no message may show it.
    if address.contains('@') {
        return Err(format!(
            "{:?} is no address: write HOST:PORT",
            super::channel::hidden(address)
        ));
    }
    let (host, port) = if let Some(rest) = address.strip_prefix('[') {
        let (host, port) =
            rest.split_once(']').ok_or_else(|| format!("{address:?} lacks its \"]\""))?;
        if host.parse::<Ipv6Addr>().is_err() {
            return Err(format!("{host:?} is no IPv6 address"));
        }
        match port.strip_prefix(':') {
            None if !port.is_empty() => {
                return Err(format!("{address:?} is no address: write [IPV6]:PORT"));
            }
            port => (host, port),
        }
    } else {
        match address.rsplit_once(':') {
            None => (address, None),
            Some((host, _)) if host.contains(':') => {
                return Err(format!(
                    "{address:?} is no address: write HOST:PORT, an IPv6 address in brackets as \
                     in [::1]:10000"
                ));
            }
            Some((host, port)) => (host, Some(port)),
        }
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || "/?#[]".contains(c)) {
        return Err(format!("{address:?} is no address: write HOST:PORT"));
    }
    let number = |port: &str| {
        port.parse().map_err(|_| format!("{port:?} is no port: write a number up to 65535"))
    };
    Ok((host, port.map(number).transpose()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_rendezvous() {
        for (url, address) in [
            ("tcp://10.0.0.1:10000", "10.0.0.1:10000"),
            ("tcp://meet.example.org:1/", "meet.example.org:1"),
            ("tcp://[::1]:10000", "[::1]:10000"),
        ] {
            let rendezvous: Rendezvous = url.parse().unwrap();
            assert_eq!((rendezvous.scheme(), rendezvous.address()), (Scheme::Tcp, address));
            assert_eq!(rendezvous.to_string(), format!("tcp://{address}"));
        }
        let encrypted: Rendezvous = "tls://meet.example.org:443".parse().unwrap();
        assert_eq!(encrypted.scheme(), Scheme::Tls);
        assert_eq!(encrypted.to_string(), "tls://meet.example.org:443");
        let folder: Rendezvous = "file:///shared/my jobs/".parse().unwrap();
        assert_eq!((folder.scheme(), folder.address()), (Scheme::File, "/shared/my jobs"));
        assert_eq!(folder.to_string(), "file:///shared/my jobs");
    }

    #[test]
    fn refuses_other_rendezvous() {
        for (url, wrong) in [
            ("10.0.0.1:10000", "\"10.0.0.1:10000\" is no URL: write tcp://HOST:PORT"),
            ("http://h:1", "http:// leads to no rendezvous: write tcp://HOST:PORT"),
            ("tsl://h:1", "tsl:// leads to no rendezvous: did you mean tls://?"),
            (
                "file://shared/jobs",
                "file://shared/jobs names no folder: write file:// and an absolute path, as in \
                 file:///shared/jobs",
            ),
            (
                "file:///",
                "file:/// names no folder: write file:// and an absolute path, as in \
                 file:///shared/jobs",
            ),
            ("tls://h", "\"h\" has no port: write tls://HOST:PORT"),
            ("tcp://h", "\"h\" has no port: write tcp://HOST:PORT"),
            ("tcp://h:0", "\"h:0\" has port 0: write the port it listens on"),
            ("tcp://:10000", "\":10000\" is no address: write HOST:PORT"),
            ("tcp://h:x", "\"x\" is no port: write a number up to 65535"),
            ("tcp://h:65536", "\"65536\" is no port: write a number up to 65535"),
            ("tcp://me:pw@h:1", "\"***@h:1\" is no address: write HOST:PORT"),
            ("tcp://h:1/job", "\"1/job\" is no port: write a number up to 65535"),
            (
                "tcp://::1:10000",
                "\"::1:10000\" is no address: write HOST:PORT, an IPv6 address in brackets as in \
                 [::1]:10000",
            ),
            ("tcp://[::1:1", "\"[::1:1\" lacks its \"]\""),
            ("tcp://[h]:1", "\"h\" is no IPv6 address"),
            ("tcp://[::1]1", "\"[::1]1\" is no address: write [IPV6]:PORT"),
        ] {
            assert_eq!(Rendezvous::read(url).unwrap_err(), wrong, "{url}");
        }
    }

    #[test]
    fn stores_are_rendezvous_and_hide_passwords() {
        for (url, scheme, shown) in [
            ("redis://:hunter2@h:1/0", Scheme::Redis, "redis://***@h:1/0"),
            (
                "rediss://h?sentinel_password=hunter2",
                Scheme::Redis,
                "rediss://h?sentinel_password=***",
            ),
            ("s3://bucket/jobs?region=x", Scheme::S3, "s3://bucket/jobs?region=x"),
        ] {
            let store = Rendezvous::read(url).unwrap();
            assert_eq!((store.scheme(), store.address(), store.url().as_str()), (scheme, url, url));
            assert_eq!(store.to_string(), shown);
            assert_eq!(format!("{store:?}"), format!("Rendezvous({shown})"));
        }
        let wrong = Rendezvous::read("redis://:hunter2@:1").unwrap_err();
        assert_eq!(wrong, "\"redis://***@:1\" names no host: write redis://HOST:PORT");
    }

    #[test]
    fn checks_listen_and_advertise() {
        for address in ["0.0.0.0:0", "[::]:7000", "localhost:7000"] {
            assert_eq!(listen(address), Ok(address.to_owned()));
        }
        for address in ["10.0.0.7", "10.0.0.7:7000", "[fe80::1]", "host.example.org"] {
            assert_eq!(advertise(address), Ok(address.to_owned()));
        }
        for address in ["0.0.0.0", "[::]:7000"] {
            assert_eq!(
                advertise(address).unwrap_err(),
                format!(
                    "{address:?} is no address that others can reach: write this machine's address"
                )
            );
        }
        assert_eq!(
            advertise("h:0").unwrap_err(),
            "\"h:0\" has port 0: write the port that others can reach"
        );
    }

    #[test]
    fn joins_host_and_port() {
        assert_eq!(joined("::1", 7), "[::1]:7");
        assert_eq!(joined("h", 7), "h:7");
    }
}
