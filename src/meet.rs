//! How processes meet at the rendezvous: at first, and again after a loss.

use crate::{
    config::{ChannelSpec, Config, Scheme},
    join::{Joined, begin, cores_suffice, settings},
};
use fmi_actors::{
    Error, Member, NoRejoin, Node, Place, Reason, Result, Successor,
    channel::{Channel, Rung},
    home::{self, HomeHandle},
    service::Service,
};
use fmi_channels::{
    directory::{Directory, Folder, Membership, Server},
    handshake::Token,
    identity::Identity,
    relay::Relay,
    rendezvous::{After, Event, Ranks, Reach, Registration, Terms},
    tcp::{Protection, Tcp},
};
#[cfg(feature = "quic")]
use fmi_channels::{quic::Quic, rendezvous::mirror};
use futures::{channel::oneshot, future::BoxFuture};
use std::{fs, sync::Arc, time::Duration};

/// Registers and waits for the others; after a loss, with the place that this process had.
pub(crate) async fn meet(
    config: &Config,
    homes: &[HomeHandle],
    after: Option<After>,
) -> Result<Joined> {
    let rendezvous = config.rendezvous.as_ref().map(ToString::to_string).unwrap_or_default();
    let token = config.token.as_ref().ok_or_else(|| Error::Config {
        origin: "FMI_TOKEN".to_owned(),
        message: "is not set: set the token that the rendezvous was started with".to_owned(),
    })?;
    let token = Token::new(token.expose());
    let mut channels: Vec<Arc<dyn Channel>> = Vec::new();
    let wanted = |spec: &ChannelSpec| config.channels.is_empty() || config.channels.contains(spec);
    let identity = Arc::new(Identity::new()?);
    let mut tcp = None;
    if wanted(&ChannelSpec::Tcp) {
        let bound = bind(config, &token, after.is_some()).await?;
        let bound = Arc::new(bound.protected(protection(config, &identity)));
        channels.push(Arc::clone(&bound) as Arc<dyn Channel>);
        tcp = Some(bound);
    }
    #[cfg(feature = "quic")]
    let quic = match wanted(&ChannelSpec::Quic) {
        true => Some(Arc::new(bind_quic(config, &token, &identity, after.is_some()).await?)),
        false => None,
    };
    #[cfg(feature = "quic")]
    channels.extend(quic.iter().map(|quic| Arc::clone(quic) as Arc<dyn Channel>));
    // Who is named first is preferred.
    channels.sort_by_key(|channel| {
        config.channels.iter().position(|spec| spec.name() == channel.name())
    });
    let relay = config
        .ladder
        .contains(&Rung::Relay)
        .then(|| Arc::new(Relay::new(token.clone(), Arc::clone(&identity))));
    channels.extend(relay.clone().map(|relay| relay as Arc<dyn Channel>));
    let machine = machine();
    let register = |own: std::net::IpAddr| Registration {
        job: config.job.clone(),
        size: config.size.map(|size| size as u32),
        ranks: match &config.ranks {
            Some(ranks) => Ranks::Given(ranks.iter().map(|rank| *rank as u32).collect()),
            None => Ranks::Any(1),
        },
        addresses: channels
            .iter()
            .filter_map(|channel| Some((channel.name().to_owned(), channel.address(own)?)))
            .collect(),
        machine: machine.clone(),
        threads: homes.len().max(1) as u32,
        after: after.clone(),
        terms: terms(config),
        fingerprint: Some(identity.fingerprint()),
    };
    // From the port that links come to, so that the rendezvous sees what an address translation
    // makes of that.
    let port = tcp.as_ref().map(|tcp| tcp.local_addr().port());
    let reach = Reach { address: rendezvous.clone(), port, ca: config.rendezvous_ca.clone() };
    let directory = directory(config, reach, token);
    #[cfg(feature = "quic")]
    if let Some(quic) = &quic {
        look_ahead(config, quic).await;
    }
    let client = directory.register(Box::new(register), config.deadlines.join).await?;
    if let Some(outside) = client.outside() {
        if let Some(tcp) = &tcp {
            tcp.outside(outside.clone());
        }
        #[cfg(feature = "quic")]
        if let Some(quic) = &quic {
            quic.outside(outside.clone());
        }
        if let Some(relay) = &relay {
            relay.outside(outside);
        }
    }
    let formed = client.complete().await?;
    let (process, epoch, members) = (formed.process, formed.epoch, formed.members);
    let here = members.iter().filter(|member| member.machine == machine);
    let busy: u32 = here.map(|member| member.threads).sum();
    home::set_keep_awake(config.keep_awake && cores_suffice(busy as usize));
    let place = Place { process, epoch, members: members.iter().map(Member::from).collect() };
    // Not those of the registration: who forms anew may have got others since.
    let own = members.iter().find(|member| member.process == process);
    let ranks = own.map(|member| member.ranks.clone()).ok_or_else(|| Error::Rendezvous {
        address: rendezvous,
        reason: "it lists all processes but this one".to_owned(),
    })?;
    let node = Node::new(place, channels, homes, settings(config));
    if let Some(post) = client.post() {
        node.set_post(post);
    }
    listen(&node, &client);
    let again = (config.clone(), homes.to_vec(), ranks.clone());
    node.on_rejoin(Box::new(move |old| meet_again(old, again.clone())));
    let abort = move |rank: u32, reason: &Reason| client.abort(rank, reason.clone());
    Ok(Joined { node, ranks, abort: Box::new(abort) })
}

