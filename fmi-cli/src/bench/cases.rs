//! The operations, each through the library's public interface.

use super::{
    Case, Layout, Op, Plan, Row,
    algorithms::prepared,
    timing::{Budget, TURNS, micros, operations, sample, summary},
};
use fmi::{Buf, Communicator, Message, Result, op};
use std::time::Instant;

/// One rank's part in the whole plan. `report` is called on rank 0.
pub(super) async fn rank(comm: &Communicator, plan: &Plan, report: impl Fn(Row)) -> Result<()> {
    for cases in plan.cases.chunk_by(Case::is_compared_with) {
        for (case, samples) in cases.iter().zip(in_turns(comm, plan, cases).await?) {
            if comm.rank() == 0 {
                report(row(plan, case, samples));
            }
        }
    }
    Ok(())
}

/// What each of the cases took, in microseconds.
async fn in_turns(comm: &Communicator, plan: &Plan, cases: &[Case]) -> Result<Vec<Vec<f64>>> {
    let turns = if cases.len() > 1 && plan.iters.is_none() { TURNS } else { 1 };
    let first = Budget { aim: plan.aim, iters: plan.iters, warmup: plan.warmup, turns };
    let mut samples = vec![Vec::new(); cases.len()];
    for turn in 0..turns {
        for (case, samples) in cases.iter().zip(&mut samples) {
            let budget = match samples.len().checked_div(turn) {
                None => first,
                Some(iters) => first.later(iters),
            };
            samples.extend(measure(&prepared(comm, case), case, budget).await?);
        }
    }
    Ok(samples)
}

/// Binds `$value` to a value of so many bytes: a number where one fits and is not to be cut, else a
/// shared slice, whose copy costs nothing and which is received without one.
macro_rules! with_data {
    ($bytes:expr, $whole:expr, $value:ident => $body:expr) => {
        match $bytes {
            1 if $whole => {
                let $value = 1_u8;
                $body
            }
            4 if $whole => {
                let $value = 1_f32;
                $body
            }
            8 if $whole => {
                let $value = 1_f64;
                $body
            }
            bytes => {
                let $value = Buf::from(vec![1_u8; bytes]);
                $body
            }
        }
    };
}

/// As `with_data`, of numbers that can be added up.
macro_rules! with_numbers {
    ($bytes:expr, $whole:expr, $value:ident => $body:expr) => {
        match $bytes {
            1 if $whole => {
                let $value = 1_u8;
                $body
            }
            4 if $whole => {
                let $value = 0_f32;
                $body
            }
            bytes if bytes % 4 == 0 => {
                let $value = Buf::from(vec![0_f32; bytes / 4]);
                $body
            }
            bytes => {
                let $value = Buf::from(vec![0_u8; bytes]);
                $body
            }
        }
    };
}

async fn measure(comm: &Communicator, case: &Case, budget: Budget) -> Result<Vec<f64>> {
    let bytes = case.bytes;
    // An algorithm that cuts values would not run on single numbers.
    let whole = case.algorithm.is_none();
    match case.op {
        Op::Pingpong => with_data!(bytes, whole, value => pingpong(comm, budget, value).await),
        Op::Barrier => {
            operations(comm, budget, (), async |()| comm.barrier().await, |()| None).await
        }
        Op::Bcast => with_data!(bytes, whole, value => bcast(comm, budget, value).await),
        Op::Gather => with_data!(bytes, whole, value => gather(comm, budget, value).await),
        Op::Scatter => with_data!(bytes, whole, value => scatter(comm, budget, value).await),
        Op::Allgather => with_data!(bytes, whole, value => allgather(comm, budget, value).await),
        Op::Alltoall => with_data!(share(bytes, comm), whole, value => {
            alltoall(comm, budget, value).await
        }),
        Op::Reduce => with_numbers!(bytes, whole, value => {
            operations(comm, budget, value, async |v| comm.reduce(v, op::sum(), 0).await, |r| r).await
        }),
        Op::Allreduce => with_numbers!(bytes, whole, value => {
            operations(comm, budget, value, async |v| comm.allreduce(v, op::sum()).await, Some).await
        }),
        Op::ReduceScatter => with_numbers!(share(bytes, comm), whole, value => {
            let values = vec![value; comm.size()];
            let call = async |v| comm.reduce_scatter(v, op::sum()).await;
            operations(comm, budget, values, call, |_| None).await
        }),
        Op::Scan => with_numbers!(bytes, whole, value => {
            operations(comm, budget, value, async |v| comm.scan(v, op::sum()).await, Some).await
        }),
        Op::Exscan => with_numbers!(bytes, whole, value => {
            operations(comm, budget, value, async |v| comm.exscan(v, op::sum()).await, |r| r).await
        }),
    }
}

