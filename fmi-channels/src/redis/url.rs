//! Where the server is and how it is to be spoken to, from a URL.
//!
//! `redis://[[USER]:PASSWORD@]HOST[:PORT][,HOST[:PORT]…][/DB][?KEY=VALUE&…]`, `rediss://` with TLS.

use fmi_actors::{Error, Result};
use std::{fmt, path::PathBuf, time::Duration};

/// How long what a crash leaves behind stays in the store, unless the URL says otherwise.
const TTL: Duration = Duration::from_secs(120);
const SHORTEST_TTL: Duration = Duration::from_millis(500);
const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// What a URL says.
#[derive(Clone)]
pub(super) struct Target {
    /// Host and port of each server that is named; sentinels, if there are some.
    pub(super) servers: Vec<Address>,
    pub(super) kind: Kind,
    /// Encrypted.
    pub(super) tls: bool,
    /// A file with the certificates that sign the server's, beside those that the machine trusts.
    pub(super) ca: Option<PathBuf>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    /// The user and password of the sentinels.
    pub(super) sentinel_user: Option<String>,
    pub(super) sentinel_password: Option<String>,
    pub(super) database: i64,
    /// Every key has this time to live; what is in use is refreshed.
    pub(super) ttl: Duration,
}

/// Host and port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

/// What is behind the addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// One server.
    Single,
    /// Servers that share the keys.
    Cluster,
    /// Sentinels that know which server is the master of this name.
    Sentinel(String),
}

impl Target {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`Error::Config`] that says what is wrong with it, without its password.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong(url, "has no scheme"))?;
        let tls = match scheme {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            _ => return Err(wrong(url, "its scheme is neither redis:// nor rediss://")),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (place, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = match place.rsplit_once('@') {
            Some((login, hosts)) => (Some(login), hosts),
            None => (None, place),
        };
        let (user, password) = match login.map(|login| login.split_once(':')) {
            Some(Some((user, password))) => (some(user), some(password)),
            Some(None) => (login.and_then(some), None),
            None => (None, None),
        };
        let decoded = |text: Option<&str>| match text {
            Some(text) => decode(text)
                .map(Some)
                .ok_or_else(|| wrong(url, "its user or password has a % that is no code")),
            None => Ok(None),
        };
        let mut target = Self {
            servers: Vec::new(),
            kind: Kind::Single,
            tls,
            ca: None,
            user: decoded(user)?,
            password: decoded(password)?,
            sentinel_user: None,
            sentinel_password: None,
            database: match database.trim_end_matches('/') {
                "" => 0,
                number => number
                    .parse()
                    .ok()
                    .filter(|number| *number >= 0)
                    .ok_or_else(|| wrong(url, "its database is no number"))?,
            },
            ttl: TTL,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            target.set(url, pair)?;
        }
        let port = if matches!(target.kind, Kind::Sentinel(_)) { SENTINEL_PORT } else { PORT };
        for host in hosts.split(',') {
            let address = Address::parse(host, port)
                .ok_or_else(|| wrong(url, "it needs a host: redis://HOST:PORT"))?;
            target.servers.push(address);
        }
        if target.kind == Kind::Single && target.servers.len() > 1 {
            let advice = "several servers are a ?cluster=true or know a ?sentinel=NAME";
            return Err(wrong(url, advice));
        }
        if target.kind == Kind::Cluster && target.database != 0 {
            return Err(wrong(url, "a cluster has database 0 only"));
        }
        Ok(target)
    }

    fn set(&mut self, url: &str, pair: &str) -> Result<()> {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decode(value).ok_or_else(|| wrong(url, "it has a % that is no code"))?;
        match key {
            "cluster" => match &*value {
                "true" | "" => self.kind = Kind::Cluster,
                "false" => {}
                _ => return Err(wrong(url, "cluster is true or false")),
            },
            "sentinel" if !value.is_empty() => self.kind = Kind::Sentinel(value),
            "sentinel_user" => self.sentinel_user = Some(value),
            "sentinel_password" => self.sentinel_password = Some(value),
            "ca" if !value.is_empty() => self.ca = Some(value.into()),
            "ttl" => {
                let seconds = value.parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
                self.ttl = seconds
                    .filter(|ttl| *ttl >= SHORTEST_TTL)
                    .ok_or_else(|| wrong(url, "ttl is a number of seconds from 0.5 on"))?;
            }
            _ => {
                let known = "cluster, sentinel, sentinel_user, sentinel_password, ca, ttl";
                return Err(wrong(url, &format!("{key:?} is none of {known}")));
            }
        }
        Ok(())
    }
}

