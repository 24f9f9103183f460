//! The other ranks: they run what the driver asks.

use super::{
    group::again,
    work::{Nearest, Shard},
};
use fmi::{Config, Error, Worker};

/// Serves until the driver stops or `stop` ends, in one group after the other.
///
/// # Errors
/// As [`Config::join`] and [`Communicator::rejoin`](fmi::Communicator::rejoin).
pub async fn serve(config: Config, stop: impl Future<Output = ()>) -> fmi::Result<()> {
    let mut stop = std::pin::pin!(stop);
    let mut comm = config.clone().join().await?;
    loop {
        if comm.rank() == 0 {
            // The driver is gone and none came in its place: wait for one, as at first.
            comm.close().await?;
            comm = config.clone().join().await?;
            continue;
        }
        let worker = Worker::new(Shard::of(&comm)).on::<Nearest>();
        let end = tokio::select! {
            end = worker.serve(&comm) => end,
            () = &mut stop => return comm.close().await,
        };
        match end {
            Ok(()) => return comm.close().await,
            // A worker died, the driver did, or it has gone on without one that left.
            Err(lost @ Error::RankLost { .. }) => tracing::warn!("{lost}"),
            // A worker has stopped to serve, and is about to leave.
            Err(stopped @ Error::Abandoned { .. }) => {
                tracing::warn!("{stopped}");
                comm.lost().await;
            }
            Err(other) => return Err(other),
        }
        comm = tokio::select! {
            next = again(&comm, &config) => next?,
            () = &mut stop => return Ok(()),
        };
    }
}
