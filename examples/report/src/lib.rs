//! What the example applications have in common: how they read their arguments, agree on a mistake,
//! show progress, and report.
//!
//! ```
//! use app_report::Recorder;
//!
//! fmi::run_with(fmi::Config::default().size(4), |ctx| async move {
//!     let mut recorder = Recorder::start(&ctx).await?;
//!     ctx.allreduce(vec![1_u64; 1000], fmi::op::sum()).await?;
//!     recorder.end_phase("add up").await?;
//!     if let Some(report) = recorder.report("example").await? {
//!         println!("{report}");
//!     }
//!     Ok::<_, app_report::Failure>(())
//! })?;
//! # Ok::<(), fmi::Error>(())
//! ```

mod agree;
mod memory;
mod output;
mod progress;
mod recorder;
mod report;
mod svg;
pub mod testing;
mod traffic;
mod units;

pub use agree::{agree, parse};
pub use indicatif::ProgressBar;
pub use memory::peak_memory;
pub use output::Output;
pub use progress::progress;
pub use recorder::Recorder;
pub use report::{Fact, Phase, Report, median};
pub use traffic::{Counts, Traffic};
pub use units::{bytes, human, rate};

/// What can go wrong here.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Between the ranks.
    #[error(transparent)]
    Fmi(#[from] fmi::Error),
    /// A process told what it has done in words that this one does not know.
    #[error("a rank's report cannot be read: {0}: do all processes run the same program?")]
    Foreign(#[from] serde_json::Error),
    /// A report was not written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
