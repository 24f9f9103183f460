//! Which channels a job may use.

use std::fmt;
use std::str::FromStr;

use fmi_actors::Error;

use super::{Config, suggest};

const NAMES: [&str; 4] = ["local", "shm", "tcp", "quic"];
const SCHEMES: [&str; 5] = ["redis", "rediss", "valkey", "valkeys", "s3"];

/// One channel, as a name or a URL: `local`, `shm`, `tcp`, `quic`, `redis://HOST:PORT/DB`,
/// `s3://BUCKET/PREFIX?region=…`.
///
/// Neither `Debug` nor `Display` shows a password in a URL.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChannelSpec {
    /// Between ranks of one process.
    Local,
    /// Shared memory, between processes of one machine.
    Shm,
    /// TCP links.
    Tcp,
    /// QUIC links.
    Quic,
    /// A Redis server, with its `redis://` or `rediss://` URL (or `valkey://`, `valkeys://`).
    Redis(String),
    /// An S3 bucket, with its `s3://` URL.
    S3(String),
}

impl ChannelSpec {
    /// `local`, `shm`, `tcp`, `quic`, `redis` or `s3`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Shm => "shm",
            Self::Tcp => "tcp",
            Self::Quic => "quic",
            Self::Redis(_) => "redis",
            Self::S3(_) => "s3",
        }
    }

    /// The whole URL, password and all, of a channel that has one.
    pub fn url(&self) -> Option<&str> {
        match self {
            Self::Redis(url) | Self::S3(url) => Some(url),
            _ => None,
        }
    }

    /// Whether its URL names a server on this machine, by a loopback address or `localhost`.
    ///
    /// ```
    /// # use fmi::config::ChannelSpec;
    /// let is_here = |url: &str| url.parse::<ChannelSpec>().unwrap().is_here();
    /// assert!(is_here("redis://user:secret@localhost:6379/0") && is_here("redis://[::1]?ttl=60"));
    /// assert!(!is_here("redis://cache.example.com:6379") && !is_here("tcp"));
    /// ```
    pub fn is_here(&self) -> bool {
        let Self::Redis(url) = self else { return false };
        let rest = url.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split(['/', '?', ',']).next().unwrap_or_default();
        let server = authority.rsplit('@').next().unwrap_or_default();
        let host = match server.strip_prefix('[') {
            Some(address) => address.split(']').next().unwrap_or_default(),
            None => server.split(':').next().unwrap_or_default(),
        };
        host == "localhost" || host.parse().is_ok_and(|host: std::net::IpAddr| host.is_loopback())
    }

    /// Why this build cannot use the channel; `None` if it can.
    pub fn unavailable(&self) -> Option<&'static str> {
        match self {
            Self::Local => None,
            Self::Tcp if cfg!(feature = "tcp") => None,
            Self::Tcp => Some("built without the feature \"tcp\""),
            Self::Quic if cfg!(feature = "quic") => None,
            Self::Quic => Some("built without the feature \"quic\""),
            Self::Redis(_) if cfg!(feature = "redis") => None,
            Self::Redis(_) => Some("built without the feature \"redis\""),
            Self::S3(_) if cfg!(feature = "s3") => None,
            Self::S3(_) => Some("built without the feature \"s3\""),
            Self::Shm if !cfg!(feature = "shm") => Some("built without the feature \"shm\""),
            Self::Shm if cfg!(target_os = "linux") => None,
            Self::Shm => Some("only Linux shares memory so"),
        }
    }

    /// Whether it keeps what is sent until it is read: a store can be the rendezvous, too.
    pub fn is_store(&self) -> bool {
        matches!(self, Self::Redis(_) | Self::S3(_))
    }

    /// Whether it reaches ranks of other processes.
    pub(super) fn leaves_the_process(&self) -> bool {
        !matches!(self, Self::Local)
    }

    pub(super) fn read(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return match text {
                "local" => Ok(Self::Local),
                "shm" => Ok(Self::Shm),
                "tcp" => Ok(Self::Tcp),
                "quic" => Ok(Self::Quic),
                "redis" | "rediss" | "valkey" | "valkeys" => {
                    Err(format!("the channel {text} needs an address: write {text}://HOST:PORT"))
                }
                "s3" => Err("the channel s3 needs a bucket: write s3://BUCKET/PREFIX".to_owned()),
                _ => Err(unknown(text)),
            };
        };
        let host_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let host = rest[..host_end].rsplit('@').next().unwrap_or("");
        match scheme {
            "redis" | "rediss" | "valkey" | "valkeys"
                if host.is_empty() || host.starts_with(':') =>
            {
                Err(format!("{:?} names no host: write {scheme}://HOST:PORT", hidden(text)))
            }
            "redis" | "rediss" | "valkey" | "valkeys" => {
                check_redis(text)?;
                Ok(Self::Redis(text.to_owned()))
            }
            "s3" if host.is_empty() => {
                Err(format!("{:?} names no bucket: write s3://BUCKET", hidden(text)))
            }
            "s3" => {
                check_s3(text)?;
                Ok(Self::S3(text.to_owned()))
            }
            _ if NAMES.contains(&scheme) => Err(format!(
                "the channel {scheme} takes no address: write \"{scheme}\" (where to meet goes \
                 to FMI_RENDEZVOUS, where to listen to FMI_LISTEN)"
            )),
            _ => Err(unknown(scheme)),
        }
    }
}

