//! The program of a rank.
//!
//! Each rank reads its share of the input, a chunk at a time. A chunk's records go to the ranks whose keys
//! they have (`split`), by one `alltoallv` a round (`shuffle`). A rank keeps what it gets (`store`), in memory
//! or, where that is capped (`budget`), in sorted runs on disk, and writes it in order (`merge`) to its place
//! in the output (`output`), which the ranks before it determine (`exscan`).

mod budget;
mod merge;
mod output;
mod shuffle;
mod split;
mod store;

use crate::{
    Failure,
    place::{Parts, Place, Reading},
    record::{RECORD, share},
    throttle::Throttle,
    validate::Summary,
};
use app_report::{Fact, Output, Recorder, agree, progress};
use budget::Budget;
use fmi::{Context, op};
use split::Splitters;
use std::{path::PathBuf, sync::Arc};
use store::Store;

/// Sort with the ranks of a job: fmi run -n N --packs K -- terasort sort IN OUT
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The records: a file that all ranks can read, or s3://BUCKET/KEY?region=…&endpoint=…
    input: Place,

    /// The file to write, that all ranks can write to, or s3://BUCKET/KEY
    output: Place,

    /// How much memory a process may take, all its ranks and the library together; what does not fit is
    /// spilled [default: as much as there is]
    #[arg(long, value_name = "BYTES", value_parser = app_report::bytes)]
    memory: Option<u64>,

    /// Where to spill; nothing is left there [default: the folder of the output,
    /// that for temporary files if it is an object]
    #[arg(long, value_name = "DIR")]
    spill: Option<PathBuf>,

    /// How fast a process may send to others: 70MB/s is a function's network
    #[arg(long, value_name = "RATE", value_parser = app_report::rate)]
    throttle: Option<u64>,

    /// Read the output again, and compare with the input: number of records, order, checksum
    #[arg(long)]
    check: bool,

    #[command(flatten)]
    report: Output,
}

/// What the ranks of a process share.
#[derive(Debug)]
pub(crate) struct Process {
    args: Args,
    throttle: Option<Throttle>,
}

impl Process {
    pub(crate) fn new(args: Args) -> Self {
        let throttle = args.throttle.map(Throttle::new);
        Self { args, throttle }
    }
}

pub(crate) async fn run(ctx: Context, process: Arc<Process>) -> Result<(), Failure> {
    let args = &process.args;
    let Some((input, budget)) = agree(&ctx, prepare(&ctx, args).await).await? else {
        return Ok(());
    };
    let own = share(input.records(), ctx.rank(), ctx.size());
    let mut recorder = Recorder::start(&ctx).await?;

    let splitters = Splitters::agree(&ctx, &input, own.clone()).await?;
    recorder.end_phase("sample").await?;

    let folder = args.spill.clone().unwrap_or_else(|| args.output.folder());
    let mut store = Store::new(budget.store, folder);
    let job =
        shuffle::Job { input: &input, own, chunk: budget.chunk, splitters, process: &process };
    let checksum = shuffle::shuffle(&ctx, &job, &mut store).await?;
    recorder.end_phase("read and shuffle").await?;

    let records = store.records();
    let before = ctx.exscan(records, op::sum()).await?.unwrap_or(0);
    let largest = ctx.allreduce(records, op::max()).await?;
    let spilled = ctx.allreduce(store.spilled(), op::sum()).await?;
    let sorted = store.sort(budget.merge)?;
    recorder.end_phase("sort").await?;

    let parts = Parts::of(input.records());
    let bar = progress(ctx.rank() == 0, "write", records * RECORD as u64, None);
    let own = before..before + records;
    let written = output::write(&ctx, &args.output, parts, own.clone(), sorted, &bar).await?;
    bar.finish_and_clear();
    let Some(()) = written else { return Ok(()) };
    recorder.end_phase("write").await?;

    if args.check {
        check(&ctx, args, own, input.records(), checksum).await?;
        recorder.end_phase("check").await?;
    }
    let Some(mut report) = recorder.report("terasort sort").await? else { return Ok(()) };
    let bytes = (input.records() * RECORD as u64) as f64;
    // Checking is no part of sorting.
    let sorting = report.phases.iter().filter(|phase| phase.name != "check");
    let seconds: f64 = sorting.map(|phase| phase.slowest_seconds).sum();
    report.say("records", input.records());
    report.say("seconds without check", seconds);
    report.say("MB/s", bytes / 1e6 / seconds);
    report.say("bytes spilled", spilled);
    let mean = input.records() as f64 / ctx.size() as f64;
    report.say("largest share / mean", if mean > 0.0 { largest as f64 / mean } else { 1.0 });
    if let Some(cap) = args.memory {
        report.say("memory cap of a process", cap);
    }
    if args.check {
        report.say("check", Fact::from("in order, same records and checksum: ok".to_owned()));
    }
    args.report.give(&report)?;
    Ok(())
}

/// Every rank opens the same input.
async fn prepare(ctx: &Context, args: &Args) -> Result<(Reading, Budget), Failure> {
    let input = Reading::open(&args.input).await?;
    let here = ctx.peer(ctx.rank())?.process;
    let mut ranks_here = 0;
    for rank in 0..ctx.size() {
        ranks_here += usize::from(ctx.peer(rank)?.process == here);
    }
    // Of a part of an object a rank may have the end, the beginning of the next, and that of another rank.
    let aside = match args.input.is_remote() || args.output.is_remote() {
        true => 3 * Parts::of(input.records()).each * RECORD as u64,
        false => 0,
    };
    Ok((input, Budget::new(args.memory, ranks_here, ctx.size(), aside)?))
}

/// Each rank reads what it has written; rank 0 puts it together.
async fn check(
    ctx: &Context,
    args: &Args,
    own: std::ops::Range<u64>,
    records: u64,
    checksum: u128,
) -> Result<(), Failure> {
    let output = Reading::open(&args.output).await?;
    let bar = progress(ctx.rank() == 0, "check", (own.end - own.start) * RECORD as u64, None);
    let summary = Summary::of_records(&output, own, &bar)?;
    bar.finish_and_clear();
    let checksums = ctx.gather(checksum, 0).await?;
    let summaries = ctx.gather(summary, 0).await?;
    let (Some(checksums), Some(summaries)) = (checksums, summaries) else { return Ok(()) };
    let expected = checksums.into_iter().fold(0, u128::wrapping_add);
    let all = summaries.into_iter().fold(Summary::default(), Summary::followed_by);
    all.judge()?;
    let say = |records: u64, checksum: u128| format!("{records} records of checksum {checksum:x}");
    if (all.records, all.checksum) != (records, expected) {
        let (found, expected) = (say(all.records, all.checksum), say(records, expected));
        return Err(Failure::Check { found, expected });
    }
    Ok(())
}
