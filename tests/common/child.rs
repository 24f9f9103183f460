//! Ranks in processes of their own: the test program runs itself again.
//!
//! A test that begins with [`entry`] is the `main` of such a process, and does nothing when the
//! test runner calls it.

use super::{PATIENCE, Rendezvous, SECRET, threads};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

const ENTRY: &str = "FMI_TEST_ENTRY";

/// Whether this process was started to be `name`. Its arguments are in the environment.
pub fn entry(name: &str) -> bool {
    std::env::var(ENTRY).is_ok_and(|entry| entry == name)
}

/// Tells the parent something.
pub fn say(line: &str) {
    println!("\n{LINE}{line}");
}

const LINE: &str = "child: ";

/// A rank in a process of its own. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    lines: Receiver<String>,
    errors: Receiver<String>,
}

impl Process {
    /// Starts the test `entry` as rank `rank` of a job.
    pub fn start(entry: &str, rendezvous: &Rendezvous, size: usize, rank: &str) -> Self {
        Self::with(entry, rendezvous, size, rank, &[])
    }

    /// As [`start`](Self::start), with more environment.
    pub fn with(
        entry: &str,
        rendezvous: &Rendezvous,
        size: usize,
        rank: &str,
        environment: &[(&str, &str)],
    ) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("FMI_")) {
            command.env_remove(key);
        }
        command
            .args(["--exact", entry, "--nocapture", "--test-threads=1"])
            .env(ENTRY, entry)
            .env("FMI_JOB", "test")
            .env("FMI_TOKEN", SECRET)
            .env("FMI_RENDEZVOUS", format!("tcp://{}", rendezvous.address()))
            .env("FMI_CHANNELS", "tcp")
            .env("FMI_SIZE", size.to_string())
            .env("FMI_RANK", rank)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = listen(child.stdout.take().unwrap());
        let errors = listen(child.stderr.take().unwrap());
        Self { child, lines, errors }
    }

    /// Number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next thing that it [says](say).
    pub fn line(&self) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    if let Some(line) = line.strip_prefix(LINE) {
                        return line.to_owned();
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    panic!("the child says nothing\n{}\n{}", self.errors(), threads());
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("the child ended without a word\n{}", self.errors());
                }
            }
        }
    }

    /// Kills it as the kernel does that needs memory.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub fn end(&mut self) -> ExitStatus {
        for _ in 0..PATIENCE.as_millis() / 5 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("the child does not end\n{}", self.errors());
    }

    /// What it has written to stderr.
    pub fn errors(&self) -> String {
        let mut text = String::new();
        // The pipe may be a moment behind the process's end.
        while let Ok(line) = self.errors.recv_timeout(Duration::from_millis(200)) {
            text += &line;
            text.push('\n');
        }
        text
    }

    /// Time that it has spent on a processor.
    pub fn cpu(&self) -> Duration {
        cpu_of(&self.id().to_string())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Time that all threads of a process have spent on a processor; `self` is this one.
pub fn cpu_of(process: &str) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let nanos = tasks.flatten().map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        text.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0u64)
    });
    Duration::from_nanos(nanos.sum())
}

/// Bytes of memory that this process occupies.
pub fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = text.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096
}

fn listen(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    receive
}
