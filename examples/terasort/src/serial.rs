//! What ranks are held against: one process that reads, sorts by key, and writes, on all its cores.

use crate::{
    Failure, SerialArgs,
    files::{Created, Reading, Writer},
    order::Entry,
    record::RECORD,
};
use app_report::Report;
use rayon::prelude::{IndexedParallelIterator, ParallelIterator, ParallelSlice, ParallelSliceMut};
use std::time::Instant;

pub(crate) fn run(args: &SerialArgs) -> Result<(), Failure> {
    let mut times = Times(Instant::now(), Vec::new());
    let input = Reading::open(&args.input)?;
    let count = usize::try_from(input.records()).map_err(|_| Failure::TooMany)?;
    let mut records = vec![0; count * RECORD];
    let parts = records.par_chunks_mut(PART * RECORD).enumerate();
    parts.try_for_each(|(part, place)| input.read_into(place, (part * PART) as u64))?;
    times.end("read");

    let entries = records.par_chunks_exact(RECORD).enumerate();
    let mut order: Vec<Entry> = entries.map(|(place, record)| Entry::of(record, place)).collect();
    order.par_sort_unstable();
    times.end("sort");

    let output = Created::new(&args.output, records.len() as u64)?;
    order.par_chunks(PART).enumerate().try_for_each(|(part, entries)| {
        let offset = (part * PART * RECORD) as u64;
        let mut writer = Writer::new(offset, |bytes: &[u8], at| output.write_at(bytes, at));
        entries.iter().try_for_each(|entry| writer.write(entry.record(&records)))?;
        writer.end().map(drop)
    })?;
    output.keep()?;
    times.end("write");

    let mut report = Report::alone("terasort serial", &times.1);
    report.say("records", count as u64);
    report.say("MB/s", records.len() as f64 / 1e6 / report.seconds());
    args.report.give(&report)?;
    Ok(())
}

/// Records that a core takes at a time.
const PART: usize = 100_000;

/// When the last phase ended, and how long those before took.
struct Times(Instant, Vec<(&'static str, f64)>);

impl Times {
    fn end(&mut self, phase: &'static str) {
        self.1.push((phase, self.0.elapsed().as_secs_f64()));
        self.0 = Instant::now();
    }
}
