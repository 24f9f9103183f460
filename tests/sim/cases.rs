//! Collectives with their right results.

use fmi::{Communicator, op};
use futures::{FutureExt, future::LocalBoxFuture};

/// A collective with the right result for each rank.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Calls it; whether the result is right.
    pub(crate) call: fn(Communicator) -> LocalBoxFuture<'static, fmi::Result<bool>>,
}

/// New collectives go here.
pub(crate) const CASES: &[Case] = &[
    Case {
        name: "barrier",
        call: |comm| async move { comm.barrier().await.map(|()| true) }.boxed_local(),
    },
    Case {
        name: "bcast",
        call: |comm| {
            async move {
                let root = comm.size() / 2;
                comm.bcast((comm.rank() == root).then_some(77u64), root).await.map(|got| got == 77)
            }
            .boxed_local()
        },
    },
    Case {
        name: "gather",
        call: |comm| {
            async move {
                let root = comm.size() - 1;
                let all = comm.gather(format!("<{}>", comm.rank()), root).await?;
                let right: Vec<_> = (0..comm.size()).map(|rank| format!("<{rank}>")).collect();
                Ok(all == (comm.rank() == root).then_some(right))
            }
            .boxed_local()
        },
    },
    Case {
        name: "scatter",
        call: |comm| {
            async move {
                let values = (comm.rank() == 0).then(|| (10..10 + comm.size() as u64).collect());
                comm.scatter(values, 0).await.map(|got| got == 10 + comm.rank() as u64)
            }
            .boxed_local()
        },
    },
    Case {
        name: "reduce",
        call: |comm| {
            async move {
                let root = comm.size() - 1;
                let sum = comm.reduce(comm.rank() as u64, op::sum(), root).await?;
                Ok(sum == (comm.rank() == root).then(|| triangle(comm.size())))
            }
            .boxed_local()
        },
    },
    Case {
        name: "reduce in order",
        call: |comm| {
            async move {
                let join = op::whole(op::ordered(|left: String, right: String| left + &right));
                let all = comm.reduce(comm.rank().to_string(), join, 0).await?;
                let right: String = (0..comm.size()).map(|rank| rank.to_string()).collect();
                Ok(all == (comm.rank() == 0).then_some(right))
            }
            .boxed_local()
        },
    },
    Case {
        name: "allreduce",
        call: |comm| {
            async move {
                let sum = comm.allreduce(vec![comm.rank() as u64; 3], op::sum()).await?;
                Ok(sum == [triangle(comm.size()); 3])
            }
            .boxed_local()
        },
    },
    Case {
        name: "scan",
        call: |comm| {
            async move {
                let sum = comm.scan(comm.rank() as u64, op::sum()).await?;
                Ok(sum == triangle(comm.rank() + 1))
            }
            .boxed_local()
        },
    },
    Case {
        name: "allgather",
        call: |comm| {
            async move {
                let all = comm.allgather(comm.rank() as u64).await?;
                Ok(all == (0..comm.size() as u64).collect::<Vec<_>>())
            }
            .boxed_local()
        },
    },
    Case {
        name: "allgatherv",
        call: |comm| {
            async move {
                let all = comm.allgatherv("x".repeat(comm.rank())).await?;
                Ok(all == (0..comm.size()).map(|rank| "x".repeat(rank)).collect::<Vec<_>>())
            }
            .boxed_local()
        },
    },
    Case {
        name: "gatherv",
        call: |comm| {
            async move {
                let got = comm.gatherv(vec![1_u8; comm.rank()], 0).await?;
                let lengths = |all: Vec<Vec<u8>>| all.iter().map(Vec::len).eq(0..all.len());
                Ok(got.map_or(comm.rank() != 0, lengths))
            }
            .boxed_local()
        },
    },
    Case {
        name: "scatterv",
        call: |comm| {
            async move {
                let last = comm.size() - 1;
                let values = (0..comm.size()).map(|rank| vec![2_u8; rank]).collect();
                let values = (comm.rank() == last).then_some(values);
                Ok(comm.scatterv(values, last).await? == vec![2; comm.rank()])
            }
            .boxed_local()
        },
    },
    Case {
        name: "alltoallv",
        call: |comm| {
            async move {
                let own = comm.rank();
                let got = comm.alltoallv((0..comm.size()).map(|to| vec![3_u8; own + to]).collect());
                Ok(got.await?.iter().enumerate().all(|(from, got)| *got == vec![3; from + own]))
            }
            .boxed_local()
        },
    },
    Case {
        name: "alltoall",
        call: |comm| {
            async move {
                let (own, size) = (comm.rank() as u64, comm.size() as u64);
                let got = comm.alltoall((0..size).map(|to| own * 100 + to).collect()).await?;
                Ok(got == (0..size).map(|from| from * 100 + own).collect::<Vec<_>>())
            }
            .boxed_local()
        },
    },
    Case {
        name: "reduce_scatter",
        call: |comm| {
            async move {
                let (own, size) = (comm.rank() as u64, comm.size() as u64);
                let sum = comm.reduce_scatter((0..size).collect(), op::sum()).await?;
                Ok(sum == own * size)
            }
            .boxed_local()
        },
    },
    Case {
        name: "exscan",
        call: |comm| {
            async move {
                let sum = comm.exscan(comm.rank() as u64, op::sum()).await?;
                Ok(sum == (comm.rank() > 0).then(|| triangle(comm.rank())))
            }
            .boxed_local()
        },
    },
    Case {
        name: "split",
        call: |comm| {
            async move {
                let half = comm.split(Some(comm.rank() as u64 % 2), 0).await?;
                Ok(half.is_some_and(|half| half.size() == (comm.size() + 1 - comm.rank() % 2) / 2))
            }
            .boxed_local()
        },
    },
];

/// 0 + 1 + … + (n − 1).
pub(crate) fn triangle(n: usize) -> u64 {
    (n * (n - 1) / 2) as u64
}
