//! A job in a lab: its rendezvous, and processes that do a task and report.

use std::{
    ffi::OsStr,
    fmt::Write as _,
    io::{BufRead, BufReader, Read, Write},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, ChildStdin, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use fmi_channels::{
    handshake::Token,
    rendezvous::{Options, Server},
};
use futures::channel::oneshot;

use crate::{
    lab::{Host, Lab},
    report::Report,
};

/// After this a process that says nothing counts as hanging.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The token of all jobs here.
pub const SECRET: &str = "correct horse battery staple";
const PORT: u16 = 10_000;

/// A rendezvous on the lab's server. Ends when dropped.
#[derive(Debug)]
pub struct Rendezvous {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Rendezvous {
    /// Starts it, on a thread in the server's namespace.
    #[must_use]
    pub fn start(lab: &Lab) -> Self {
        let (ready, is_ready) = channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let (host, listen) = (lab.server(), SocketAddr::new(lab.anywhere(), PORT));
        let thread = thread::scope(|scope| {
            let entering = scope.spawn(|| {
                host.namespace.enter().expect("the server's namespace cannot be entered");
                // A thread is where its parent is.
                thread::spawn(move || {
                    let mut runtime = tokio::runtime::Builder::new_current_thread();
                    let runtime = runtime.enable_all().build().expect("no runtime");
                    runtime.block_on(async {
                        let token = Token::new(SECRET);
                        let server =
                            Server::bind(&listen.to_string(), token, Options::default()).await;
                        let server = server.expect("the rendezvous cannot listen");
                        let _ = ready.send(());
                        server.run(stopped).await;
                    });
                })
            });
            entering.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        is_ready.recv().expect("the rendezvous has not started");
        let address = SocketAddr::new(host.address, PORT);
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    /// As `FMI_RENDEZVOUS`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("tcp://{}", self.address)
    }
}

impl Drop for Rendezvous {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the processes of a job have in common.
#[derive(Debug, Clone)]
pub struct Job {
    /// The program: `nat-peer`.
    pub program: PathBuf,
    /// Name of the job.
    pub name: String,
    /// Ranks, of a process each.
    pub size: usize,
    /// As `FMI_CHANNELS`.
    pub channels: String,
    /// More environment.
    pub environment: Vec<(String, String)>,
}

impl Job {
    /// Two ranks that use these channels.
    pub fn pair(program: impl Into<PathBuf>, channels: &str) -> Self {
        Self {
            program: program.into(),
            name: "nat".to_owned(),
            size: 2,
            channels: channels.to_owned(),
            environment: Vec::new(),
        }
    }

    /// With a variable of the environment set.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Without a log, where the time counts.
    pub fn quiet(&mut self) {
        self.environment.push(("FMI_LOG".to_owned(), "off".to_owned()));
    }

    /// Starts a rank on a host.
    pub fn start<A: AsRef<OsStr>>(
        &self,
        rendezvous: &Rendezvous,
        host: &Host,
        rank: usize,
        task: &[A],
    ) -> Process {
        let mut command = host.namespace.command(&self.program);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("FMI_")) {
            command.env_remove(name);
        }
        command
            .args(task)
            .env("FMI_JOB", &self.name)
            .env("FMI_TOKEN", SECRET)
            .env("FMI_RENDEZVOUS", rendezvous.url())
            .env("FMI_CHANNELS", &self.channels)
            .env("FMI_SIZE", self.size.to_string())
            .env("FMI_RANK", rank.to_string())
            .env("FMI_LOG", std::env::var("NAT_LOG").unwrap_or_else(|_| "fmi=debug".to_owned()))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("nat-peer cannot be started");
        let (reports, log) = (lines(child.stdout.take()), lines(child.stderr.take()));
        let stdin = child.stdin.take();
        Process { name: format!("rank {rank}"), child, stdin, reports, log }
    }

    /// Starts all ranks, one a host, and the same task on each.
    pub fn start_all<'a, A: AsRef<OsStr>>(
        &self,
        rendezvous: &Rendezvous,
        hosts: impl Iterator<Item = &'a Host>,
        task: &[A],
    ) -> Vec<Process> {
        hosts.zip(0..).map(|(host, rank)| self.start(rendezvous, host, rank, task)).collect()
    }
}

/// A process of a job. Killed when dropped, and it ends if this process does. Its log is shown
/// if the test fails.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    reports: Receiver<String>,
    log: Receiver<String>,
}

impl Process {
    /// The next thing that it reports.
    ///
    /// # Panics
    /// If it reports nothing for long, or has ended.
    pub fn report(&self) -> Report {
        let line = match self.reports.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("{} hangs", self.name),
            Err(RecvTimeoutError::Disconnected) => panic!("{} ended without a report", self.name),
        };
        serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{} says {line:?}: {error}", self.name))
    }

    /// The next report that this makes something of; the others are dropped.
    ///
    /// # Panics
    /// As [`report`](Self::report), and if an operation has failed that is not looked for.
    pub fn until<T>(&self, wanted: impl Fn(&Report) -> Option<T>) -> T {
        loop {
            let report = self.report();
            if let Some(found) = wanted(&report) {
                return found;
            }
            if let Report::Failed { error, .. } = report {
                panic!("{}: {error}", self.name);
            }
        }
    }

    /// The next report that this makes something of; an error if it fails or ends before, or
    /// hangs.
    pub fn report_or<T>(&self, wanted: impl Fn(&Report) -> Option<T>) -> Result<T, String> {
        loop {
            let line = match self.reports.recv_timeout(PATIENCE) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => return Err(format!("{} hangs", self.name)),
                Err(_) => return Err(format!("{} ended without a report", self.name)),
            };
            let report = serde_json::from_str(&line).map_err(|error| error.to_string())?;
            if let Some(found) = wanted(&report) {
                return Ok(found);
            }
            if let Report::Failed { error, .. } = report {
                return Err(format!("{}: {error}", self.name));
            }
        }
    }

    /// Lets it leave the job, which ends it.
    ///
    /// # Panics
    /// If it does not end, or not well.
    pub fn leave(mut self) {
        if let Some(mut stdin) = self.stdin.take() {
            // If it has ended already, its exit code says how.
            let _ = stdin.write_all(b"leave\n");
            let begun = Instant::now();
            while begun.elapsed() < PATIENCE {
                if let Some(status) = self.child.try_wait().expect("no child to wait for") {
                    assert!(status.success(), "{}: {status}", self.name);
                    return;
                }
                thread::sleep(Duration::from_millis(2));
            }
        }
        panic!("{} does not end", self.name);
    }

    /// What it has logged since the last look.
    fn log(&self) -> String {
        let mut text = String::new();
        // What it has just written may take a moment.
        while let Ok(line) = self.log.recv_timeout(Duration::from_millis(100)) {
            let _ = writeln!(text, "  {}: {line}", self.name);
        }
        text
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

/// The lines that something prints, read as they come.
fn lines(stream: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (send, receive) = channel();
    if let Some(stream) = stream {
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
    }
    receive
}
