//! How a process takes its place in a job.

#[cfg(any(feature = "tcp", feature = "redis", feature = "s3"))]
pub(crate) use crate::adopt::settle;
#[cfg(any(feature = "tcp", feature = "redis", feature = "s3"))]
use crate::meet::meet;
use crate::{Communicator, config::Config};
use fmi_actors::{
    Error, Node, Place, Result, Settings,
    home::{self, HomeHandle, Wakefulness},
    service::Service,
};
use fmi_channels::local::LocalLink;
use fmi_collectives::plan::Table;
use fmi_model::Objective;
use futures::channel::oneshot;
use std::{
    future::Future,
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

/// A process in its place.
pub(crate) struct Joined {
    pub(crate) node: Arc<Node>,
    /// The ranks that it hosts, in the order of its configuration.
    pub(crate) ranks: Vec<u32>,
    /// Tells the other processes of a rank that failed.
    pub(crate) abort: Abort,
    /// The rendezvous, if it serves that.
    #[cfg(feature = "tcp")]
    pub(crate) hall: Option<crate::serve::RendezvousServer>,
}

pub(crate) type Abort = Box<dyn Fn(u32, &fmi_actors::Reason) + Send>;

impl Config {
    /// Joins the job as one rank, from any runtime: with the number that was
    /// [configured](Config::rank), else with one that the rendezvous gives.
    ///
    /// The communicator's links live on the library's own thread; nothing here needs a runtime
    /// of yours. End with [`Communicator::close`].
    ///
    /// After [`Error::RankLost`] the group is over and [`Communicator::rejoin`] gives the next
    /// one: survivors call it, replacements join the job like anybody. A service that outlives
    /// its workers is a loop:
    ///
    /// ```no_run
    /// # async fn serve(_: &fmi::Communicator) -> fmi::Result<()> { Ok(()) }
    /// # async fn example() -> fmi::Result<()> {
    /// let mut comm = fmi::Config::from_env()?.min_size(2).join().await?;
    /// while let Err(fmi::Error::RankLost { rank, reason }) = serve(&comm).await {
    ///     eprintln!("rank {rank} is lost: {reason}");
    ///     // Rank and size may be others from here on.
    ///     comm = comm.rejoin().await?;
    /// }
    /// comm.close().await
    /// # }
    /// ```
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
    /// It begins when called. Dropping the future gives it up, and what it has begun is taken back.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub fn join_all(self) -> impl Future<Output = Result<Vec<Communicator>>> + Send {
        let (mut send, receive) = oneshot::channel();
        Service::get().spawn(async move {
            let entered = async {
                let config = settle(self).await?;
                Ok::<_, Error>((enter(&config, &[]).await?, Worlds::of(&config)))
            };
            // Who does not wait for it any longer has left: nobody is kept waiting for this process.
            let entered = tokio::select! {
                entered = entered => entered,
                () = send.cancellation() => return,
            };
            let _ = send.send(entered);
        });
        async move {
            let entered = receive.await.map_err(|_| Error::Closed { operation: "join" })?;
            let (joined, worlds) = entered?;
            #[cfg(feature = "tcp")]
            if let Some(hall) = joined.hall {
                hall.stay();
            }
            Ok(joined.ranks.iter().map(|rank| worlds.open(&joined.node, *rank)).collect())
        }
    }
}

/// What the communicators of the whole job are made with.
#[derive(Debug)]
pub(crate) struct Worlds {
    job: String,
    /// If the job has one of its own.
    table: Option<Table>,
    hint: Option<Objective>,
}

impl Worlds {
    pub(crate) fn of(config: &Config) -> Self {
        let table = (!config.algorithms.is_empty()).then(|| config.table());
        Self { job: config.job.clone(), table, hint: config.hint }
    }

    /// That of a rank.
    pub(crate) fn open(&self, node: &Arc<Node>, rank: u32) -> Communicator {
        let mut world = Communicator::world(node, rank, &self.job);
        if let Some(table) = &self.table {
            world = world.with_table(table.clone());
        }
        match self.hint {
            Some(hint) => world.hint(hint),
            None => world,
        }
    }
}

