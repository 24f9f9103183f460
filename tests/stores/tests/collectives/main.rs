//! Every collective over every store, with 2 to 16 ranks and all roots, against what one rank alone
//! computes. Nothing may be left in the store.

#[path = "../../../common/mod.rs"]
mod common;
#[path = "../../../collectives/kinds.rs"]
#[allow(dead_code, reason = "the tests of the collectives themselves use all of it")]
mod kinds;
#[path = "../../../collectives/run.rs"]
#[allow(dead_code, reason = "the tests of the collectives themselves use all of it")]
mod run;
#[path = "../../../collectives/values.rs"]
#[allow(dead_code, reason = "the tests of the collectives themselves use all of it")]
mod values;

#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "s3")]
mod s3;

use common::{bounded, each};
use fmi::{Communicator, plan::Collective};
use run::{Run, same_everywhere};
use store_tests::Job;

/// One test for each number of ranks, and some for packs: `job(processes)` makes a job, `clean()` looks
/// what is left.
macro_rules! sizes {
    ($($name:ident: $processes:expr,)*) => {
        $(#[test]
        fn $name() {
            super::run(|store| Box::pin(crate::every_collective(store, &$processes)));
        })*
    };
}

#[cfg(feature = "redis")]
macro_rules! on_all_sizes {
    () => {
        mod ranks {
            $crate::sizes! {
                n_2: [1; 2],
                n_3: [1; 3],
                n_4: [1; 4],
                n_5: [1; 5],
                n_6: [1; 6],
                n_7: [1; 7],
                n_8: [1; 8],
                n_9: [1; 9],
                n_10: [1; 10],
                n_11: [1; 11],
                n_12: [1; 12],
                n_13: [1; 13],
                n_14: [1; 14],
                n_15: [1; 15],
                n_16: [1; 16],
            }
        }
        mod packs {
            $crate::sizes! {
                uneven: [3, 1, 2],
                eights: [8, 8],
            }
        }
    };
}
#[cfg(feature = "redis")]
pub(crate) use on_all_sizes;
pub(crate) use sizes;

/// A store, and how processes reach it.
trait Store {
    async fn job(&self, processes: &[usize]) -> Job;
}

/// Past what flat workspaces, bells, eager messages and single values hold.
const LONG: usize = 70_000;
/// The collectives with roots.
const ROOTED: [Collective; 3] = [Collective::Bcast, Collective::Gather, Collective::Scatter];
const ROOTLESS: [Collective; 2] = [Collective::Allgather, Collective::Alltoall];
const COMBINING: [Collective; 4] =
    [Collective::Allreduce, Collective::ReduceScatter, Collective::Scan, Collective::Exscan];

async fn every_collective(store: &impl Store, processes: &[usize]) {
    let job = bounded("joining", store.job(processes)).await;
    let size = job.ranks.len();
    for root in 0..size {
        each(&job.ranks, |comm| async move { with_root(&comm, root).await }).await;
    }
    let ends = each(&job.ranks, |comm| async move { without_root(&comm).await }).await;
    same_everywhere(&ends);
    bounded("leaving", job.close()).await;
}

async fn with_root(comm: &Communicator, root: usize) {
    let seed = (root * 100 + comm.size()) as u64;
    for collective in ROOTED {
        let run = |len| Run { only: Some(collective), ..Run::new(comm, root, seed, len) };
        run(1).moves::<u64>().await;
        run(3).moves::<String>().await;
        run(40).moves::<Vec<f64>>().await;
    }
    // What a rank has in one piece; the parts of a scatter are many.
    let long = |only| Run { only: Some(only), ..Run::new(comm, root, seed, LONG) };
    long(Collective::Bcast).moves::<Vec<f64>>().await;
    let part = |only| Run { only: Some(only), ..Run::new(comm, root, seed, LONG / 8) };
    part(Collective::Gather).moves::<Vec<f64>>().await;
    part(Collective::Scatter).moves::<Vec<f64>>().await;
    let reduce = |len| Run { only: Some(Collective::Reduce), ..Run::new(comm, root, seed, len) };
    // A sum of numbers, of vectors, an exact fold of texts.
    kinds::reductions(&reduce(1), 0).await;
    kinds::reductions(&reduce(40), 11).await;
    kinds::reductions(&reduce(3), 19).await;
}

async fn without_root(comm: &Communicator) -> Vec<run::Outcomes> {
    let run = Run::new(comm, comm.size() - 1, 5, 40);
    run.barrier().await;
    for only in ROOTLESS {
        let run = |len| Run { only: Some(only), ..Run::new(comm, 0, 5, len) };
        run(1).moves::<u64>().await;
        run(3).moves::<String>().await;
        run(40).moves::<Vec<f64>>().await;
        run(LONG / 8).moves::<Vec<f64>>().await;
    }
    let mut outcomes = Vec::new();
    for only in COMBINING {
        for (operation, len) in [(0, 1), (11, 40), (14, 40), (19, 3), (11, LONG)] {
            // Long ones of many parts would only take long.
            let len = if only == Collective::ReduceScatter { len.min(LONG / 8) } else { len };
            let run = Run { only: Some(only), ..Run::new(comm, 0, 7, len) };
            outcomes.push(kinds::reductions(&run, operation).await);
        }
    }
    run.barrier().await;
    outcomes
}
