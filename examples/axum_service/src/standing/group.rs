//! Rank 0's place in the group, which breaks and forms anew behind the handlers' backs.

use super::work::Shard;
use fmi::{Communicator, Config, Driver, Error, NoRejoin, Protocol};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};

/// A request that takes longer has failed.
const DEADLINE: Duration = Duration::from_secs(10);

/// What the handlers share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Group {
    state: watch::Receiver<State>,
}

/// Ends the group at the end of the service.
#[derive(Debug)]
pub struct Keeper {
    stop: oneshot::Sender<()>,
    task: JoinHandle<fmi::Result<()>>,
}

#[derive(Debug)]
enum State {
    Ready(Driver<Shard>),
    /// Lost a rank, or ends: why asks fail at once.
    Broken(Error),
}

/// Joins the group as its rank 0, and keeps it going.
///
/// # Errors
/// As [`Config::join`]; [`Error::Argument`] on another rank.
pub async fn drive(config: Config) -> fmi::Result<(Group, Keeper)> {
    let comm = config.clone().join().await?;
    let driver = Driver::new(&comm, Shard::of(&comm))?;
    let (show, state) = watch::channel(State::Ready(driver));
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(keep(config, comm, show, stopped));
    Ok((Group { state }, Keeper { stop, task }))
}

impl Group {
    /// Runs a protocol on all ranks. Callers overlap.
    ///
    /// # Errors
    /// Those of [`Driver::ask`]; at once while the group is broken.
    pub async fn ask<P>(&self, protocol: P) -> fmi::Result<P::Output>
    where
        P: Protocol<Shard> + Serialize + DeserializeOwned + 'static,
    {
        let driver = match &*self.state.borrow() {
            State::Ready(driver) => driver.clone(),
            State::Broken(why) => return Err(why.clone()),
        };
        driver.ask(protocol).deadline(DEADLINE).await
    }

    /// How many ranks answer, or why none do.
    ///
    /// # Errors
    /// Why the group is broken.
    pub fn ranks(&self) -> fmi::Result<usize> {
        match &*self.state.borrow() {
            State::Ready(driver) => Ok(driver.communicator().size()),
            State::Broken(why) => Err(why.clone()),
        }
    }
}

impl Keeper {
    /// Lets the workers go and leaves the job. The handlers should have ended.
    ///
    /// # Errors
    /// As [`Driver::stop`] and [`Communicator::close`].
    pub async fn close(self) -> fmi::Result<()> {
        let _ = self.stop.send(());
        self.task.await.unwrap_or(Err(Error::Closed { operation: "close" }))
    }
}

/// Until it is stopped: waits for a loss, says so to the handlers, forms the group anew.
async fn keep(
    config: Config,
    mut comm: Communicator,
    show: watch::Sender<State>,
    mut stopped: oneshot::Receiver<()>,
) -> fmi::Result<()> {
    loop {
        let lost = tokio::select! {
            lost = comm.lost() => lost,
            _ = &mut stopped => break,
        };
        tracing::warn!("{lost}; the service waits for a replacement");
        // The old driver lives until the group has been left: its end would tell the workers
        // that the service stops.
        let old = show.send_replace(State::Broken(lost));
        comm = tokio::select! {
            next = again(&comm, &config) => next?,
            _ = &mut stopped => return Ok(()),
        };
        drop(old);
        tracing::info!(ranks = comm.size(), "the group is whole again");
        show.send_replace(State::Ready(Driver::new(&comm, Shard::of(&comm))?));
    }
    let closed = State::Broken(Error::Closed { operation: "ask" });
    if let State::Ready(driver) = show.send_replace(closed) {
        driver.stop().await?;
    }
    comm.close().await
}

/// The next group, however long it takes. For workers, too.
pub(crate) async fn again(comm: &Communicator, config: &Config) -> fmi::Result<Communicator> {
    loop {
        match comm.rejoin().await {
            Err(Error::Rejoin { reason: NoRejoin::Late | NoRejoin::Forgotten { .. }, .. }) => {
                return config.clone().join().await;
            }
            Err(error @ (Error::Missing { .. } | Error::Rendezvous { .. })) => {
                tracing::warn!("{error}; trying again");
            }
            other => return other,
        }
    }
}
