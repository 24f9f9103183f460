//! The channels of a process that meets others, as its configuration wants them.

use crate::config::{ChannelSpec, Config, Scheme};
use fmi_actors::{
    Result,
    channel::{Channel, Rung},
};
use fmi_channels::handshake::Token;
#[cfg(feature = "redis")]
use fmi_channels::redis::Redis;
#[cfg(feature = "s3")]
use fmi_channels::s3::S3;
#[cfg(all(feature = "shm", target_os = "linux"))]
use fmi_channels::shm::Shm;
#[cfg(feature = "tcp")]
use fmi_channels::{
    identity::Identity,
    outside::Outside,
    relay::Relay,
    tcp::{Protection, Tcp},
};
#[cfg(feature = "quic")]
use fmi_channels::{quic::Quic, rendezvous::mirror};
#[cfg(feature = "tcp")]
use std::time::Duration;
use std::{net::IpAddr, sync::Arc};

/// All of them, and those that learn something of the way out.
pub(super) struct Channels {
    all: Vec<Arc<dyn Channel>>,
    #[cfg(feature = "tcp")]
    identity: Arc<Identity>,
    #[cfg(feature = "tcp")]
    tcp: Option<Arc<Tcp>>,
    #[cfg(feature = "quic")]
    quic: Option<Arc<Quic>>,
    #[cfg(feature = "tcp")]
    relay: Option<Arc<Relay>>,
}

impl Channels {
    /// Takes ports, and connects to stores. `again`: the ports may still be held by the node that
    /// was.
    pub(super) async fn open(config: &Config, token: &Token, again: bool) -> Result<Self> {
        #[cfg(not(feature = "tcp"))]
        let _ = (token, again);
        let mut all: Vec<Arc<dyn Channel>> = Vec::new();
        #[cfg(all(feature = "shm", target_os = "linux"))]
        all.extend(open_shm(config, token)?.map(|shm| Arc::new(shm) as Arc<dyn Channel>));
        #[cfg(feature = "tcp")]
        let identity = Arc::new(Identity::new()?);
        #[cfg(feature = "tcp")]
        let mut tcp = None;
        #[cfg(feature = "tcp")]
        if wanted(config, &ChannelSpec::Tcp) {
            let bound = bind(config, token, again).await?;
            let bound = Arc::new(bound.protected(protection(config, &identity)));
            all.push(Arc::clone(&bound) as Arc<dyn Channel>);
            tcp = Some(bound);
        }
        #[cfg(feature = "quic")]
        let quic = match wanted(config, &ChannelSpec::Quic) {
            true => Some(Arc::new(bind_quic(config, token, &identity, again).await?)),
            false => None,
        };
        #[cfg(feature = "quic")]
        all.extend(quic.iter().map(|quic| Arc::clone(quic) as Arc<dyn Channel>));
        if config.ladder.contains(&Rung::Store) {
            for store in stores(config) {
                all.extend(open_store(config, &store).await?);
            }
        }
        // Who is named first is preferred.
        all.sort_by_key(|channel| {
            config.channels.iter().position(|spec| spec.name() == channel.name())
        });
        // For links that find no way; who wants stores alone gets nothing else.
        #[cfg(feature = "tcp")]
        let relay = (config.ladder.contains(&Rung::Relay)
            && [ChannelSpec::Tcp, ChannelSpec::Quic].iter().any(|spec| wanted(config, spec)))
        .then(|| Arc::new(Relay::new(token.clone(), Arc::clone(&identity))));
        #[cfg(feature = "tcp")]
        all.extend(relay.clone().map(|relay| relay as Arc<dyn Channel>));
        Ok(Self {
            all,
            #[cfg(feature = "tcp")]
            identity,
            #[cfg(feature = "tcp")]
            tcp,
            #[cfg(feature = "quic")]
            quic,
            #[cfg(feature = "tcp")]
            relay,
        })
    }

    /// For the node.
    pub(super) fn all(self) -> Vec<Arc<dyn Channel>> {
        self.all
    }

    /// Where others reach this process, by channel.
    pub(super) fn addresses(&self, own: IpAddr) -> Vec<(String, String)> {
        let address =
            |channel: &Arc<dyn Channel>| Some((channel.name().to_owned(), channel.address(own)?));
        self.all.iter().filter_map(address).collect()
    }

    /// Of the key that this process shows on encrypted links.
    pub(super) fn fingerprint(&self) -> Option<[u8; 32]> {
        #[cfg(feature = "tcp")]
        return Some(self.identity.fingerprint());
        #[cfg(not(feature = "tcp"))]
        None
    }

    /// The port that links come to: who registers from it lets the rendezvous see what an address
    /// translation makes of it.
    #[cfg(feature = "tcp")]
    pub(super) fn port(&self) -> Option<u16> {
        self.tcp.as_ref().map(|tcp| tcp.local_addr().port())
    }

    /// What the rendezvous knows of the way out.
    #[cfg(feature = "tcp")]
    pub(super) fn outside(&self, outside: &Outside) {
        if let Some(tcp) = &self.tcp {
            tcp.outside(outside.clone());
        }
        #[cfg(feature = "quic")]
        if let Some(quic) = &self.quic {
            quic.outside(outside.clone());
        }
        if let Some(relay) = &self.relay {
            relay.outside(outside.clone());
        }
    }

