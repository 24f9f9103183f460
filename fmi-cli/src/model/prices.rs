//! `fmi model prices`: the list of prices that counts here.

use crate::failure::Failure;
use fmi::Config;
use std::{io::Write, process::ExitCode};

/// Prints the prices that this process would pay, as a file that FMI_PRICES can name.
///
/// They are those of the file that FMI_PRICES or fmi.toml names, and AWS's where that says nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let prices = Config::from_env()?.money.tariff()?.prices;
    let failed = |error: String| Failure::new(error);
    let text = match args.json {
        true => serde_json::to_string(&prices).map_err(|error| failed(error.to_string()))? + "\n",
        false => prices.to_toml(),
    };
    // Nobody may be reading any more.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}
