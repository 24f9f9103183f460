//! All records go to the ranks whose they are: rounds of bounded length.

use super::{Process, split::Splitters, store::Store};
use crate::{Failure, place::Reading, record::RECORD, validate::Summary};
use app_report::{ProgressBar, progress};
use fmi::{Context, op};
use futures::TryFutureExt;
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
    let records = job.own.end - job.own.start;
    // Ranks whose part is shorter send nothing in the last round.
    let rounds = ctx.allreduce(records.div_ceil(job.chunk as u64), op::max()).await?;
    let mut sender = Sender {
        job,
        far: far_ranks(ctx)?,
        buffer: vec![0; job.chunk.min(records as usize) * RECORD],
        checksum: 0,
        bar: progress(ctx.rank() == 0, "shuffle", records * RECORD as u64, None),
    };
    let mut parts = sender.prepare(0).await?;
    for round in 1..=rounds {
        // While a round's records travel, those of the next are read.
        let exchange = ctx.alltoallv(parts).map_err(Failure::from);
        let received;
        (received, parts) = futures::try_join!(exchange, sender.prepare(round))?;
        for part in received {
            store.keep(&part)?;
        }
    }
    sender.bar.finish_and_clear();
    Ok(sender.checksum)
}

/// Reads what this rank sends.
struct Sender<'a> {
    job: &'a Job<'a>,
    /// The ranks of other processes.
    far: Vec<usize>,
    buffer: Vec<u8>,
    checksum: u128,
    bar: ProgressBar,
}

impl Sender<'_> {
    /// A round's records by the ranks whose they are, when they may leave. None after the last round.
    async fn prepare(&mut self, round: u64) -> Result<Vec<Vec<u8>>, Failure> {
        let (job, chunk) = (self.job, self.job.chunk as u64);
        let first = (job.own.start + round * chunk).min(job.own.end);
        let records = chunk.min(job.own.end - first) as usize;
        let chunk = &mut self.buffer[..records * RECORD];
        job.input.read_into(chunk, first).await?;
        if job.process.args.check {
            self.checksum = self.checksum.wrapping_add(Summary::of(chunk).checksum);
        }
        let parts = job.splitters.divide(chunk);
        self.bar.inc(chunk.len() as u64);
        if let Some(throttle) = &job.process.throttle {
            let leaving = self.far.iter().map(|rank| parts[*rank].len()).sum();
            throttle.pass(leaving).await;
        }
        Ok(parts)
    }
}

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
