//! Where measurements come from: the channels here, or files.

use super::{channels, sample::Sample};
use crate::{
    bench::{self, Case, Plan, Row},
    failure::Failure,
};
use fmi::config::ChannelSpec;
use fmi_model::Profile;
use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs,
    path::PathBuf,
    time::Duration,
};

/// What is measured, or read.
#[derive(Debug, clap::Args)]
pub(in crate::model) struct Measuring {
    /// Reads this instead of measuring: what `fmi bench --json` has printed, or a table (CSV) with the same
    /// names above its columns. Several files, and several measurements of one thing, are put together.
    #[arg(long, value_name = "FILE", value_delimiter = ',', conflicts_with_all = ["channel", "ranks", "time", "rounds"])]
    from: Vec<PathBuf>,

    /// The channels, with commas between them: local, tcp, quic, redis://HOST:PORT, s3://BUCKET/PREFIX.
    #[arg(short, long, value_name = "CHANNEL", default_value = "local,tcp", value_parser = channels)]
    channel: Vec<Vec<ChannelSpec>>,

    /// Numbers of ranks, with commas between them. [default: 2; one more, twice and four times as many as
    /// there are cores]
    #[arg(short = 'n', long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(2..=1024))]
    ranks: Vec<u32>,

    /// What each measurement takes, in seconds.
    #[arg(long, value_name = "S", default_value_t = 0.03, value_parser = bench::seconds)]
    time: f64,

    /// How often all is measured, from the start of the processes on: where they share cores, much depends on
    /// where the system puts them. The median counts.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
}

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::model) enum Which {
    /// What parameters are found in.
    Few,
    /// With another length besides.
    All,
}

impl Measuring {
    /// Reads or measures.
    pub(in crate::model) fn samples(&self, which: Which) -> Result<Vec<Sample>, Failure> {
        let rows = if self.from.is_empty() { self.measured(which)? } else { self.read()? };
        if rows.is_empty() {
            return Err(Failure::usage(
                "there is no measurement: give some --from a file, or channels",
            ));
        }
        Ok(together(rows))
    }

    /// Says of each store that is measured whether its server takes one of the cores here.
    pub(super) fn place_servers(&self, profile: &mut Profile) {
        let measured = self.channel.iter().flatten().filter(|_| self.from.is_empty());
        for spec in measured.filter(|spec| spec.url().is_some()) {
            let mut channel = profile.channel(spec.name()).clone();
            if let Some(server) = &mut channel.server {
                server.here = spec.is_here();
                profile.channels.insert(spec.name().to_owned(), channel);
            }
        }
    }

    fn read(&self) -> Result<Vec<Sample>, Failure> {
        let mut samples = Vec::new();
        for path in &self.from {
            let bad = |why: String| Failure::usage(format!("--from: {}: {why}", path.display()));
            let text = fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
            for (line, row) in rows(&text) {
                let sample = row.and_then(Sample::new);
                samples.push(sample.map_err(|why| bad(format!("line {line}: {why}")))?);
            }
        }
        Ok(samples)
    }

    fn measured(&self, which: Which) -> Result<Vec<Sample>, Failure> {
        let mut plans = Vec::new();
        for channel in self.channel.iter().flatten() {
            if let Some(why) = channel.unavailable() {
                return Err(Failure::usage(crate::run::lacking("--channel", channel, why)));
            }
            for ranks in self.ranks() {
                let cases = cases(which, ranks, channel);
                let count = cases.len();
                let plan = Plan::new(channel, ranks, cases, Duration::from_secs_f64(self.time));
                plans.push((format!("{}, {ranks} ranks", channel.name()), count, plan));
            }
        }
        let count: u64 = plans.iter().map(|(_, count, _)| *count as u64).sum();
        let bar = bench::progress(count * u64::from(self.rounds));
        let mut rows: Vec<Row> = Vec::new();
        for (what, _, plan) in (0..self.rounds).flat_map(|_| &plans) {
            bar.set_message(what.clone());
            plan.measure(|row| {
                bar.inc(1);
                rows.push(row);
            })?;
        }
        bar.finish_and_clear();
        rows.into_iter().map(|row| Sample::new(row).map_err(Failure::new)).collect()
    }

    fn ranks(&self) -> Vec<usize> {
        let cores = bench::cores();
        let mut ranks: Vec<usize> = match self.ranks.is_empty() {
            false => self.ranks.iter().map(|ranks| *ranks as usize).collect(),
            true => vec![2, cores + 1, 2 * cores, 4 * cores],
        };
        ranks.sort_unstable();
        ranks.dedup();
        ranks
    }
}

