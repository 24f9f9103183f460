//! `fmi model check`: a profile against what is measured here.

use super::fit::{
    measure::{Measuring, Which},
    residuals::{NEAR, Residuals},
};
use crate::failure::Failure;
use fmi_model::Profile;
use std::{collections::BTreeMap, fmt::Write as _, io::Write as _, process::ExitCode};

/// Says whether a profile predicts what is measured here, and whether what is chosen by it is good.
///
/// It measures all plans of all collectives, or reads what `fmi bench --algorithm all --json` has measured. The exit
/// code is 1 if on one of the channels the median error is above 20 %, or the plan that is chosen takes over 10 %
/// longer than the best one in more than one cell of ten.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    measuring: Measuring,

    /// A profile that comes with this program, or a file.
    #[arg(long, value_name = "NAME|FILE", default_value = "loopback")]
    profile: String,

    /// Also print each measurement, and what the profile says of it.
    #[arg(long)]
    all: bool,
}

/// The largest median error.
const ERROR: f64 = 0.2;
/// The least part of the cells whose plan is good.
const GOOD: f64 = 0.9;

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let profile = super::source::profile(&args.profile)?;
    let samples = args.measuring.samples(Which::All)?;
    let residuals = Residuals::new(&profile, &samples);
    let mut text = String::new();
    if args.all {
        let _ = writeln!(text, "{}", residuals.rows());
    }
    let _ = writeln!(text, "{}", residuals.summary());
    let choices = residuals.choices();
    let bad = || choices.iter().filter(|choice| !choice.is_good());
    if bad().next().is_some() {
        let _ = writeln!(
            text,
            "Where the plan that is chosen takes over {:.0} % longer than the best\n",
            NEAR * 100.0
        );
    }
    for choice in bad() {
        let (channel, op, ranks, bytes) = &choice.cell;
        let _ = writeln!(
            text,
            "  {channel}, {ranks} ranks, {}: {} of {bytes} bytes: {:.0} % longer than {}",
            op.name(),
            choice.chosen,
            choice.lost * 100.0,
            choice.best
        );
    }
    let bare = (!profile.corrections.is_empty()).then(|| {
        let bare = Profile { corrections: BTreeMap::new(), ..profile.clone() };
        Residuals::new(&bare, &samples)
    });
    let mut met = true;
    for channel in residuals.channels() {
        let found = |residuals: &Residuals| {
            let of = residuals.of(channel);
            let choices = of.choices();
            let good = choices.iter().filter(|choice| choice.is_good()).count();
            (of.median_error(), good, choices.len())
        };
        let (error, good, cells) = found(&residuals);
        if let Some(bare) = bare.as_ref().filter(|_| profile.corrections.contains_key(channel)) {
            let (error, good, _) = found(bare);
            let _ = writeln!(
                text,
                "{channel}, by its parameters alone: median error {:.1} %, a good plan in {good} of {cells} cells",
                error * 100.0
            );
        }
        let bounds = [error <= ERROR, good as f64 >= GOOD * cells as f64];
        met &= bounds == [true; 2];
        let verdict = |met: bool| if met { "met" } else { "missed" };
        let _ = writeln!(
            text,
            "{channel}: median error {:.1} % (bound {:.0} %: {}), a good plan in {good} of {cells} cells (bound {:.0} %: {})",
            error * 100.0,
            ERROR * 100.0,
            verdict(bounds[0]),
            GOOD * 100.0,
            verdict(bounds[1])
        );
    }
    // Nobody may be reading any more.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
