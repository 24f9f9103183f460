//! `fmi::run`: a program whose `main` is a rank.

use crate::{Context, config::Config, join, logging, report::Report};
use actix::Actor;
use fmi_actors::{
    Error, Reason, Result,
    actor::{Expired, RankActor, Supervisor},
    service::Service,
};
use std::{
    fmt::Display,
    future::Future,
    process::ExitCode,
    sync::Arc,
    thread,
    time::{Instant, SystemTime},
};

/// Runs `main` on every rank that the environment gives this process, and returns when all have
/// ended and everything sent has arrived. With nothing set it runs `min(cores, 4)` ranks.
///
/// `#[fmi::rank]` writes exactly this call. If a rank returns an error or panics, the ranks of
/// all processes end; the exit code is not 0 and the first cause is on stderr.
///
/// As a function of AWS Lambda (feature `lambda`) it serves invocations, see [`lambda`](crate::lambda).
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     fmi::run(|ctx: fmi::Context| async move {
///         println!("rank {} of {}", ctx.rank(), ctx.size());
///     })
/// }
/// ```
pub fn run<F, Fut>(main: F) -> ExitCode
where
    F: Fn(Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: Outcome> + 'static,
{
    logging::start();
    #[cfg(feature = "lambda")]
    if crate::lambda::is_here() {
        return crate::lambda::serve(main);
    }
    exit_code(from_env().and_then(|config| run_with(config, main)))
}

/// As [`run`], with a configuration of your own; returns the first error instead of printing it.
///
/// # Errors
/// What [`Config::join`] may return; [`Error::RankLost`] naming the rank that failed first.
pub fn run_with<F, Fut>(config: Config, main: F) -> Result<()>
where
    F: Fn(Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: Outcome> + 'static,
{
    config.validate()?;
    let service = Service::get();
    let own = config.ranks.as_ref().map_or(config.size.unwrap_or(1), Vec::len);
    let own = if config.ranks.is_none() && config.meeting().is_some() { 1 } else { own };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = config.threads.unwrap_or(cores).min(own).max(1);
    let homes: Vec<_> = (0..threads).map(|_| service.new_home()).collect();
    let (send, receive) = std::sync::mpsc::channel();
    let main = Arc::new(main);
    service.spawn(async move {
        let lived = async {
            let config = join::settle(config).await?;
            #[cfg_attr(
                not(feature = "tcp"),
                allow(unused_mut, reason = "nothing is taken out of it")
            )]
            let mut joined = join::enter(&config, &homes).await?;
            #[cfg(feature = "tcp")]
            let hall = joined.hall.take();
            let result = supervise(joined, &config, main).await;
            #[cfg(feature = "tcp")]
            if let Some(hall) = hall {
                hall.empty().await;
            }
            result
        };
        let result = lived.await;
        futures::future::join_all(homes.iter().map(|home| service.retire(home))).await;
        let _ = send.send(result);
    });
    receive.recv().unwrap_or(Err(Error::Closed { operation: "run" }))
}

/// What a rank's `main` may return.
#[diagnostic::on_unimplemented(
    message = "a rank returns `()` or `Result<(), E>` where `E: Display`, not `{Self}`"
)]
pub trait Outcome {
    /// The error as text, if it is one.
    ///
    /// # Errors
    /// The error's `Display`.
    fn outcome(self) -> Result<(), String>;
}

impl Outcome for () {
    fn outcome(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: Display> Outcome for Result<(), E> {
    fn outcome(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}

/// The environment's configuration, with a size if it has none.
fn from_env() -> Result<Config> {
    let mut config = Config::from_env()?;
    if config.size.is_none() && config.rendezvous.is_none() && config.ranks.is_none() {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let size = cores.min(4);
        config.size = Some(size);
        // All of them, also where a store would be a rendezvous.
        config.ranks = Some((0..size).collect());
    }
    Ok(config)
}

async fn supervise<F, Fut>(joined: join::Joined, config: &Config, main: Arc<F>) -> Result<()>
where
    F: Fn(Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: Outcome> + 'static,
{
    let join::Joined { node, ranks, abort, .. } = joined;
    let watched = Arc::downgrade(&node);
    let on_failure = Box::new(move |rank: u32, reason: &Reason| {
        abort(rank, reason);
        if let Some(node) = watched.upgrade() {
            node.lose(&[rank], reason);
        }
    });
    let (supervisor, report) = Supervisor::new(ranks.len(), on_failure);
    let supervisor = supervisor.start();
    let worlds = join::Worlds::of(config);
    let until = config.until.map(instant);
    let reports = config.launch.report.as_ref().map(|folder| Report::new(folder, &ranks));
    for rank in &ranks {
        let Some(endpoint) = node.endpoint(*rank) else { continue };
        let Some(home) = endpoint.home().cloned() else { continue };
        let own = config.launch.rank_arguments.get(*rank as usize).cloned().unwrap_or_default();
        let mut context = Context::new(worlds.open(&node, *rank), &config.job)
            .with_end(until)
            .with_arguments(own);
        if let Some(report) = &reports {
            let report = Arc::clone(report);
            context = context.with_results(move |rank, json| report.result(rank, json));
        }
        let report = reports.clone();
        let (main, supervisor) = (Arc::clone(&main), supervisor.clone().recipient());
        home.settle(1);
        home.spawn_fn(move || {
            // The call itself may panic: that is the rank's failure too.
            let life = async move {
                if let Some(report) = report {
                    report.begins();
                }
                main(context).await.outcome().map_err(Reason::Failed)
            };
            RankActor::new(endpoint, Box::pin(life), supervisor).start();
        });
    }
    let time_is_over = async {
        match until {
            Some(until) => tokio::time::sleep_until(until.into()).await,
            None => std::future::pending().await,
        }
    };
    let mut report = report;
    let result = tokio::select! {
        result = &mut report => result,
        () = time_is_over => {
            let first = ranks.iter().min().copied().unwrap_or_default();
            supervisor.do_send(Expired { rank: first });
            // All that its ranks wait for is over; what computes is left alone.
            let endpoints = ranks.iter().filter_map(|rank| node.endpoint(*rank));
            endpoints.for_each(|endpoint| endpoint.shut(&Reason::Deadline));
            report.await
        }
    };
    let result = result.unwrap_or(Ok(()));
    node.leave().await;
    result.map_err(|(rank, reason)| Error::RankLost { rank: rank as usize, reason })
}

/// The same point in time on the clock that nobody sets.
fn instant(at: SystemTime) -> Instant {
    Instant::now() + at.duration_since(SystemTime::now()).unwrap_or_default()
}

fn exit_code(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::RankLost { rank, reason }) => {
            match reason {
                // What the rank itself said is the message.
                Reason::Failed(text) => eprintln!("fmi: rank {rank}: {text}"),
                reason => eprintln!("fmi: rank {rank}: {reason}"),
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("fmi: {error}");
            ExitCode::FAILURE
        }
    }
}