/// Registers, learns who else is there, and begins to accept links. Runs on the service thread, with what
/// [`settle`] has completed.
pub(crate) async fn enter(config: &Config, homes: &[HomeHandle]) -> Result<Joined> {
    config.validate()?;
    let config = &in_time(config.clone());
    // Before anybody is kept waiting.
    config.money.tariff()?;
    let model = config.model_text()?;
    for unavailable in config.unavailable() {
        tracing::warn!("{unavailable}");
    }
    let size = config.size.unwrap_or(1);
    let own = config.ranks.as_ref().map_or(size, Vec::len);
    let joined = match config.meeting() {
        Some(_) if config.ranks.is_none() || own < size => {
            #[cfg(feature = "tcp")]
            let hall = crate::serve::RendezvousServer::of(config).await?;
            // Boxed: with all stores in it, the future's type is too deep for the compiler.
            let joined = Box::pin(meet(config, homes, None)).await?;
            #[cfg(feature = "tcp")]
            let joined = Joined { hall, ..joined };
            joined
        }
        _ => alone(config, size, homes, model.into()),
    };
    begin(config, &joined.node)?;
    Ok(joined)
}

/// Who has until then does not wait for others any longer.
fn in_time(mut config: Config) -> Config {
    if let Some(until) = config.until {
        let left = until.duration_since(SystemTime::now()).unwrap_or_default();
        config.deadlines.join = config.deadlines.join.min(left.max(Duration::from_millis(1)));
    }
    config
}

/// Says what the process pays, and begins to accept links.
pub(crate) fn begin(config: &Config, node: &Arc<Node>) -> Result<()> {
    let own = (node.process(), node.epoch());
    config.money.charge(node.meter(), own, config.keep_learnt(node))?;
    LocalLink::attach(node);
    node.start();
    Ok(())
}

/// All ranks live here.
fn alone(config: &Config, size: usize, homes: &[HomeHandle], model: Arc<str>) -> Joined {
    let ranks: Vec<u32> = match &config.ranks {
        Some(ranks) => ranks.iter().map(|rank| *rank as u32).collect(),
        None => (0..size as u32).collect(),
    };
    let threads = homes.len().max(1);
    let member =
        fmi_actors::Member { ranks: ranks.clone(), threads: threads as u32, ..Default::default() };
    home::set_wakefulness(wakefulness(config, threads));
    let place = Place { process: 0, epoch: std::process::id(), members: vec![member], model };
    let node = Node::new(place, Vec::new(), homes, settings(config));
    Joined {
        node,
        ranks,
        abort: Box::new(|_, _| {}),
        #[cfg(feature = "tcp")]
        hall: None,
    }
}

#[cfg(not(any(feature = "tcp", feature = "redis", feature = "s3")))]
async fn meet(_: &Config, _: &[HomeHandle], _: Option<std::convert::Infallible>) -> Result<Joined> {
    Err(Error::Config {
        origin: "channels".to_owned(),
        message: "this program was built without any of the features `tcp`, `redis` and `s3`, so \
                  its processes cannot meet"
            .to_owned(),
    })
}

/// Nobody meets.
#[cfg(not(any(feature = "tcp", feature = "redis", feature = "s3")))]
pub(crate) async fn settle(config: Config) -> Result<Config> {
    Ok(config)
}

pub(crate) fn settings(config: &Config) -> Settings {
    Settings {
        outbox: config.limits.outbox,
        operation: config.deadlines.operation,
        silent: config.deadlines.silent,
        ladder: config.ladder.clone(),
    }
}

/// What so many threads of this machine do while they wait, without standing in each other's way
/// (rule 2).
pub(crate) fn wakefulness(config: &Config, threads: usize) -> Wakefulness {
    let cores = cores();
    match () {
        () if !config.keep_awake || quota().is_some_and(|quota| quota < 1.0) => Wakefulness::Parks,
        () if threads <= cores => Wakefulness::Spins,
        () if threads <= TAKING_TURNS * cores => Wakefulness::Yields,
        () => Wakefulness::Parks,
    }
}

/// Cores that this process may use.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Threads a core that take turns in looking. It halves the time of a small collective of 4 processes on
/// 2 cores; where there are more, their looks take as long as it takes to wake them.
const TAKING_TURNS: usize = 4;

/// CPUs that the control group grants, if it limits them.
fn quota() -> Option<f64> {
    let text = std::fs::read_to_string("/sys/fs/cgroup/cpu.max").ok()?;
    let (quota, period) = text.trim().split_once(' ')?;
    Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
}
