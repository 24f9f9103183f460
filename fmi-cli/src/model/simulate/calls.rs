//! What is called, through the library's public interface.

use crate::{explain::Op, failure::Failure, units::human};
use fmi::{
    Buf, Communicator, Config, Result, op,
    plan::{Algorithm, Collective},
};
use futures::{FutureExt, future::LocalBoxFuture};

/// A collective of so many bytes.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) collective: Collective,
    pub(super) bytes: usize,
    /// Instead of the one that is chosen.
    pub(super) algorithm: Option<&'static Algorithm>,
}

/// What all ranks together may hold, all being in one process here.
const MOST_BYTES: u64 = 8 << 30;
/// Pairs of ranks that talk to each other: each takes memory.
const MOST_PAIRS: u64 = 2_000_000;

/// One rank's part of a reduction of vectors; of several in one, each is so much shorter.
macro_rules! combined {
    ($collective:expr, $comm:ident, $size:expr, $value:expr, $share:expr) => {{
        let mut value = $value;
        match $collective {
            Collective::Reduce => {
                async move { $comm.reduce(value, op::sum(), 0).await.map(drop) }.boxed_local()
            }
            Collective::ReduceScatter => {
                value.truncate($share);
                let values = vec![value; $size];
                async move { $comm.reduce_scatter(values, op::sum()).await.map(drop) }.boxed_local()
            }
            Collective::Scan => {
                async move { $comm.scan(value, op::sum()).await.map(drop) }.boxed_local()
            }
            Collective::Exscan => {
                async move { $comm.exscan(value, op::sum()).await.map(drop) }.boxed_local()
            }
            _ => async move { $comm.allreduce(value, op::sum()).await.map(drop) }.boxed_local(),
        }
    }};
}

impl Call {
    /// Those of the operations, the usual ones if there are none.
    pub(super) fn all(
        ops: &[Op],
        bytes: usize,
        algorithm: Option<&str>,
    ) -> Result<Vec<Self>, Failure> {
        let usual = [Collective::Allreduce, Collective::Bcast, Collective::Barrier];
        let collectives = match ops.is_empty() {
            true => usual.to_vec(),
            false => ops.iter().map(|op| op.0).collect(),
        };
        let calls = collectives.iter().map(|collective| {
            let bytes = if *collective == Collective::Barrier { 0 } else { bytes };
            let algorithm = algorithm.and_then(|name| named(*collective, name));
            Self { collective: *collective, bytes, algorithm }
        });
        let calls: Vec<_> = calls.collect();
        match algorithm {
            Some(name) if calls.iter().all(|call| call.algorithm.is_none()) => {
                Err(unknown(name, &collectives))
            }
            // Those that it does not fit are not what was asked for.
            Some(_) => Ok(calls.into_iter().filter(|call| call.algorithm.is_some()).collect()),
            None => Ok(calls),
        }
    }

    /// Whether it can be simulated on this machine.
    pub(super) fn check(&self, ranks: usize) -> Result<(), Failure> {
        let (n, bytes) = (ranks as u64, self.bytes as u64);
        let held = match self.collective {
            Collective::Allgather => n.saturating_mul(n),
            _ => 2 * n,
        };
        let held = held.saturating_mul(bytes);
        if held > MOST_BYTES {
            return Err(Failure::usage(format!(
                "{} of {} on {ranks} ranks would hold {} here: take fewer ranks (-n) or bytes (--bytes)",
                self.collective,
                human(bytes),
                human(held)
            )));
        }
        // All to all: in the worst case each pair has a link.
        let crowded = matches!(self.collective, Collective::Alltoall | Collective::ReduceScatter);
        if crowded && n * (n - 1) / 2 > MOST_PAIRS {
            return Err(Failure::usage(format!(
                "{} on {ranks} ranks: each may talk to every other, and so many pairs do not fit into \
                 memory: take fewer than 2000 ranks (-n)",
                self.collective
            )));
        }
        if let Some(algorithm) = self.algorithm
            && algorithm.is_shared()
        {
            return Err(Failure::usage(format!(
                "--algorithm {algorithm} publishes: it is chosen by itself where ranks share a process \
                 or only a store joins them"
            )));
        }
        Ok(())
    }

    /// One rank's part, with values of its own.
    pub(super) fn run(&self, comm: Communicator) -> LocalBoxFuture<'static, Result<()>> {
        let comm = self.algorithm.map_or_else(|| comm.clone(), |algorithm| comm.using(algorithm));
        let (bytes, size) = (self.bytes, comm.size());
        let is_root = comm.rank() == 0;
        match self.collective {
            Collective::Bcast => {
                let value = is_root.then(|| Buf::from(vec![1_u8; bytes]));
                async move { comm.bcast(value, 0).await.map(drop) }.boxed_local()
            }
            Collective::Gather => {
                let value = Buf::from(vec![1_u8; bytes]);
                async move { comm.gather(value, 0).await.map(drop) }.boxed_local()
            }
            Collective::Scatter => {
                let value = Buf::from(vec![1_u8; bytes]);
                let values = is_root.then(|| vec![value; size]);
                async move { comm.scatter(values, 0).await.map(drop) }.boxed_local()
            }
            Collective::Allgather => {
                let value = Buf::from(vec![1_u8; bytes]);
                async move { comm.allgather(value).await.map(drop) }.boxed_local()
            }
            Collective::Alltoall => {
                let values = vec![Buf::from(vec![1_u8; bytes / size]); size];
                async move { comm.alltoall(values).await.map(drop) }.boxed_local()
            }
            Collective::Barrier => async move { comm.barrier().await }.boxed_local(),
            // The others combine.
            collective => match bytes.is_multiple_of(4) {
                true => combined!(collective, comm, size, vec![0_f32; bytes / 4], bytes / 4 / size),
                false => combined!(collective, comm, size, vec![0_u8; bytes], bytes / size),
            },
        }
    }
}

/// `ring`, or `allreduce/ring`.
fn named(collective: Collective, name: &str) -> Option<&'static Algorithm> {
    let all = collective.algorithms().iter().copied();
    let own = name.strip_prefix(collective.name()).and_then(|name| name.strip_prefix('/'));
    all.into_iter().find(|algorithm| algorithm.name == own.unwrap_or(name))
}

fn unknown(name: &str, collectives: &[Collective]) -> Failure {
    // The library's errors say what was probably meant.
    let full = match collectives.first() {
        Some(first) if !name.contains('/') => format!("{first}/{name}"),
        _ => name.to_owned(),
    };
    Failure::usage(match Config::default().algorithms(&full) {
        Err(fmi::Error::Config { message, .. }) => format!("--algorithm: {message}"),
        _ => format!("--algorithm {name} is of none of the collectives that are simulated"),
    })
}