impl fmt::Display for ChannelSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.url() {
            Some(url) => f.write_str(&hidden(url)),
            None => f.write_str(self.name()),
        }
    }
}

impl fmt::Debug for ChannelSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChannelSpec({self})")
    }
}

impl FromStr for ChannelSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::read(text).map_err(|wrong| super::told("channel", wrong))
    }
}

/// Something that the configuration asks for and this build does not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// The channel or key.
    pub what: String,
    /// Why not.
    pub why: &'static str,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

impl Config {
    /// The configured channels that this build can use, in the order given.
    pub fn available(&self) -> impl Iterator<Item = &ChannelSpec> {
        self.channels.iter().filter(|channel| channel.unavailable().is_none())
    }

    /// What the configuration asks for and this build ignores. Show it to the user.
    pub fn unavailable(&self) -> Vec<Unavailable> {
        let channels = self.channels.iter().filter_map(|channel| {
            Some(Unavailable { what: channel.to_string(), why: channel.unavailable()? })
        });
        channels.collect()
    }
}

/// What the channel itself says of its URL, if this build has it.
fn check_redis(url: &str) -> Result<(), String> {
    #[cfg(feature = "redis")]
    return read_by(url, fmi_channels::redis::check_url(url));
    #[cfg(not(feature = "redis"))]
    read_by(url, Ok(()))
}

fn check_s3(url: &str) -> Result<(), String> {
    #[cfg(feature = "s3")]
    return read_by(url, fmi_channels::s3::Location::parse(url).map(drop));
    #[cfg(not(feature = "s3"))]
    read_by(url, Ok(()))
}

fn read_by(url: &str, read: Result<(), Error>) -> Result<(), String> {
    read.map_err(|wrong| match wrong {
        Error::Config { message, .. } => format!("{:?}: {message}", hidden(url)),
        other => other.to_string(),
    })
}

/// Reads a comma list of channels.
pub(super) fn list(text: &str) -> Result<Vec<ChannelSpec>, String> {
    let channels = items(text).into_iter().map(|item| ChannelSpec::read(item.trim()));
    let channels = channels.collect::<Result<Vec<_>, _>>()?;
    check(&channels)?;
    Ok(channels)
}

/// The items of a comma list. A URL of several servers has commas itself, and says at its end
/// what they are: `redis://a,b,c?cluster=true`.
fn items(text: &str) -> Vec<String> {
    let mut items = Vec::new();
    let mut rest = text.split(',').peekable();
    while let Some(item) = rest.next() {
        let mut item = item.to_owned();
        let of_one = |piece: &&str| !piece.contains("://");
        let several = item.contains("://") && !item.contains('?') && {
            let mut following = rest.clone().take_while(of_one);
            following.any(|piece| piece.contains("cluster=") || piece.contains("sentinel="))
        };
        while several && !item.contains('?') {
            let Some(more) = rest.next() else { break };
            item = format!("{item},{more}");
        }
        items.push(item);
    }
    items
}

/// Refuses a channel named twice.
pub(super) fn check(channels: &[ChannelSpec]) -> Result<(), String> {
    match channels.iter().enumerate().find(|(at, channel)| channels[..*at].contains(channel)) {
        Some((_, channel)) => Err(format!("the channel {channel} is named twice: name it once")),
        None => Ok(()),
    }
}

/// A URL or address without what stands before the "@", which may be a password, and without the
/// values of parameters that are secrets.
pub(super) fn hidden(url: &str) -> String {
    let url = match url.rsplit_once('@') {
        None => url.to_owned(),
        Some((before, after)) => match before.split_once("://") {
            Some((scheme, _)) => format!("{scheme}://***@{after}"),
            None => format!("***@{after}"),
        },
    };
    let Some((place, query)) = url.split_once('?') else { return url };
    let shown = |pair: &str| match pair.split_once('=') {
        Some((key, _)) if ["password", "secret", "token"].iter().any(|word| key.contains(word)) => {
            format!("{key}=***")
        }
        _ => pair.to_owned(),
    };
    let query: Vec<_> = query.split('&').map(shown).collect();
    format!("{place}?{}", query.join("&"))
}

