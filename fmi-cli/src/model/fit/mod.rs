//! `fmi model fit`: how long things take here.

mod corrections;
mod loss;
pub(super) mod measure;
pub(super) mod residuals;
pub(super) mod sample;

use crate::{failure::Failure, units};
use fmi::config::ChannelSpec;
use fmi_channels::rendezvous::MAX_MODEL;
use fmi_model::{
    Profile,
    fit::{Form, bounded_error, descend, log_error},
};
use loss::ChannelLoss;
use measure::{Measuring, Which};
use residuals::Residuals;
use sample::Sample;
use std::{fmt::Write as _, fs, io::Write as _, path::PathBuf, process::ExitCode};

/// Finds out how long things take here, and writes it as a profile.
///
/// It measures messages and collectives on the channels, which takes some seconds for each, or reads what
/// `fmi bench --json` has measured; finds the parameters that predict that best; says how far off they are;
/// and writes a profile for --profile and FMI_PROFILE.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    measuring: Measuring,

    /// What is not measured is as in this profile, and the rest is looked for from there: one that comes with
    /// this program, or a file.
    #[arg(long, value_name = "NAME|FILE", default_value = "loopback")]
    profile: String,

    /// What the new profile is called. [default: the file's name, or here]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Writes the profile to this file. [default: it is printed, and what was found about it goes to standard
    /// error]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Also print each measurement, and what the profile says of it.
    #[arg(long)]
    all: bool,
}

const EXAMPLES: &str = "\
Examples:
  fmi model fit -o here.toml                 inside a process, and over TCP between processes of this machine
  fmi model fit --channel tcp,redis://127.0.0.1:6379 -o here.toml
  fmi bench --op all --algorithm all --channel tcp -n 4 --json > tcp4.jsonl
  fmi model fit --from tcp4.jsonl -o here.toml
  fmi model check --profile here.toml        whether it predicts what it has not seen
  FMI_PROFILE=here.toml fmi run -n 4 ./program";

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let mut profile = super::source::profile(&args.profile)?;
    let samples = args.measuring.samples(Which::Few)?;
    args.measuring.place_servers(&mut profile);
    let parameters = fitted(&mut profile, &samples);
    profile.name = args.name();
    profile.source = source(&samples);
    profile.date = time::OffsetDateTime::now_utc().date().to_string();
    let residuals = Residuals::new(&profile, &samples);
    let mut text = String::new();
    if args.all {
        let _ = writeln!(text, "{}", residuals.rows());
    }
    let _ = write!(text, "{}", residuals.summary());
    let _ = writeln!(
        text,
        "fitted {parameters} parameters to {} measurements: median error {:.0} %",
        samples.len(),
        residuals.median_error() * 100.0
    );
    let plans = corrections::noted(&mut profile, &samples);
    let _ = writeln!(text, "noted by how much {} differ from that", units::count(plans, "plan"));
    let toml = profile.to_toml();
    if toml.len() > MAX_MODEL {
        let _ = writeln!(
            text,
            "it has {} KiB, and a job takes at most {} for the channels that it uses: where that is too much, \
             measure fewer numbers of ranks",
            toml.len() >> 10,
            MAX_MODEL >> 10
        );
    }
    // Nobody may be reading any more.
    match &args.output {
        Some(path) => {
            fs::write(path, toml).map_err(|error| {
                Failure::new(format!("--output: {} cannot be written: {error}", path.display()))
            })?;
            let _ = writeln!(text, "written to {}", path.display());
            let _ = std::io::stdout().lock().write_all(text.as_bytes());
        }
        None => {
            let _ = std::io::stderr().lock().write_all(text.as_bytes());
            let _ = std::io::stdout().lock().write_all(toml.as_bytes());
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn name(&self) -> String {
        let stem = || Some(self.output.as_ref()?.file_stem()?.to_string_lossy().into_owned());
        self.name.clone().or_else(stem).unwrap_or_else(|| "here".to_owned())
    }
}

/// Puts into a profile what predicts the samples best. Each channel counts as much, however often it was
/// measured. Returns how many parameters that are.
fn fitted(profile: &mut Profile, samples: &[Sample]) -> usize {
    let mut channels: Vec<&str> = samples.iter().map(Sample::channel).collect();
    channels.sort_unstable();
    channels.dedup();
    profile.host.cores = samples.iter().map(Sample::cores).max().unwrap_or_default();
    // Of channels that were not measured, too: their times are foretold with another host now.
    profile.corrections.clear();
    let form = Form::of(profile, &channels);
    let start = form.parameters(profile);
    let search = |start: &[f64], error: loss::Error| {
        let mut losses: Vec<ChannelLoss<'_>> =
            channels.iter().map(|name| ChannelLoss::new(name, samples, error)).collect();
        descend(start, |parameters| {
            let mut profile = profile.clone();
            form.set(&mut profile, parameters);
            mean(&mut losses, &profile)
        })
    };
    // To where all of them are met as well as can be, and from there to what most of them say.
    let (near, _) = search(&start, log_error);
    let (found, _) = search(&near, bounded_error);
    form.set(profile, &found);
    *profile = profile.clone().rounded();
    found.len()
}

/// The mean of all channels, which are computed side by side.
fn mean(losses: &mut [ChannelLoss<'_>], profile: &Profile) -> f64 {
    let count = losses.len().max(1) as f64;
    let all: Vec<f64> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            losses.iter_mut().map(|loss| scope.spawn(|| loss.of(profile))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(f64::NAN)).collect()
    });
    all.into_iter().sum::<f64>() / count
}

