//! Processes of this machine.

use super::{
    super::{
        children::{Pipes, spawn},
        contract::{self, Meeting, range_text},
        group::{self, Signals},
        job::Job,
        output::{Format, News},
    },
    Engine,
};
use crate::failure::Failure;
use futures::{FutureExt, future::BoxFuture};
use std::fmt::Write;
use tokio::sync::mpsc::Sender;

/// This machine.
pub(super) struct Local;

impl Engine for Local {
    fn describe(&self, job: &Job) -> Result<String, Failure> {
        let mut text = String::new();
        for pack in 0..job.packs {
            let ranks = range_text(&job.ranks_of(pack));
            let command = super::shell::command_line(job);
            let _ = writeln!(text, "FMI_RANK={ranks} FMI_SIZE={} {command}", job.ranks);
        }
        Ok(text)
    }

    fn run<'a>(&'a self, job: &'a Job, news: Sender<News>) -> BoxFuture<'a, Result<u8, Failure>> {
        let pipes = if job.output == Format::Raw { Pipes::None } else { Pipes::Both };
        launch(job, pipes, news).boxed()
    }
}

/// Runs a job to its end; returns the exit code of the first process that failed, or 0.
///
/// What goes through pipes comes as news, line by line; all else that processes print goes where this
/// program's output goes.
pub(crate) async fn launch(job: &Job, pipes: Pipes, news: Sender<News>) -> Result<u8, Failure> {
    // Before the first child: a signal must find us ready.
    let mut signals = Signals::listen()?;
    let meeting = Meeting::arrange(job).await?;
    let mut children = Vec::new();
    for pack in 0..job.packs {
        let ranks = job.ranks_of(pack);
        let variables = contract::environment(job, &ranks, &meeting);
        let name = range_text(&ranks);
        let pipes = if pipes == Pipes::First && pack > 0 { Pipes::None } else { pipes };
        // Dropping those that run already kills them, should this one not start.
        let child = spawn(job, &variables, pipes, &name, &news)?;
        children.push((name, child));
    }
    let ended = group::watch(job, children, &mut signals, news, group::TERM).await?;
    Ok(ended.code)
}
