//! How a process takes its place in a job.

use crate::{Communicator, config::Config};
use fmi_actors::{
    Error, Node, Place, Result, Settings,
    home::{self, HomeHandle},
    service::Service,
};
use fmi_channels::local::LocalLink;
use futures::channel::oneshot;
use std::{future::Future, sync::Arc, thread};

/// A process in its place.
pub(crate) struct Joined {
    pub(crate) node: Arc<Node>,
    /// The ranks that it hosts, in the order of its configuration.
    pub(crate) ranks: Vec<u32>,
    /// Tells the other processes of a rank that failed.
    pub(crate) abort: Abort,
}

pub(crate) type Abort = Box<dyn Fn(u32, &fmi_actors::Reason) + Send>;

impl Config {
    /// Joins the job as one rank, from any runtime: with the number that was
    /// [configured](Config::rank), else with one that the rendezvous gives.
    ///
    /// The communicator's links live on the library's own thread; nothing here needs a runtime
    /// of yours. End with [`Communicator::close`].
    ///
    /// # Errors
    /// [`Error::Missing`] when not all ranks come in time; [`Error::RankTaken`],
    /// [`Error::SizeMismatch`], [`Error::RankOutOfRange`], [`Error::WrongToken`];
    /// [`Error::Rendezvous`]; [`Error::Listen`]; [`Error::Config`].
    pub fn join(self) -> impl Future<Output = Result<Communicator>> + Send {
        let one = match self.ranks.as_deref() {
            Some([_]) | None => Ok(()),
            Some(ranks) => Err(Error::Argument {
                operation: "join",
                message: format!("{} ranks are configured; use join_all", ranks.len()),
            }),
        };
        let all = one.map(|()| self.join_all());
        async { Ok(all?.await?.remove(0)) }
    }

    /// Joins the job as all ranks that were configured for this process.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub fn join_all(self) -> impl Future<Output = Result<Vec<Communicator>>> + Send {
        let (send, receive) = oneshot::channel();
        let job = self.job.clone();
        Service::get().spawn(async move {
            let _ = send.send(enter(&self, &[]).await);
        });
        async move {
            let joined = receive.await.map_err(|_| Error::Closed { operation: "join" })??;
            let world = |rank: &u32| Communicator::world(&joined.node, *rank, &job);
            Ok(joined.ranks.iter().map(world).collect())
        }
    }
}

/// Registers, learns who else is there, and begins to accept links. Runs on the service thread.
pub(crate) async fn enter(config: &Config, homes: &[HomeHandle]) -> Result<Joined> {
    config.validate()?;
    for unavailable in config.unavailable() {
        tracing::warn!("{unavailable}");
    }
    let size = config.size.unwrap_or(1);
    let own = config.ranks.as_ref().map_or(size, Vec::len);
    let joined = match &config.rendezvous {
        Some(_) if config.ranks.is_none() || own < size => meet(config, homes).await?,
        _ => alone(config, size, homes),
    };
    LocalLink::attach(&joined.node);
    joined.node.start();
    Ok(joined)
}

/// All ranks live here.
fn alone(config: &Config, size: usize, homes: &[HomeHandle]) -> Joined {
    let ranks: Vec<u32> = match &config.ranks {
        Some(ranks) => ranks.iter().map(|rank| *rank as u32).collect(),
        None => (0..size as u32).collect(),
    };
    let member = fmi_actors::Member {
        process: 0,
        ranks: ranks.clone(),
        addresses: Vec::new(),
        incarnation: 0,
    };
    home::set_keep_awake(config.keep_awake && cores_suffice(homes.len().max(1)));
    let place = Place { process: 0, epoch: std::process::id(), members: vec![member] };
    let node = Node::new(place, Vec::new(), homes, settings(config));
    Joined { node, ranks, abort: Box::new(|_, _| {}) }
}