/// `fmi model fit: 216 measurements of local, tcp with 2, 4, 8 ranks on 2 cores`.
fn source(samples: &[Sample]) -> String {
    let list = |mut all: Vec<String>| {
        all.sort_unstable();
        all.dedup();
        all.join(", ")
    };
    let channels = list(samples.iter().map(|sample| sample.channel().to_owned()).collect());
    let mut ranks: Vec<usize> = samples.iter().map(Sample::ranks).collect();
    ranks.sort_unstable();
    ranks.dedup();
    let ranks: Vec<String> = ranks.iter().map(usize::to_string).collect();
    let cores = samples.iter().map(Sample::cores).max().unwrap_or_default();
    format!(
        "fmi model fit: {} measurements of {channels} with {} ranks on {}",
        samples.len(),
        ranks.join(", "),
        units::count(cores, "core")
    )
}

/// Channels with commas between them.
pub(super) fn channels(text: &str) -> Result<Vec<ChannelSpec>, String> {
    text.split(',')
        .map(|name| name.trim().parse().map_err(|bad: fmi::Error| bad.to_string()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{sample::market, *};
    use crate::bench::{self, Row};

    /// As measured where everything is as a profile says.
    fn samples(profile: &Profile, channel: &str) -> Vec<Sample> {
        let mut samples = Vec::new();
        for ranks in [2, 4, 8] {
            for case in measure::cases(Which::Few, ranks, &channel.parse().unwrap()) {
                let row = Row {
                    op: case.op,
                    algorithm: case.algorithm,
                    channel: channel.to_owned(),
                    layout: if channel == "local" {
                        bench::Layout::Threads
                    } else {
                        bench::Layout::Processes
                    },
                    ranks,
                    packs: None,
                    threads: if channel == "local" { 2 } else { 1 },
                    cores: 2,
                    bytes: case.bytes,
                    iters: 10,
                    median_us: 1.0,
                    p99_us: 1.0,
                    mb_per_s: 1.0,
                };
                let sample = Sample::new(row.clone()).unwrap();
                let time = sample.predicted(&market(profile, channel));
                samples.push(Sample::new(Row { median_us: time.get() * 1e6, ..row }).unwrap());
            }
        }
        samples
    }

    #[test]
    fn a_profile_is_found_in_what_it_predicts() {
        let mut truth = Profile::shipped("loopback").unwrap();
        truth.corrections.clear();
        let form = Form::of(&mut truth, &["tcp"]);
        let other: Vec<f64> = form.parameters(&truth).iter().map(|time| time * 1.7).collect();
        form.set(&mut truth, &other);
        let samples = samples(&truth, "tcp");
        let mut profile = Profile::shipped("loopback").unwrap();
        assert_eq!(fitted(&mut profile, &samples), form.parameters(&profile).len());
        // From where all is 41 % too short.
        let error = Residuals::new(&profile, &samples).median_error();
        assert!(error < 0.08, "{error}");
        assert!(!profile.corrections.contains_key("tcp"));
        assert!(corrections::noted(&mut profile, &samples) > 40);
        assert!(Residuals::new(&profile, &samples).median_error() < 0.01);
        assert_eq!((profile.host.cores, profile.check()), (2, Ok(())));
        let read = Profile::from_toml(&profile.to_toml());
        assert_eq!(read.as_ref(), Ok(&profile));
    }
}
