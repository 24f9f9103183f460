//! Slurm: `srun` inside of an allocation, else a script for `sbatch`.
//!
//! The processes learn their ranks from Slurm's environment and meet in their home's folder of the step
//! (`src/adopt/`), so that neither a command line nor a script has a token in it. The folder of reports is
//! below the home, too, which the nodes share.

use super::{
    super::{
        children::{Pipes, Speaker, start},
        contract::{common, range_text},
        group::{self, Signals},
        job::Job,
        output::{News, Stream},
    },
    Engine,
    batch::submit,
    shell::{command_line, quoted},
};
use crate::failure::Failure;
use futures::{FutureExt, future::BoxFuture};
use std::{
    fmt::Write,
    fs,
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{process::Command, sync::mpsc::Sender};

/// Slurm.
pub(super) struct Slurm;

/// After SIGTERM, how long `srun` has to end the processes on all nodes.
pub(super) const TERM: Duration = Duration::from_secs(10);

impl Engine for Slurm {
    fn describe(&self, job: &Job) -> Result<String, Failure> {
        Ok(match inside() {
            true => format!("{}{}{}\n", exports(job, " "), until(job, " "), srun_line(job)),
            false => script(job),
        })
    }

    fn run<'a>(&'a self, job: &'a Job, news: Sender<News>) -> BoxFuture<'a, Result<u8, Failure>> {
        match inside() {
            true => step(job, news).boxed(),
            false => submit(job, news).boxed(),
        }
    }

    fn folder(&self) -> Result<Option<PathBuf>, Failure> {
        let home = std::env::home_dir().ok_or_else(|| {
            Failure::new(
                "HOME is not set: the processes of Slurm's nodes leave their reports below it",
            )
        })?;
        let folder = home.join(".fmi/runs");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(|error| Failure::new(format!("cannot make {}: {error}", folder.display())))?;
        Ok(Some(folder))
    }
}

/// Whether there is an allocation to run in.
fn inside() -> bool {
    std::env::var_os("SLURM_JOB_ID").is_some_and(|id| !id.is_empty())
}

/// Runs a step of the allocation that we are in.
async fn step(job: &Job, news: Sender<News>) -> Result<u8, Failure> {
    let mut signals = Signals::listen()?;
    let mut command = Command::new("srun");
    command.args(options(job)).arg("--").arg(&job.program).args(&job.arguments);
    for (name, value) in variables(job) {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if let Some(until) = job.until() {
        command.env("FMI_UNTIL", until);
    }
    // Ctrl-C on a terminal is for us: srun asks whether it is meant.
    command.process_group(0);
    let labels = Labels::new(job);
    let child = start(command, Pipes::Both, libc::SIGTERM, labels.speaker(), &news)?;
    let ended = group::watch(job, vec![(String::new(), child)], &mut signals, news, TERM).await?;
    Ok(labels.verdict(ended))
}

/// The variables of all processes; each learns from Slurm which it is.
pub(super) fn variables(job: &Job) -> Vec<(String, Option<String>)> {
    let mut variables = common(job);
    variables.push(("FMI_PACKS".to_owned(), Some(job.packs.to_string())));
    if let Some(rendezvous) = &job.rendezvous {
        variables.push(("FMI_RENDEZVOUS".to_owned(), Some(rendezvous.url())));
    }
    variables.push(("FMI_RANK".to_owned(), None));
    variables
}

/// What `srun` is told.
fn options(job: &Job) -> Vec<String> {
    let mut options = vec![
        format!("--ntasks={}", job.packs),
        "--label".to_owned(),
        "--export=ALL".to_owned(),
        format!("--kill-on-bad-exit={}", u8::from(!job.keep_going)),
    ];
    options.extend(memory(job));
    options
}

/// Memory of a process, which has one CPU.
fn memory(job: &Job) -> Option<String> {
    let bytes = job.launch.memory?;
    Some(format!("--mem-per-cpu={}M", bytes.div_ceil(1 << 20)))
}

fn srun_line(job: &Job) -> String {
    format!("srun {} -- {}", options(job).join(" "), command_line(job))
}

/// A script for `sbatch`.
pub(super) fn script(job: &Job) -> String {
    let mut text = "#!/bin/sh\n".to_owned();
    let mut directive = |option: &str| {
        let _ = writeln!(text, "#SBATCH {option}");
    };
    let name = job.program.to_string_lossy();
    let name = name.rsplit('/').next().unwrap_or_default();
    let fit = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    directive(&format!("--job-name=fmi-{}", name.chars().filter(fit).collect::<String>()));
    directive(&format!("--ntasks={}", job.packs));
    if let Some(memory) = memory(job) {
        directive(&memory);
    }
    if let Some(deadline) = job.launch.deadline {
        directive(&format!("--time={}", deadline.as_secs().div_ceil(60).max(1)));
    }
    let exports = exports(job, "\n");
    for line in exports.lines() {
        let _ = writeln!(text, "export {line}");
    }
    if !until(job, "").is_empty() {
        let _ = writeln!(text, "export {}", until(job, ""));
    }
    let _ = writeln!(text, "unset FMI_RANK\nexec {}", srun_line(job));
    text
}

/// When the ranks' time is over, with `end` behind it: as whoever submits it says, else from its start on, as
/// `--time` has it.
fn until(job: &Job, end: &str) -> String {
    job.launch.deadline.map_or(String::new(), |deadline| {
        let seconds = deadline.as_secs_f64().ceil();
        format!("FMI_UNTIL=${{FMI_UNTIL:-$(($(date +%s) + {seconds}))}}{end}")
    })
}

/// `NAME=VALUE`, quoted, each with `end` behind it. What belongs to nobody's eyes comes by the environment.
fn exports(job: &Job, end: &str) -> String {
    let secret = |name: &str| {
        name == "FMI_RENDEZVOUS"
            && job.rendezvous.as_ref().is_some_and(|url| url.to_string() != url.url())
            || name == "FMI_CHANNELS"
                && job.channel.as_ref().is_some_and(|spec| {
                    Some(spec.to_string().as_str()) != spec.url() && spec.url().is_some()
                })
    };
    let mut text = String::new();
    for (name, value) in variables(job) {
        if let Some(value) = value.filter(|_| !secret(&name)) {
            let _ = write!(text, "{name}={}{end}", quoted(&value));
        }
    }
    text
}

/// The labels that `srun` puts before lines, and what it says itself.
#[derive(Clone)]
pub(super) struct Labels {
    packs: Arc<[String]>,
    /// The exit code of the first process that it says has failed: its own is the highest of all, those
    /// included that it has killed then.
    first: Arc<Mutex<Option<u8>>>,
}

impl Labels {
    pub(super) fn new(job: &Job) -> Self {
        let packs = (0..job.packs).map(|pack| range_text(&job.ranks_of(pack))).collect();
        Self { packs, first: Arc::default() }
    }

    pub(super) fn speaker(&self) -> Speaker {
        let labels = self.clone();
        Arc::new(move |line| labels.read(line))
    }

    /// Whose a line is, and the rest of it.
    fn read(&self, line: &str) -> (String, String) {
        let labelled = line.split_once(':').and_then(|(task, text)| {
            let ranks = self.packs.get(task.trim().parse::<usize>().ok()?)?;
            Some((ranks.clone(), text.strip_prefix(' ').unwrap_or(text).to_owned()))
        });
        labelled.unwrap_or_else(|| {
            if let Some(code) = said(line) {
                self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(code);
            }
            ("srun".to_owned(), line.to_owned())
        })
    }

    /// The exit code of a job whose `srun` has ended so.
    pub(super) fn verdict(&self, ended: group::Ended) -> u8 {
        let first = *self.first.lock().unwrap_or_else(PoisonError::into_inner);
        match first {
            Some(first) if ended.code != 0 && !ended.by_us => first,
            _ => ended.code,
        }
    }

    /// A line for the news.
    pub(super) fn line(&self, stream: Stream, line: &str) -> News {
        let (ranks, text) = self.read(line);
        News::Line { ranks, stream, text }
    }
}

/// What `srun` says of the end of a process: `srun: error: node: task 1: Exited with exit code 3`.
fn said(line: &str) -> Option<u8> {
    let text = line.strip_prefix("srun: error: ")?.rsplit(": ").next()?;
    if let Some(code) = text.strip_prefix("Exited with exit code ") {
        return code.trim().parse().ok();
    }
    let signals = [
        ("Aborted", libc::SIGABRT),
        ("Killed", libc::SIGKILL),
        ("Segmentation fault", libc::SIGSEGV),
        ("Bus error", libc::SIGBUS),
        ("Terminated", libc::SIGTERM),
        ("Out Of Memory", libc::SIGKILL),
    ];
    let signal = signals.iter().find(|(name, _)| text.starts_with(name))?.1;
    u8::try_from(128 + signal).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn job() -> Job {
        let arguments = ["--name", "it's", ""].map(OsString::from).to_vec();
        let mut job = Job::new("./a b".into(), arguments, 10);
        job.packs = 4;
        job.launch.memory = Some((1 << 30) + 1);
        job.launch.deadline = Some(Duration::from_secs(61));
        job.launch.environment = vec![("DATA".to_owned(), "/my data".to_owned())];
        job
    }

    #[test]
    fn a_script_says_all_that_slurm_must_know() {
        let expected = "\
#!/bin/sh
#SBATCH --job-name=fmi-ab
#SBATCH --ntasks=4
#SBATCH --mem-per-cpu=1025M
#SBATCH --time=2
export DATA='/my data'
export FMI_SIZE=10
export FMI_MEMORY='1073741825 B'
export FMI_PACKS=4
export FMI_UNTIL=${FMI_UNTIL:-$(($(date +%s) + 61))}
unset FMI_RANK
exec srun --ntasks=4 --label --export=ALL --kill-on-bad-exit=1 --mem-per-cpu=1025M -- './a b' --name 'it'\\''s' ''
";
        assert_eq!(script(&job()), expected);
    }

    #[test]
    fn no_password_is_in_it() {
        let mut job = job();
        job.rendezvous = Some("redis://:hunter2@cache:6379".parse().unwrap());
        job.channel = Some("redis://:hunter2@cache:6379".parse().unwrap());
        assert!(!script(&job).contains("hunter2"));
        job.rendezvous = Some("tcp://10.0.0.1:10000".parse().unwrap());
        assert!(script(&job).contains("FMI_RENDEZVOUS=tcp://10.0.0.1:10000"));
    }

    #[test]
    fn labels_are_ranks_and_the_first_failure_counts() {
        let labels = Labels::new(&job());
        assert_eq!(labels.read("1: a: b"), ("2-4".to_owned(), "a: b".to_owned()));
        assert_eq!(labels.read(" 0:"), ("0-1".to_owned(), String::new()));
        assert_eq!(labels.read("4: x").0, "srun", "there is no such process");
        labels.read("srun: error: vm: task 1: Exited with exit code 3");
        labels.read("srun: error: vm: task 0: Terminated");
        assert_eq!(labels.verdict(group::Ended { code: 143, by_us: false }), 3);
        assert_eq!(labels.verdict(group::Ended { code: 130, by_us: true }), 130);
        assert_eq!(labels.verdict(group::Ended { code: 0, by_us: false }), 0);
        assert_eq!(said("srun: error: vm: task 1: Aborted (core dumped)"), Some(134));
        assert_eq!(said("srun: error: Unable to allocate resources"), None);
    }
}
