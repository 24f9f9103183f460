//! All records go to the ranks whose they are: rounds of bounded length.

use super::{Process, split::Splitters, store::Store};
use crate::{Failure, files::Reading, record::RECORD, validate::Summary};
use app_report::progress;
use fmi::{Context, op};
use std::ops::Range;

/// What a rank has to do.
pub(crate) struct Job<'a> {
    pub(crate) input: &'a Reading,
    /// Its part of the input.
    pub(crate) own: Range<u64>,
    /// Records a round.
    pub(crate) chunk: usize,
    pub(crate) splitters: Splitters,
    pub(crate) process: &'a Process,
}

/// Fills the store; returns the sum of the CRC-32 of what this rank has read, if that is to be checked.
pub(crate) async fn shuffle(
    ctx: &Context,
    job: &Job<'_>,
    store: &mut Store,
) -> Result<u128, Failure> {
    let Range { start, end } = job.own;
    let chunk = job.chunk as u64;
    // Ranks whose part is shorter send nothing in the last round.
    let rounds = ctx.allreduce((end - start).div_ceil(chunk), op::max()).await?;
    let far = far_ranks(ctx)?;
    let bar = progress(ctx.rank() == 0, "shuffle", (end - start) * RECORD as u64, None);
    let mut buffer = vec![0; job.chunk.min((end - start) as usize) * RECORD];
    let mut checksum = 0_u128;
    for round in 0..rounds {
        let first = (start + round * chunk).min(end);
        let records = chunk.min(end - first) as usize;
        let chunk = &mut buffer[..records * RECORD];
        job.input.read_into(chunk, first)?;
        if job.process.args.check {
            checksum = checksum.wrapping_add(Summary::of(chunk).checksum);
        }
        let parts = job.splitters.divide(chunk);
        if let Some(throttle) = &job.process.throttle {
            let leaving = far.iter().map(|rank| parts[*rank].len()).sum();
            throttle.pass(leaving).await;
        }
        for part in ctx.alltoallv(parts).await? {
            store.keep(&part)?;
        }
        bar.inc(chunk.len() as u64);
    }
    bar.finish_and_clear();
    Ok(checksum)
}

/// The ranks of other processes.
fn far_ranks(ctx: &Context) -> Result<Vec<usize>, Failure> {
    let here = ctx.peer(ctx.rank())?.process;
    let mut far = Vec::new();
    for rank in 0..ctx.size() {
        if ctx.peer(rank)?.process != here {
            far.push(rank);
        }
    }
    Ok(far)
}
