//! One process of a job.
//!
//! The only file of the program with `unsafe`: for what the standard library cannot do between
//! fork and exec, and to send a signal.

use super::{
    job::Job,
    output::{News, Stream},
};
use crate::failure::Failure;
use std::{
    ffi::OsStr,
    io,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
    sync::{mpsc::Sender, watch},
    task::JoinHandle,
    time::timeout,
};

/// What the launcher wants of all processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Run,
    Terminate,
    Kill,
}

/// Which outputs of a process come through pipes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pipes {
    /// It has this program's own.
    None,
    /// What the first process prints, but no errors.
    First,
    Both,
}

/// Whose a line is, and what of it is theirs.
pub(super) type Speaker = Arc<dyn Fn(&str) -> (String, String) + Send + Sync>;

/// A process of the job; killed when dropped.
#[derive(Debug)]
pub(super) struct Child {
    process: tokio::process::Child,
    /// They hand its output on.
    readers: Vec<JoinHandle<()>>,
    news: Sender<News>,
}

/// Starts the process of these ranks.
pub(super) fn spawn(
    job: &Job,
    variables: &[(String, Option<String>)],
    pipes: Pipes,
    ranks: &str,
    news: &Sender<News>,
) -> Result<Child, Failure> {
    let mut command = Command::new(&job.program);
    command.args(&job.arguments);
    for (name, value) in variables {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let ranks = ranks.to_owned();
    let speaker: Speaker = Arc::new(move |line| (ranks.clone(), line.to_owned()));
    start(command, pipes, libc::SIGKILL, speaker, news)
}

/// Starts a process that gets `will` when this program ends, however it does.
pub(super) fn start(
    mut command: Command,
    pipes: Pipes,
    will: i32,
    speaker: Speaker,
    news: &Sender<News>,
) -> Result<Child, Failure> {
    command.kill_on_drop(true);
    if pipes != Pipes::None {
        command.stdout(Stdio::piped());
    }
    if pipes == Pipes::Both {
        command.stderr(Stdio::piped());
    }
    die_with_us(&mut command, will);
    let mut process =
        command.spawn().map_err(|error| not_started(command.as_std().get_program(), &error))?;
    let mut readers = Vec::new();
    if let Some(output) = process.stdout.take() {
        let hand_on = hand_on(output, Stream::Stdout, Arc::clone(&speaker), news.clone());
        readers.push(tokio::spawn(hand_on));
    }
    if let Some(output) = process.stderr.take() {
        readers.push(tokio::spawn(hand_on(output, Stream::Stderr, speaker, news.clone())));
    }
    Ok(Child { process, readers, news: news.clone() })
}

/// After its end, how long a process' outputs may stay open without a word: a child of it may have
/// them, too.
const LINGER: Duration = Duration::from_millis(300);

impl Child {
    /// Waits for the end of the process, and passes orders on to it.
    pub(super) async fn watch(
        mut self,
        mut orders: watch::Receiver<Order>,
    ) -> io::Result<ExitStatus> {
        loop {
            tokio::select! {
                status = self.process.wait() => {
                    self.hear_out(&orders).await;
                    return status;
                }
                Ok(()) = orders.changed() => match *orders.borrow_and_update() {
                    Order::Run => {}
                    Order::Terminate => self.terminate(),
                    Order::Kill => self.process.start_kill()?,
                }
            }
        }
    }

    /// Hands on what it has said before its end; patiently, unless the end is wanted.
    async fn hear_out(&mut self, orders: &watch::Receiver<Order>) {
        for mut reader in self.readers.drain(..) {
            while timeout(LINGER, &mut reader).await.is_err() {
                // Unless it only waits for whoever reads us.
                if self.news.capacity() > 0 || *orders.borrow() != Order::Run {
                    reader.abort();
                    break;
                }
            }
        }
    }

    fn terminate(&self) {
        // It has a number as long as it has not been waited for, so that this is no other's.
        let Some(id) = self.process.id().and_then(|id| i32::try_from(id).ok()) else { return };
        // SAFETY: kill takes two numbers and touches no memory.
        unsafe { libc::kill(id, libc::SIGTERM) };
    }
}

/// Longer lines are cut in pieces.
const LONGEST: usize = 64 << 10;

async fn hand_on(
    mut output: impl AsyncRead + Unpin,
    stream: Stream,
    speaker: Speaker,
    news: Sender<News>,
) {
    let mut line: Vec<u8> = Vec::new();
    let mut buffer = vec![0; LONGEST];
    loop {
        let read = output.read(&mut buffer).await.unwrap_or(0);
        let mut rest = &buffer[..read];
        while !rest.is_empty() || read == 0 && !line.is_empty() {
            let end = rest.iter().position(|byte| *byte == b'\n');
            let room = LONGEST.saturating_sub(line.len());
            let taken = end.unwrap_or(rest.len()).min(room);
            line.extend_from_slice(&rest[..taken]);
            let ends = end == Some(taken);
            rest = &rest[taken + usize::from(ends)..];
            if ends || line.len() >= LONGEST || read == 0 {
                let text = String::from_utf8_lossy(&line);
                let (ranks, text) = speaker(text.trim_end_matches('\r'));
                line.clear();
                if news.send(News::Line { ranks, stream, text }).await.is_err() {
                    return;
                }
            }
        }
        if read == 0 {
            return;
        }
    }
}

/// Makes the kernel send the child a signal when this program ends, however it does.
#[cfg(target_os = "linux")]
fn die_with_us(command: &mut Command, signal: i32) {
    let parent = std::process::id();
    let bind = move || {
        // SAFETY: a system call with numbers for arguments.
        if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // The parent may have ended before the call; then nobody would tell us.
        // SAFETY: a system call without arguments.
        if unsafe { libc::getppid() }.cast_unsigned() != parent {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed. `bind` makes two
    // system calls; it allocates nothing and takes no lock.
    unsafe { command.pre_exec(bind) };
}

/// Elsewhere `kill_on_drop` must do.
#[cfg(not(target_os = "linux"))]
fn die_with_us(_: &mut Command, _: i32) {}

/// With the exit code that a shell has for it.
fn not_started(name: &OsStr, error: &io::Error) -> Failure {
    let program = name.to_string_lossy();
    let bare = !program.contains('/');
    let (advice, code) = match error.kind() {
        io::ErrorKind::NotFound if bare && std::path::Path::new(name).exists() => {
            (format!(": it is not in PATH, but here: write ./{program}"), 127)
        }
        io::ErrorKind::NotFound if bare => {
            (": it is not in PATH: write its path, or build it first".to_owned(), 127)
        }
        io::ErrorKind::NotFound => (": check the path, or build it first".to_owned(), 127),
        io::ErrorKind::PermissionDenied => (": is it a program?".to_owned(), 126),
        _ => (String::new(), 126),
    };
    Failure::new(format!("cannot start {program:?}: {error}{advice}")).with_code(code)
}