impl fmt::Display for Target {
    /// The URL without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls { "rediss://" } else { "redis://" })?;
        for (index, server) in self.servers.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{server}")?;
        }
        if self.database != 0 {
            write!(f, "/{}", self.database)?;
        }
        match &self.kind {
            Kind::Single => Ok(()),
            Kind::Cluster => f.write_str("?cluster=true"),
            Kind::Sentinel(name) => write!(f, "?sentinel={name}"),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

impl Address {
    /// `HOST`, `HOST:PORT` or `[V6]:PORT`.
    pub(super) fn parse(text: &str, port: u16) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']')?;
                match rest.strip_prefix(':') {
                    Some(port) => (host, port.parse().ok()?),
                    None if rest.is_empty() => (host, port),
                    None => return None,
                }
            }
            None => match text.rsplit_once(':') {
                Some((host, port)) => (host, port.parse().ok()?),
                None => (text, port),
            },
        };
        (!host.is_empty() && !host.contains(':') || host.parse::<std::net::Ipv6Addr>().is_ok())
            .then(|| Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// The bytes of a text in which some are written as `%41`.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| (byte? as char).to_digit(16);
                (digit(rest.next())? * 16 + digit(rest.next())?) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn wrong(url: &str, message: &str) -> Error {
    // Whatever stands before the last @ may be a password.
    let shown = match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://…@{place}"),
        _ => url.to_owned(),
    };
    let shown = shown.split("sentinel_password=").next().unwrap_or_default().to_owned();
    Error::Config { origin: shown, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_there() {
        let target = Target::parse("redis://cache").unwrap();
        assert_eq!(target.servers, [Address { host: "cache".into(), port: 6379 }]);
        assert_eq!((target.tls, target.database, target.kind), (false, 0, Kind::Single));
        let target =
            Target::parse("rediss://me:p%40ss:w@[::1]:7000/3?ttl=2.5&ca=/etc/my%20ca.pem").unwrap();
        assert_eq!(target.servers, [Address { host: "::1".into(), port: 7000 }]);
        assert_eq!(
            (target.user.as_deref(), target.password.as_deref()),
            (Some("me"), Some("p@ss:w"))
        );
        assert_eq!(target.ca, Some("/etc/my ca.pem".into()));
        assert_eq!((target.tls, target.database), (true, 3));
        assert_eq!(target.ttl, Duration::from_millis(2500));
        let target = Target::parse("redis://:secret@a,b:1?sentinel=main").unwrap();
        assert_eq!(target.servers[0].port, 26379);
        assert_eq!((target.user, target.password.as_deref()), (None, Some("secret")));
        assert_eq!(target.kind, Kind::Sentinel("main".into()));
        assert_eq!(Target::parse("valkey://a,b,c?cluster=true").unwrap().kind, Kind::Cluster);
    }

    #[test]
    fn shows_no_secret() {
        let target = Target::parse("redis://me:secret@a:1,b:2?cluster=true").unwrap();
        assert_eq!(target.to_string(), "redis://a:1,b:2?cluster=true");
        for wrong in [
            "redis://me:secret@host/x",
            "redis://me:secret@host:port",
            "redis://me:sec%zzret@host",
            "http://me:secret@host",
            "redis://host?sentinel_password=secret&wrong=1",
        ] {
            let error = Target::parse(wrong).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (url, word) in [
            ("localhost:6379", "scheme"),
            ("http://x", "scheme"),
            ("redis://", "host"),
            ("redis://:6379", "host"),
            ("redis://a:b:c", "host"),
            ("redis://a/first", "database"),
            ("redis://a/-1", "database"),
            ("redis://a,b", "cluster"),
            ("redis://a/1?cluster=true", "database 0"),
            ("redis://a?ttl=0", "ttl"),
            ("redis://a?ttl=never", "ttl"),
            ("redis://a?cluster=maybe", "cluster"),
            ("redis://a?tttl=3", "tttl"),
        ] {
            let error = Target::parse(url).unwrap_err();
            assert!(matches!(error, Error::Config { .. }), "{error:?}");
            assert!(error.to_string().contains(word), "{url}: {error}");
        }
    }
}
