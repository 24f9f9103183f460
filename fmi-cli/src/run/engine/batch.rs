//! A job that `sbatch` has put into Slurm's queue: its output is read from files as it grows, and it is
//! cancelled when this program is told to end.

use super::{
    super::{
        children::{Pipes, Speaker, start},
        group::{self, Signals},
        job::Job,
        output::{News, Stream},
    },
    slurm::{Labels, TERM, script, variables},
};
use crate::failure::Failure;
use std::{
    fs,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};
use tokio::{
    process::Command,
    sync::mpsc::{Sender, channel},
    time::sleep,
};

/// How often the output is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Bytes of it at a time.
const PIECE: u64 = 1 << 20;

/// Submits a job, and stays until it has ended.
pub(super) async fn submit(job: &Job, news: Sender<News>) -> Result<u8, Failure> {
    let mut signals = Signals::listen()?;
    let folder = job.folder.clone().unwrap_or_else(|| PathBuf::from("."));
    let (file, out, err) = (folder.join("job.sh"), folder.join("out"), folder.join("err"));
    fs::write(&file, script(job))?;
    let mut command = Command::new("sbatch");
    command.args(["--parsable", "--wait", "--export=ALL"]);
    for (option, path) in [("--output", &out), ("--error", &err)] {
        command.arg(format!("{option}={}", path.display()));
    }
    command.arg(&file).stdin(Stdio::null()).process_group(0);
    // Those that the script does not show, too.
    for (name, value) in variables(job) {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if let Some(until) = job.until() {
        command.env("FMI_UNTIL", until);
    }
    // What sbatch prints is the job's number.
    let (said, mut heard) = channel(16);
    let speaker: Speaker = Arc::new(|line| (String::new(), line.to_owned()));
    let child = start(command, Pipes::Both, libc::SIGTERM, speaker, &said)?;
    let labels = Labels::new(job);
    let mut number = None;
    let ended = {
        let children = vec![(String::new(), child)];
        let mut watch = std::pin::pin!(group::watch(job, children, &mut signals, said, TERM));
        let mut tails = [Tail::new(&out, Stream::Stdout), Tail::new(&err, Stream::Stderr)];
        loop {
            tokio::select! {
                Some(line) = heard.recv() => match line {
                    News::Line { stream: Stream::Stdout, text, .. } if number.is_none() => {
                        // With the cluster's name behind it where there are several.
                        let id = text.split(';').next().unwrap_or_default().trim().to_owned();
                        eprintln!("fmi run: Slurm's job {id}");
                        number = Some(id);
                    }
                    News::Line { text, .. } => eprintln!("{text}"),
                    failed @ News::Failed { .. } => { let _ = news.send(failed).await; }
                },
                ended = &mut watch => {
                    for tail in &mut tails {
                        tail.hand_on(&labels, &news, true).await;
                    }
                    break ended?;
                }
                () = sleep(LOOK) => for tail in &mut tails {
                    tail.hand_on(&labels, &news, false).await;
                }
            }
        }
    };
    if let Some(number) = number.filter(|_| ended.by_us) {
        let cancelled = Command::new("scancel").arg(&number).status().await;
        if !cancelled.is_ok_and(|status| status.success()) {
            return Err(Failure::new(format!("Slurm's job {number} goes on: scancel {number}")));
        }
    }
    Ok(labels.verdict(ended))
}

/// A file that grows.
struct Tail {
    path: PathBuf,
    stream: Stream,
    at: u64,
    /// The beginning of a line.
    rest: Vec<u8>,
}

impl Tail {
    fn new(path: &Path, stream: Stream) -> Self {
        Self { path: path.to_owned(), stream, at: 0, rest: Vec::new() }
    }

    /// Hands on what is new; at the end, also what is no whole line.
    async fn hand_on(&mut self, labels: &Labels, news: &Sender<News>, end: bool) {
        loop {
            let mut piece = Vec::new();
            let read = fs::File::open(&self.path).and_then(|mut file| {
                file.seek(SeekFrom::Start(self.at))?;
                file.take(PIECE).read_to_end(&mut piece)
            });
            let Ok(read @ 1..) = read else { break };
            self.at += read as u64;
            self.rest.extend(piece);
            while let Some(length) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=length).collect();
                self.tell(&line[..length], labels, news).await;
            }
        }
        if end && !self.rest.is_empty() {
            let line = std::mem::take(&mut self.rest);
            self.tell(&line, labels, news).await;
        }
    }

    async fn tell(&self, line: &[u8], labels: &Labels, news: &Sender<News>) {
        let _ = news.send(labels.line(self.stream, &String::from_utf8_lossy(line))).await;
    }
}
