//! `fmi doctor`: what is wrong here, and what to do about it.

mod channels;
mod links;
mod machine;
mod outside;
mod settings;
mod stores;

use crate::failure::Failure;
use fmi::{Config, config::ChannelSpec};
use indicatif::ProgressBar;
use serde::Serialize;
use std::{process::ExitCode, time::Duration};

/// Checks the configuration, the rendezvous and each channel, and says what to do.
///
/// Reads the same files and variables as a rank would in this directory and environment. The
/// exit code is not 0 if there is a problem. It joins no job but one of its own.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,

    #[command(subcommand)]
    topic: Option<Topic>,
}

#[derive(Debug, clap::Subcommand)]
enum Topic {
    Links(links::Args),
    Redis(stores::RedisArgs),
    S3(stores::S3Args),
}

const EXAMPLES: &str = "\
Examples:
  fmi doctor
  FMI_RENDEZVOUS=tcp://10.0.0.1:10000 FMI_TOKEN=… FMI_SIZE=2 fmi doctor
  fmi run -n 4 -- fmi doctor links                   how the processes of a job reach each other
  fmi doctor redis redis://127.0.0.1:6379            a Redis server: speed, rights, configuration
  fmi doctor s3 s3://bucket/jobs                     a bucket: speed, rights, who cleans up
  fmi doctor --json
      {\"ok\":true,\"checks\":[{\"check\":\"config\",\"status\":\"ok\",\"detail\":\"…\"}]}

A status is ok, note (works, but not as it could) or problem.";

/// What a check found.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    status: Status,
    detail: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Note,
    Problem,
}

impl Finding {
    fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, status: Status::Ok, detail: detail.into(), advice: None }
    }

    fn note(check: &'static str, detail: impl Into<String>, advice: &str) -> Self {
        let advice = Some(advice.to_owned());
        Self { check, status: Status::Note, detail: detail.into(), advice }
    }

    fn problem(check: &'static str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        let advice = Some(advice.into());
        Self { check, status: Status::Problem, detail: detail.into(), advice }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    checks: Vec<Finding>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let exit = |ok| if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    match &args.topic {
        Some(Topic::Links(args)) => return links::run(args),
        Some(Topic::Redis(args)) => return stores::run_redis(args).map(exit),
        Some(Topic::S3(args)) => return stores::run_s3(args).map(exit),
        None => {}
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut desk = Desk { json: args.json, findings: Vec::new() };

    let config = Config::from_env();
    desk.check("config", || settings::check(&config));
    if let Ok(config) = &config {
        desk.check("rendezvous", || runtime.block_on(settings::rendezvous(config)));
    }
    // With a configuration that cannot be read, the rest is still worth knowing.
    let config = config.unwrap_or_default();
    let wanted = |spec| config.channels.is_empty() || config.channels.contains(&spec);
    if wanted(ChannelSpec::Local) {
        desk.check("local", || vec![channels::local()]);
    }
    if wanted(ChannelSpec::Shm) && ChannelSpec::Shm.unavailable().is_none() {
        desk.check("shm", || vec![runtime.block_on(channels::shm())]);
    }
    if wanted(ChannelSpec::Tcp) {
        desk.check("tcp", || runtime.block_on(channels::tcp(&config)));
    }
    for store in stores::configured(&config) {
        desk.check(store.name(), || runtime.block_on(stores::store(&store)));
    }
    desk.check("keep-awake", || vec![machine::keep_awake(&config)]);
    desk.report().map(exit)
}

/// Collects findings, and shows each when it is there.
struct Desk {
    json: bool,
    findings: Vec<Finding>,
}

impl Desk {
    /// Whether all is well. Prints all findings at once, if that is wanted.
    fn report(self) -> Result<bool, Failure> {
        let ok = self.findings.iter().all(|finding| finding.status != Status::Problem);
        if self.json {
            let report = Report { ok, checks: self.findings };
            let line = serde_json::to_string(&report).map_err(|e| Failure::new(e.to_string()))?;
            println!("{line}");
        }
        Ok(ok)
    }

    fn check(&mut self, name: &'static str, look: impl FnOnce() -> Vec<Finding>) {
        let spinner = if self.json { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        spinner.set_message(name);
        spinner.enable_steady_tick(Duration::from_millis(200));
        let findings = look();
        spinner.finish_and_clear();
        if !self.json {
            findings.iter().for_each(show);
        }
        self.findings.extend(findings);
    }
}

fn show(finding: &Finding) {
    let Finding { check, status, detail, advice } = finding;
    let status = match status {
        Status::Ok => "ok",
        Status::Note => "note",
        Status::Problem => "problem",
    };
    println!("{status:<9}{check:<12}{detail}");
    if let Some(advice) = advice {
        println!("{:21}-> {advice}", "");
    }
}
