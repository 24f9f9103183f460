//! `fmi model`: what the model of time and money says.

mod call;
mod check;
mod compare;
mod exchange;
mod fit;
mod lists;
mod polling;
mod predict;
mod prices;
mod setting;
mod show;
mod simulate;
pub(crate) mod source;
mod validate;
pub(crate) mod way;
pub(crate) mod weigh;

use crate::failure::Failure;
use clap::Subcommand;
use std::process::ExitCode;

/// Shows what the model of time and money says: of channels, of collectives and which plan is best for them, prices, and
/// when to look into a store.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    model: Model,
}

#[derive(Debug, Subcommand)]
enum Model {
    Show(show::Args),
    Fit(fit::Args),
    Check(check::Args),
    Predict(predict::Args),
    Compare(compare::Args),
    Simulate(simulate::Args),
    Polling(polling::Args),
    Prices(prices::Args),
    Validate(validate::Args),
}

const EXAMPLES: &str = "\
Examples:
  fmi model show --profile aws-lambda       what messages take and cost on each channel
  fmi model fit -o here.toml                measures how long things take here
  fmi model check --profile here.toml       whether that predicts what it has not seen
  fmi model predict allreduce -n 64 --bytes 1MiB    what one call takes and costs
  fmi model compare bcast -n 64 --bytes 1KiB..64MiB  which channel and plan are best, and from where on
  fmi model simulate -n 16384               allreduce, bcast and barrier of as many functions
  fmi model polling                         what looking into S3 costs, against the best that could be done
  fmi model polling --memory 128MiB --request list
  fmi model validate                        what FMI's authors measured, predicted
  fmi model prices                          the list of prices, to be changed and given to FMI_PRICES";

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    match &args.model {
        Model::Show(args) => show::run(args),
        Model::Fit(args) => fit::run(args),
        Model::Check(args) => check::run(args),
        Model::Predict(args) => predict::run(args),
        Model::Compare(args) => compare::run(args),
        Model::Simulate(args) => simulate::run(args),
        Model::Polling(args) => polling::run(args),
        Model::Prices(args) => prices::run(args),
        Model::Validate(args) => validate::run(args),
    }
}
