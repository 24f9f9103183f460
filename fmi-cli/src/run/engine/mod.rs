//! Where a job runs: each engine is one file behind one contract.

mod batch;
mod kubernetes;
#[cfg(feature = "lambda")]
mod lambda;
pub(crate) mod local;
mod shell;
mod slurm;

use super::{job::Job, output::News};
use crate::failure::Failure;
use futures::future::BoxFuture;
use std::path::PathBuf;
use tokio::sync::mpsc::Sender;

/// What starts the processes of a job, and ends them.
pub(super) trait Engine {
    /// What it would do, as text that can be run or applied.
    fn describe(&self, job: &Job) -> Result<String, Failure>;

    /// Runs a job to its end; all its processes, or none. What they print goes to `news`, if the job's
    /// output is not raw. Returns the exit code of the first that failed, or 0.
    fn run<'a>(&'a self, job: &'a Job, news: Sender<News>) -> BoxFuture<'a, Result<u8, Failure>>;

    /// Where the processes can leave their reports, a folder that exists; `None`: where temporary files go.
    fn folder(&self) -> Result<Option<PathBuf>, Failure> {
        Ok(None)
    }

    /// Whether it stays until the job ends.
    fn stays(&self) -> bool {
        true
    }
}

/// The engines there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum On {
    /// Processes of this machine.
    Local,
    /// `srun` inside of an allocation of Slurm's, else `sbatch`.
    Slurm,
    /// An Indexed Job, applied by `kubectl`.
    Kubernetes,
    /// Invocations of a function of AWS Lambda, each a process of the job.
    #[cfg(feature = "lambda")]
    Lambda,
}

impl On {
    /// As `fmi.toml` names it.
    pub(super) fn named(name: &str) -> Result<Self, Failure> {
        clap::ValueEnum::from_str(name, false).map_err(|_| {
            Failure::usage(format!(
                "job.on: {name:?} is no engine of this build: write local, slurm, kubernetes or, if it has the \
                 feature, lambda"
            ))
        })
    }

    pub(super) fn engine(self) -> Box<dyn Engine> {
        match self {
            Self::Local => Box::new(local::Local),
            Self::Slurm => Box::new(slurm::Slurm),
            Self::Kubernetes => Box::new(kubernetes::Kubernetes),
            #[cfg(feature = "lambda")]
            Self::Lambda => Box::new(lambda::Lambda),
        }
    }
}
