//! How processes meet at the rendezvous: at first, and again after a loss.

mod channels;

use crate::{
    adopt::JobFolder,
    config::{Config, Scheme},
    join::{Joined, begin, cores, settings, wakefulness},
};
use channels::Channels;
use fmi_actors::{
    Error, Member, NoRejoin, Node, Place, Reason, Result, Successor,
    home::{self, HomeHandle},
    service::Service,
};
#[cfg(feature = "tcp")]
use fmi_channels::{directory::Server, rendezvous::Reach};
use fmi_channels::{
    directory::{Directory, Formed, Membership, Shared},
    handshake::Token,
    rendezvous::{After, Event, Ranks, Registration, Terms},
};
use fmi_model::learn::marked;
use futures::{channel::oneshot, future::BoxFuture};
use std::{fs, sync::Arc};

/// Registers and waits for the others; after a loss, with the place that this process had, and the model if
/// that has learnt.
pub(crate) async fn meet(
    config: &Config,
    homes: &[HomeHandle],
    after: Option<(After, Option<Arc<str>>)>,
) -> Result<Joined> {
    let (after, learnt) = after.map_or((None, None), |(after, learnt)| (Some(after), learnt));
    let rendezvous = config.meeting().as_ref().map(ToString::to_string).unwrap_or_default();
    let token = config.token.as_ref().ok_or_else(|| Error::Config {
        origin: "FMI_TOKEN".to_owned(),
        message: "is not set: set the token that the rendezvous was started with".to_owned(),
    })?;
    let token = Token::new(token.expose());
    let channels = Channels::open(config, &token, after.is_some()).await?;
    let machine = machine();
    let model = learnt.map_or_else(|| config.model_text(), |learnt| Ok(learnt.to_string()))?;
    let register = |own: std::net::IpAddr| Registration {
        job: config.job.clone(),
        size: config.size.map(|size| size as u32),
        ranks: match &config.ranks {
            Some(ranks) => Ranks::Given(ranks.iter().map(|rank| *rank as u32).collect()),
            None => Ranks::Any(1),
        },
        addresses: channels.addresses(own),
        machine: machine.clone(),
        threads: homes.len().max(1) as u32,
        cores: cores() as u32,
        after: after.clone(),
        terms: terms(config),
        fingerprint: channels.fingerprint(),
        model: model.clone(),
    };
    let directory = directory(config, &channels, token)?;
    channels.look_ahead(config).await;
    let client = directory.register(Box::new(register), config.deadlines.join).await?;
    #[cfg(feature = "tcp")]
    if let Some(outside) = client.outside() {
        channels.outside(&outside);
    }
    let Formed { process, epoch, members, model } = client.complete().await?;
    let here = members.iter().filter(|member| member.machine == machine);
    let busy: u32 = here.map(|member| member.threads).sum();
    home::set_wakefulness(wakefulness(config, busy as usize));
    let place =
        Place { process, epoch, members: members.iter().map(Member::from).collect(), model };
    // Not those of the registration: who forms anew may have got others since.
    let own = members.iter().find(|member| member.process == process);
    let ranks = own.map(|member| member.ranks.clone()).ok_or_else(|| Error::Rendezvous {
        address: rendezvous,
        reason: "it lists all processes but this one".to_owned(),
    })?;
    let node = Node::new(place, channels.all(), homes, settings(config));
    client.charge(node.meter());
    if let Some(post) = client.post() {
        node.set_post(post);
    }
    listen(&node, &client, config.folder.clone());
    let again = (config.clone(), homes.to_vec(), ranks.clone());
    node.on_rejoin(Box::new(move |old| meet_again(old, again.clone())));
    let abort = move |rank: u32, reason: &Reason| client.abort(rank, reason.clone());
    Ok(Joined {
        node,
        ranks,
        abort: Box::new(abort),
        #[cfg(feature = "tcp")]
        hall: None,
    })
}

/// The same process in the job's next epoch. Boxed, as it is a part of its own type.
fn meet_again(
    old: Arc<Node>,
    (config, homes, ranks): (Config, Vec<HomeHandle>, Vec<u32>),
) -> BoxFuture<'static, Result<Successor>> {
    Box::pin(async move {
        let after = After::new(old.epoch(), old.process(), old.loss());
        let before = Some(Arc::clone(old.model())).filter(|model| marked(model) > 0);
        let learnt = old.learnt().or(before);
        let joined = meet(&config, &homes, Some((after, learnt))).await?;
        if joined.ranks.len() != ranks.len() {
            return Err(Error::Rejoin { job: config.job, reason: NoRejoin::Late });
        }
        begin(&config, &joined.node)?;
        // Only now: until the next epoch has begun, this place is what an attempt is made from.
        Service::get().spawn(async move { old.leave().await });
        let ranks = ranks.into_iter().zip(joined.ranks).collect();
        Ok(Successor { node: joined.node, ranks })
    })
}

/// Where the processes find each other.
fn directory(config: &Config, channels: &Channels, token: Token) -> Result<Box<dyn Directory>> {
    #[cfg(not(feature = "tcp"))]
    let _ = channels;
    let silent = config.deadlines.silent;
    let meeting = config.meeting().ok_or_else(|| Error::Config {
        origin: "FMI_RENDEZVOUS".to_owned(),
        message: "is not set: set where the processes meet, tcp://HOST:PORT".to_owned(),
    })?;
    let address = meeting.address();
    Ok(match meeting.scheme() {
        #[cfg(feature = "tcp")]
        Scheme::Tcp | Scheme::Tls => {
            let (address, port) = (meeting.url(), channels.port());
            let reach = Reach { address, port, ca: config.rendezvous_ca.clone() };
            Box::new(Server { reach, token })
        }
        Scheme::File => Box::new(Shared::folder(address, token, silent)),
        #[cfg(feature = "redis")]
        Scheme::Redis => Box::new(Shared::redis(address, token, silent)),
        #[cfg(feature = "s3")]
        Scheme::S3 => Box::new(Shared::s3(address, token, silent)),
        #[allow(unreachable_patterns, reason = "all are there if all features are")]
        _ => {
            let why = meeting.unavailable().unwrap_or("this build cannot use it");
            return Err(Error::Config {
                origin: "FMI_RENDEZVOUS".to_owned(),
                message: format!("{meeting}: {why}"),
            });
        }
    })
}

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
fn listen(node: &Arc<Node>, client: &Arc<dyn Membership>, folder: Option<Arc<JobFolder>>) {
    let (alive, mut ended) = oneshot::channel::<()>();
    let leaving = Arc::clone(client);
    node.on_leave(Box::new(move || {
        Box::pin(async move {
            leaving.leave().await;
            if let Some(folder) = folder {
                let _ = tokio::task::spawn_blocking(move || folder.leave()).await;
            }
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
