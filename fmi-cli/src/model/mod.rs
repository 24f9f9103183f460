//! `fmi model`: what the model of time and money says.

mod polling;
mod prices;

use crate::failure::Failure;
use clap::Subcommand;
use std::process::ExitCode;

/// Shows what the model of time and money says: prices, and when to look into a store.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    model: Model,
}

#[derive(Debug, Subcommand)]
enum Model {
    Polling(polling::Args),
    Prices(prices::Args),
}

const EXAMPLES: &str = "\
Examples:
  fmi model polling                         what looking into S3 costs, against the best that could be done
  fmi model polling --memory 128MiB --request list
  fmi model prices                          the list of prices, to be changed and given to FMI_PRICES";

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    match &args.model {
        Model::Polling(args) => polling::run(args),
        Model::Prices(args) => prices::run(args),
    }
}