#[cfg(feature = "tcp")]
async fn meet(config: &Config, homes: &[HomeHandle]) -> Result<Joined> {
    use crate::config::ChannelSpec;
    use fmi_actors::{Member, Reason, channel::Channel};
    use fmi_channels::{
        handshake::Token,
        rendezvous::{Client, Event, Ranks, Registration},
        tcp::Tcp,
    };

    let rendezvous = config.rendezvous.as_ref().map(ToString::to_string).unwrap_or_default();
    let token = config.token.as_ref().ok_or_else(|| Error::Config {
        origin: "FMI_TOKEN".to_owned(),
        message: "is not set: set the token that the rendezvous was started with".to_owned(),
    })?;
    let token = Token::new(token.expose());
    let mut channels: Vec<Arc<dyn Channel>> = Vec::new();
    let wanted = |spec: &ChannelSpec| config.channels.is_empty() || config.channels.contains(spec);
    if wanted(&ChannelSpec::Tcp) {
        let advertise = config.advertise.clone();
        channels.push(Arc::new(Tcp::bind(config.listen.as_deref(), advertise, token.clone())?));
    }
    let threads = homes.len().max(1);
    let machine = machine();
    let ranks = match &config.ranks {
        Some(ranks) => Ranks::Given(ranks.iter().map(|rank| *rank as u32).collect()),
        None => Ranks::Any(1),
    };
    let register = |own: std::net::SocketAddr| Registration {
        job: config.job.clone(),
        size: config.size.map(|size| size as u32),
        ranks: ranks.clone(),
        addresses: channels
            .iter()
            .filter_map(|channel| Some((channel.name().to_owned(), channel.address(own.ip())?)))
            .collect(),
        machine: machine.clone(),
        threads: threads as u32,
    };
    let client = Client::connect_with(&rendezvous, &token, register, config.deadlines.join).await?;
    let members = client.complete().await?;
    let registered = client.registered().clone();
    let here = members.iter().filter(|member| member.machine == machine);
    let busy: u32 = here.map(|member| member.threads).sum();
    home::set_keep_awake(config.keep_awake && cores_suffice(busy as usize));
    let place = Place {
        process: registered.process,
        epoch: registered.epoch,
        members: members
            .iter()
            .map(|member| Member {
                process: member.process,
                ranks: member.ranks.clone(),
                addresses: member.addresses.clone(),
                incarnation: member.incarnation,
            })
            .collect(),
    };
    let node = Node::new(place, channels, homes, settings(config));
    let client = Arc::new(client);
    let (alive, mut ended) = oneshot::channel::<()>();
    let leaving = Arc::clone(&client);
    node.on_leave(Box::new(move || {
        Box::pin(async move {
            leaving.leave().await;
            drop(alive);
        })
    }));
    let (listener, watched) = (Arc::clone(&client), Arc::downgrade(&node));
    tokio::spawn(async move {
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
                Event::Abort { rank, reason } => node.lose(&[rank], &reason),
                Event::RendezvousLost => tracing::warn!("the rendezvous is gone; the job goes on"),
            }
        }
    });
    let ranks = registered.ranks;
    let abort = move |rank: u32, reason: &Reason| client.abort(rank, reason.clone());
    Ok(Joined { node, ranks, abort: Box::new(abort) })
}

#[cfg(not(feature = "tcp"))]
async fn meet(_: &Config, _: &[HomeHandle]) -> Result<Joined> {
    Err(Error::Config {
        origin: "channels".to_owned(),
        message: "this program was built without the feature `tcp`, so its processes cannot meet"
            .to_owned(),
    })
}

fn settings(config: &Config) -> Settings {
    Settings {
        outbox: config.limits.outbox,
        operation: config.deadlines.operation,
        silent: config.deadlines.silent,
    }
}

/// Whether so many threads can stay awake without standing in each other's way (rule 2).
fn cores_suffice(threads: usize) -> bool {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    threads <= cores && quota().is_none_or(|quota| quota >= 1.0)
}

/// CPUs that the control group grants, if it limits them.
fn quota() -> Option<f64> {
    let text = std::fs::read_to_string("/sys/fs/cgroup/cpu.max").ok()?;
    let (quota, period) = text.trim().split_once(' ')?;
    Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
}

/// What processes on one machine have in common.
#[cfg(feature = "tcp")]
fn machine() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    boot.trim().to_owned()
}