    /// Asks how the socket is seen from outside, where that can be guessed before registering: who
    /// calls a peer as soon as all are there has the answer then.
    pub(super) async fn look_ahead(&self, config: &Config) {
        #[cfg(feature = "quic")]
        if let Some(quic) = &self.quic
            && let Some(server) = &config.rendezvous
            && matches!(server.scheme(), Scheme::Tcp | Scheme::Tls)
            && config.ladder.contains(&Rung::Punched)
            // A name that is not known is for the registration to complain of.
            && let Ok(servers) = tokio::net::lookup_host(server.address()).await
        {
            servers.take(SERVERS).for_each(|server| quic.look(&mirror::likely(server)));
        }
        #[cfg(not(feature = "quic"))]
        let _ = config;
    }
}

/// Memory that processes of this machine share. Where that is not possible there are other ways, unless
/// it is all that was asked for.
#[cfg(all(feature = "shm", target_os = "linux"))]
fn open_shm(config: &Config, token: &Token) -> Result<Option<Shm>> {
    if !wanted(config, &ChannelSpec::Shm) || !config.ladder.contains(&Rung::Machine) {
        return Ok(None);
    }
    let between = |spec: &&ChannelSpec| !matches!(spec, ChannelSpec::Local);
    let alone = config.available().filter(between).eq([&ChannelSpec::Shm]);
    match Shm::bind(token.clone()) {
        Ok(shm) => Ok(Some(shm)),
        Err(error) if alone => Err(error),
        Err(error) => {
            tracing::warn!("processes of this machine do not share memory: {error}");
            Ok(None)
        }
    }
}

/// Whether a channel between processes that can reach each other is to be used.
#[cfg(feature = "tcp")]
fn wanted(config: &Config, spec: &ChannelSpec) -> bool {
    config.channels.is_empty() || config.channels.contains(spec)
}

/// The stores that carry messages: those among the channels; if none are named, the one where the
/// processes meet.
fn stores(config: &Config) -> Vec<ChannelSpec> {
    match &config.rendezvous {
        Some(place) if config.channels.is_empty() && place.unavailable().is_none() => {
            match place.scheme() {
                Scheme::Redis => vec![ChannelSpec::Redis(place.url())],
                Scheme::S3 => vec![ChannelSpec::S3(place.url())],
                _ => Vec::new(),
            }
        }
        _ => config.available().filter(|channel| channel.is_store()).cloned().collect(),
    }
}

/// The channel over a store; `None` if it is none.
/// How to look into a store: it is paid by the look, so for money unless it is said otherwise.
#[cfg(feature = "s3")]
fn polling(config: &Config) -> fmi_model::polling::Hint {
    config.hint.map_or_else(Default::default, Into::into)
}

async fn open_store(config: &Config, spec: &ChannelSpec) -> Result<Option<Arc<dyn Channel>>> {
    Ok(match spec {
        #[cfg(feature = "redis")]
        ChannelSpec::Redis(url) => {
            Some(Redis::connect(url, &config.job).await? as Arc<dyn Channel>)
        }
        #[cfg(feature = "s3")]
        ChannelSpec::S3(url) => {
            Some(S3::connect(url, &config.job, polling(config)).await? as Arc<dyn Channel>)
        }
        _ => {
            let _ = config;
            None
        }
    })
}

/// Listens for links over TCP.
#[cfg(feature = "tcp")]
async fn bind(config: &Config, token: &Token, again: bool) -> Result<Tcp> {
    let bind = || Tcp::bind(config.listen.as_deref(), config.advertise.clone(), token.clone());
    persist(bind, again).await
}

/// Takes a port for QUIC.
#[cfg(feature = "quic")]
async fn bind_quic(
    config: &Config,
    token: &Token,
    identity: &Arc<Identity>,
    again: bool,
) -> Result<Quic> {
    let bind = || {
        let (advertise, identity) = (config.advertise.clone(), Arc::clone(identity));
        Quic::bind(config.listen.as_deref(), advertise, token.clone(), identity)
    };
    persist(bind, again).await
}

/// Addresses of a name that are asked.
#[cfg(feature = "quic")]
const SERVERS: usize = 2;

/// A fixed port may be held for a moment by the node that was.
#[cfg(feature = "tcp")]
async fn persist<T>(bind: impl Fn() -> Result<T>, again: bool) -> Result<T> {
    let mut tries = if again { REBINDS } else { 0 };
    loop {
        let bound = bind();
        if bound.is_ok() || tries == 0 {
            return bound;
        }
        tries -= 1;
        tokio::time::sleep(REBIND).await;
    }
}

/// What its tcp links are protected by.
#[cfg(feature = "tcp")]
fn protection(config: &Config, identity: &Arc<Identity>) -> Protection {
    match (config.encrypt, config.checksum) {
        (true, _) => Protection::Tls(Arc::clone(identity)),
        (false, true) => Protection::Checksum,
        (false, false) => Protection::Plain,
    }
}

#[cfg(feature = "tcp")]
const REBINDS: u32 = 100;
#[cfg(feature = "tcp")]
const REBIND: Duration = Duration::from_millis(10);