/// The same process in the job's next epoch. Boxed, as it is a part of its own type.
fn meet_again(
    old: Arc<Node>,
    (config, homes, ranks): (Config, Vec<HomeHandle>, Vec<u32>),
) -> BoxFuture<'static, Result<Successor>> {
    Box::pin(async move {
        let after = After::new(old.epoch(), old.process(), old.loss());
        let joined = meet(&config, &homes, Some(after)).await?;
        if joined.ranks.len() != ranks.len() {
            return Err(Error::Rejoin { job: config.job, reason: NoRejoin::Late });
        }
        begin(&joined.node);
        // Only now: until the next epoch has begun, this place is what an attempt is made from.
        Service::get().spawn(async move { old.leave().await });
        let ranks = ranks.into_iter().zip(joined.ranks).collect();
        Ok(Successor { node: joined.node, ranks })
    })
}

/// Where the processes find each other.
fn directory(config: &Config, reach: Reach, token: Token) -> Box<dyn Directory> {
    match &config.rendezvous {
        Some(folder) if folder.scheme() == Scheme::File => Box::new(Folder {
            path: folder.address().into(),
            token,
            silent: config.deadlines.silent,
        }),
        _ => Box::new(Server { reach, token }),
    }
}

/// Listens for links over TCP.
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

/// Asks how the socket is seen from outside, where that can be guessed before registering: who
/// calls a peer as soon as all are there has the answer then.
#[cfg(feature = "quic")]
async fn look_ahead(config: &Config, quic: &Quic) {
    let Some(server) = &config.rendezvous else { return };
    if server.scheme() == Scheme::File || !config.ladder.contains(&Rung::Punched) {
        return;
    }
    // A name that is not known is for the registration to complain of.
    if let Ok(servers) = tokio::net::lookup_host(server.address()).await {
        servers.take(SERVERS).for_each(|server| quic.look(&mirror::likely(server)));
    }
}

/// Addresses of a name that are asked.
#[cfg(feature = "quic")]
const SERVERS: usize = 2;

/// A fixed port may be held for a moment by the node that was.
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
fn protection(config: &Config, identity: &Arc<Identity>) -> Protection {
    match (config.encrypt, config.checksum) {
        (true, _) => Protection::Tls(Arc::clone(identity)),
        (false, true) => Protection::Checksum,
        (false, false) => Protection::Plain,
    }
}

const REBINDS: u32 = 100;
const REBIND: Duration = Duration::from_millis(10);

/// What this process asks for should its group form anew. All waits there end within half the
/// time that it has for joining, so that the answer comes in time.
fn terms(config: &Config) -> Terms {
    let patience = config.deadlines.join / 2;
    Terms {
        grace: config.deadlines.grace.min(patience),
        patience,
        min_size: config.min_size.try_into().unwrap_or(u32::MAX),
    }
}

/// Tells the node what the rendezvous says, until either ends.
fn listen(node: &Arc<Node>, client: &Arc<dyn Membership>) {
    let (alive, mut ended) = oneshot::channel::<()>();
    let leaving = Arc::clone(client);
    node.on_leave(Box::new(move || {
        Box::pin(async move {
            leaving.leave().await;
            drop(alive);
        })
    }));
    let (listener, watched) = (Arc::clone(client), Arc::downgrade(node));
    // Where channels, which are told notes here, may spawn what is not `Send`.
    Service::get().spawn(async move {
        loop {
            let event = tokio::select! {
                event = listener.event() => event,
                _ = &mut ended => return,
            };
            let (Some(event), Some(node)) = (event, watched.upgrade()) else { return };
            match event {
                Event::Gone { ranks, reason, .. } => node.lose(&ranks, &reason),
                Event::Left { process, .. } => {
                    if let Some(peer) = node.peer(process) {
                        peer.leave();
                    }
                }
                Event::Moved { ranks, .. } => node.lose(&ranks, &Reason::Moved),
                Event::Abort { rank, reason } => node.lose(&[rank], &reason),
                Event::Told { from, channel, note } => node.told(from, &channel, &note),
                Event::RendezvousLost => tracing::warn!("the rendezvous is gone; the job goes on"),
            }
        }
    });
}

/// What processes on one machine have in common.
fn machine() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    boot.trim().to_owned()
}
