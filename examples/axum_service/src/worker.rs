//! The other ranks: they run what the driver asks.

use crate::{
    group::again,
    work::{Nearest, Shard},
};
use fmi::{Communicator, Config, Error, Reason, Worker};
use futures::FutureExt;

/// Serves until the driver stops or `stop` ends, in one group after the other.
///
/// # Errors
/// As [`Config::join`] and [`Communicator::rejoin`].
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
        let end = tokio::select! {
            end = group(&comm) => end,
            () = &mut stop => return comm.close().await,
        };
        match end {
            Ok(()) | Err(Error::RankLost { rank: 0, reason: Reason::Left }) => {
                return comm.close().await;
            }
            Err(lost @ Error::RankLost { .. }) => {
                tracing::warn!("{lost}");
                comm = again(&comm, &config).await?;
            }
            Err(other) => return Err(other),
        }
    }
}

/// Serves in one group; ends with its first loss, or well when the driver stops.
async fn group(comm: &Communicator) -> fmi::Result<()> {
    let worker = Worker::new(Shard::of(comm)).on::<Nearest>();
    let end = tokio::select! {
        biased;
        end = worker.serve(comm) => end,
        lost = comm.lost() => return Err(lost),
    };
    match end {
        // Another has stopped to serve, and is about to leave.
        Err(Error::Abandoned { .. }) => Err(comm.lost().await),
        // A driver that goes on with the others after a loss leaves this group, too.
        end => comm.lost().now_or_never().map_or(end, Err),
    }
}