/// Ranks 0 and 1 send one value to and fro; the others wait for the end.
async fn pingpong<T: Message + Clone>(
    comm: &Communicator,
    budget: Budget,
    template: T,
) -> Result<Vec<f64>> {
    let batch = async |iters| {
        let mut samples = vec![0.0; iters];
        match comm.rank() {
            0 => {
                let mut value = template.clone();
                for sample in &mut samples {
                    let start = Instant::now();
                    comm.send(value, 1, 0).await?;
                    value = comm.recv(1, 0).await?;
                    *sample = micros(start.elapsed()) / 2.0;
                }
            }
            1 => {
                for _ in 0..iters {
                    let value: T = comm.recv(0, 0).await?;
                    comm.send(value, 0, 0).await?;
                }
            }
            _ => {}
        }
        Ok(samples)
    };
    sample(comm, budget, batch).await
}

async fn bcast<T: Message + Clone>(
    comm: &Communicator,
    budget: Budget,
    template: T,
) -> Result<Vec<f64>> {
    let template = (comm.rank() == 0).then_some(template);
    operations(comm, budget, template, async |value| comm.bcast(value, 0).await, |_| None).await
}

async fn gather<T: Message + Clone>(
    comm: &Communicator,
    budget: Budget,
    template: T,
) -> Result<Vec<f64>> {
    operations(comm, budget, template, async |value| comm.gather(value, 0).await, |_| None).await
}

async fn scatter<T: Message + Clone>(
    comm: &Communicator,
    budget: Budget,
    template: T,
) -> Result<Vec<f64>> {
    let template = (comm.rank() == 0).then(|| vec![template; comm.size()]);
    operations(comm, budget, template, async |values| comm.scatter(values, 0).await, |_| None).await
}

async fn allgather<T: Message + Clone>(
    comm: &Communicator,
    budget: Budget,
    template: T,
) -> Result<Vec<f64>> {
    operations(comm, budget, template, async |value| comm.allgather(value).await, |_| None).await
}

async fn alltoall<T: Message + Clone>(
    comm: &Communicator,
    budget: Budget,
    template: T,
) -> Result<Vec<f64>> {
    let values = vec![template; comm.size()];
    operations(comm, budget, values, async |values| comm.alltoall(values).await, Some).await
}

/// Bytes of one block where the bytes of a case are those of one for each rank.
fn share(bytes: usize, comm: &Communicator) -> usize {
    bytes / comm.size()
}

fn row(plan: &Plan, case: &Case, samples: Vec<f64>) -> Row {
    let iters = samples.len();
    let (median, p99) = summary(samples);
    Row {
        op: case.op,
        algorithm: case.algorithm.clone(),
        channel: plan.channel.clone(),
        layout: plan.layout,
        ranks: plan.ranks,
        packs: (plan.packs < plan.ranks && plan.layout == Layout::Processes).then_some(plan.packs),
        threads: plan.threads,
        cores: super::cores(),
        bytes: case.bytes,
        iters,
        median_us: rounded(median),
        p99_us: rounded(p99),
        // A byte a microsecond is a megabyte a second.
        mb_per_s: if median > 0.0 { rounded(case.bytes as f64 / median) } else { 0.0 },
    }
}

/// To a thousandth.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