fn unknown(name: &str) -> String {
    if name.is_empty() {
        return "a channel with no name in the list: take the extra comma away".to_owned();
    }
    let name = hidden(name);
    match suggest::closest(&name, NAMES.into_iter().chain(SCHEMES)) {
        Some(known) => format!("{name:?} is no channel: did you mean {known:?}?"),
        None => format!(
            "{name:?} is no channel: the channels are local, shm, tcp, quic, redis://HOST:PORT \
             and s3://BUCKET"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_and_urls() {
        let text = "local, shm,tcp,quic,redis://h:6379/0,s3://bucket/prefix?region=eu-central-1";
        let channels = list(text).unwrap();
        let names: Vec<_> = channels.iter().map(ChannelSpec::name).collect();
        assert_eq!(names, ["local", "shm", "tcp", "quic", "redis", "s3"]);
        assert_eq!(channels[4].url(), Some("redis://h:6379/0"));
        assert_eq!(channels[5].to_string(), "s3://bucket/prefix?region=eu-central-1");
        assert_eq!(channels[0].url(), None);
    }

    #[test]
    fn a_url_of_several_servers_is_one_channel() {
        let text = "redis://:pw@a,b:1,c?cluster=true,tcp, s3://bucket";
        let channels = list(text).unwrap();
        assert_eq!(channels[0].url(), Some("redis://:pw@a,b:1,c?cluster=true"));
        assert_eq!(channels[1..], [ChannelSpec::Tcp, ChannelSpec::S3("s3://bucket".to_owned())]);
        let channels = list("redis://a?ttl=5,tcp,redis://b,c?sentinel=main").unwrap();
        assert_eq!(channels[0].url(), Some("redis://a?ttl=5"));
        assert_eq!(channels[2].url(), Some("redis://b,c?sentinel=main"));
        assert_eq!(list("redis://a,tpc,tcp").unwrap_err(), unknown("tpc"));
    }

    #[cfg(all(feature = "redis", feature = "s3"))]
    #[test]
    fn urls_are_read_when_they_are_given() {
        for (url, part) in [
            ("redis://:hunter2@h/first", "database is no number"),
            ("redis://:hunter2@h?tttl=3", "\"tttl\" is none of"),
            ("s3://bucket?regoin=x", "\"regoin\" is unknown"),
            ("s3://AKIA:hunter2@bucket", "credentials do not belong into it"),
        ] {
            let wrong = ChannelSpec::read(url).unwrap_err();
            assert!(wrong.contains(part) && !wrong.contains("hunter2"), "{wrong}");
        }
    }

    #[test]
    fn refuses_what_is_no_channel() {
        for (text, wrong) in [
            ("tpc", "\"tpc\" is no channel: did you mean \"tcp\"?"),
            ("reddis://h", "\"reddis\" is no channel: did you mean \"redis\"?"),
            ("local,,tcp", "a channel with no name in the list: take the extra comma away"),
            ("tcp,local,tcp", "the channel tcp is named twice: name it once"),
            ("redis", "the channel redis needs an address: write redis://HOST:PORT"),
            ("tcp,s3", "the channel s3 needs a bucket: write s3://BUCKET/PREFIX"),
            ("s3:///prefix", "\"s3:///prefix\" names no bucket: write s3://BUCKET"),
            ("redis://:pw@:1", "\"redis://***@:1\" names no host: write redis://HOST:PORT"),
            (
                "pigeon",
                "\"pigeon\" is no channel: the channels are local, shm, tcp, quic, \
                 redis://HOST:PORT and s3://BUCKET",
            ),
            (
                "tcp://h:1",
                "the channel tcp takes no address: write \"tcp\" (where to meet goes to \
                 FMI_RENDEZVOUS, where to listen to FMI_LISTEN)",
            ),
        ] {
            assert_eq!(list(text).unwrap_err(), wrong, "{text}");
        }
    }

    #[test]
    fn shows_no_password() {
        let channel: ChannelSpec = "redis://me:p@ss@h:1/0".parse().unwrap();
        assert_eq!(channel.to_string(), "redis://***@h:1/0");
        assert_eq!(format!("{channel:?}"), "ChannelSpec(redis://***@h:1/0)");
        assert_eq!(channel.url(), Some("redis://me:p@ss@h:1/0"));
    }

    #[cfg(not(feature = "quic"))]
    #[test]
    fn reports_what_is_not_built() {
        let config = Config::default().channels("local,quic").unwrap();
        let reported: Vec<_> = config.unavailable().iter().map(ToString::to_string).collect();
        assert_eq!(reported, ["quic: built without the feature \"quic\""]);
        assert_eq!(config.available().collect::<Vec<_>>(), [&ChannelSpec::Local]);
    }

    #[test]
    fn features_decide_what_is_there() {
        let why = ChannelSpec::Quic.unavailable();
        let missing = (!cfg!(feature = "quic")).then_some("built without the feature \"quic\"");
        assert_eq!(why, missing);
        let why = ChannelSpec::Tcp.unavailable();
        let missing = (!cfg!(feature = "tcp")).then_some("built without the feature \"tcp\"");
        assert_eq!(why, missing);
        let why = ChannelSpec::Redis("redis://h".to_owned()).unavailable();
        let missing = (!cfg!(feature = "redis")).then_some("built without the feature \"redis\"");
        assert_eq!(why, missing);
        let why = ChannelSpec::S3("s3://bucket".to_owned()).unavailable();
        let missing = (!cfg!(feature = "s3")).then_some("built without the feature \"s3\"");
        assert_eq!(why, missing);
    }
}
