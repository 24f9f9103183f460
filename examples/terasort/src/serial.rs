//! What ranks are held against: one process that reads, sorts by key, and writes, on all its cores.

use crate::{
    Failure, SerialArgs,
    order::Entry,
    place::{Created, Parts, Reading, wait},
    record::RECORD,
};
use app_report::Report;
use rayon::prelude::{
    IndexedParallelIterator, IntoParallelIterator, ParallelIterator, ParallelSlice,
    ParallelSliceMut,
};
use std::time::Instant;

pub(crate) fn run(args: &SerialArgs) -> Result<(), Failure> {
    let mut times = Times(Instant::now(), Vec::new());
    let input = wait(Reading::open(&args.input))?;
    let count = usize::try_from(input.records()).map_err(|_| Failure::TooMany)?;
    let mut records = vec![0; count * RECORD];
    let parts = records.par_chunks_mut(PART * RECORD).enumerate();
    parts.try_for_each(|(part, place)| wait(input.read_into(place, (part * PART) as u64)))?;
    times.end("read");

    let entries = records.par_chunks_exact(RECORD).enumerate();
    let mut order: Vec<Entry> = entries.map(|(place, record)| Entry::of(record, place)).collect();
    order.par_sort_unstable();
    times.end("sort");

    let parts = Parts::of(input.records());
    let output = wait(Created::new(&args.output, parts))?;
    (0..parts.count()).into_par_iter().try_for_each(|part| {
        let range = parts.range(part);
        let mut some = Vec::with_capacity((range.end - range.start) as usize * RECORD);
        let entries = &order[range.start as usize..range.end as usize];
        entries.iter().for_each(|entry| some.extend_from_slice(entry.record(&records)));
        output.write_part(parts, part, some)
    })?;
    output.keep()?;
    times.end("write");

    let mut report = Report::alone("terasort serial", &times.1);
    report.say("records", count as u64);
    report.say("MB/s", records.len() as f64 / 1e6 / report.seconds());
    args.report.give(&report)?;
    Ok(())
}

/// Records that a core reads at a time.
const PART: usize = 100_000;

/// When the last phase ended, and how long those before took.
struct Times(Instant, Vec<(&'static str, f64)>);

impl Times {
    fn end(&mut self, phase: &'static str) {
        self.1.push((phase, self.0.elapsed().as_secs_f64()));
        self.0 = Instant::now();
    }
}