/// All that is measured of a channel.
pub(super) fn cases(which: Which, ranks: usize, channel: &ChannelSpec) -> Vec<Case> {
    let lengths: &[usize] = match which {
        Which::Few => &[8, 32 << 10, 1 << 20],
        Which::All => &[8, 1 << 10, 32 << 10, 1 << 20],
    };
    bench::every(ranks, channel)
        .into_iter()
        .flat_map(|(op, algorithm)| {
            let lengths = if op.has_bytes() { lengths } else { &[0] };
            let case =
                move |bytes: &usize| Case { op, bytes: *bytes, algorithm: algorithm.clone() };
            lengths.iter().map(case)
        })
        .collect()
}

/// What is in a text: a line of JSON each, or a table. With the number of the line.
fn rows(text: &str) -> Vec<(usize, Result<Row, String>)> {
    if text.trim_start().starts_with('{') {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        return lines
            .map(|(at, line)| (at + 1, serde_json::from_str(line).map_err(|bad| bad.to_string())))
            .collect();
    }
    let mut table = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    table
        .deserialize()
        .enumerate()
        .map(|(at, row)| (at + 2, row.map_err(|bad: csv::Error| bad.to_string())))
        .collect()
}

/// What was measured several times is one.
fn together(samples: Vec<Sample>) -> Vec<Sample> {
    let mut all: BTreeMap<_, Sample> = BTreeMap::new();
    for sample in samples {
        match all.entry((sample.cell(), sample.plan(), sample.cores())) {
            Entry::Vacant(place) => drop(place.insert(sample)),
            Entry::Occupied(mut same) => same.get_mut().again(&sample),
        }
    }
    all.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
op,algorithm,channel,layout,ranks,threads,cores,bytes,iters,median_us,p99_us,mb_per_s
allreduce,ring,tcp,processes,4,1,2,1024,10,100.0,120.0,1.0
allreduce,ring,tcp,processes,4,1,2,1024,10,300.0,120.0,1.0
allreduce,ring,tcp,processes,4,1,2,1024,10,120.0,120.0,1.0
pingpong,,tcp,processes,2,1,2,8,10,5.0,6.0,1.0
";

    #[test]
    fn tables_and_lines_say_the_same() {
        let read = |text: &str| -> Vec<Sample> {
            let rows = rows(text).into_iter();
            rows.map(|(_, row)| Sample::new(row.unwrap()).unwrap()).collect()
        };
        let table = read(TABLE);
        let lines: Vec<String> = rows(TABLE)
            .into_iter()
            .map(|(_, row)| serde_json::to_string(&row.unwrap()).unwrap())
            .collect();
        let lines = read(&lines.join("\n"));
        let cells = |samples: &[Sample]| -> Vec<_> {
            samples.iter().map(|it| (it.cell(), it.plan(), it.time().get())).collect()
        };
        assert_eq!(cells(&table), cells(&lines));
        // The median of three, whichever.
        let all = together(table);
        assert_eq!(all.len(), 2);
        let ring = all.iter().find(|sample| sample.plan() == Some("ring")).unwrap();
        assert!((ring.time().get() - 120e-6).abs() < 1e-12);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_line() {
        let bad = |text: &str| {
            let all = rows(text).into_iter();
            all.filter_map(|(line, row)| Some((line, row.err()?))).collect::<Vec<_>>()
        };
        let wrong = TABLE.replace("pingpong", "pingpang");
        assert!(matches!(&bad(&wrong)[..], [(5, why)] if why.contains("pingpang")));
        assert_eq!(bad("{}\n\n{\"op\"").iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 3]);
        assert!(!bad("no,such,columns\n1,2,3").is_empty());
    }

    #[test]
    fn what_is_held_out_is_not_measured_for_the_fit() {
        let of = |which| -> Vec<String> {
            let cases = cases(which, 4, &ChannelSpec::Local);
            cases
                .iter()
                .map(|case| format!("{} {:?} {}", case.op.name(), case.algorithm, case.bytes))
                .collect()
        };
        let (few, all) = (of(Which::Few), of(Which::All));
        assert!(few.iter().all(|case| all.contains(case)) && few.len() < all.len());
        assert!(!few.iter().any(|case| case.ends_with(" 1024")));
    }
}
