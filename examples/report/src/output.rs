//! Where a report goes.

use crate::{Failure, Report, svg};
use std::path::PathBuf;

/// The arguments that say how a program reports. For `#[command(flatten)]`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Output {
    /// Print the report as one line of JSON instead of a table
    #[arg(long)]
    json: bool,

    /// Draw the report into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

impl Output {
    /// Whether what is printed has to be JSON alone.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Prints it, and draws it if that is wanted.
    ///
    /// # Errors
    /// [`Failure::Write`].
    pub fn give(&self, report: &Report) -> Result<(), Failure> {
        match self.json {
            true => println!("{}", serde_json::to_string(report)?),
            false => print!("{report}"),
        }
        if let Some(path) = &self.svg {
            let failed = |source| Failure::Write { path: path.clone(), source };
            let drawing = svg::draw(report).map_err(failed)?;
            std::fs::write(path, drawing).map_err(failed)?;
        }
        Ok(())
    }
}
