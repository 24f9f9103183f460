//! One process of a job.
//!
//! The only file of the program with `unsafe`: for what the standard library cannot do between
//! fork and exec, and to send a signal.

use super::Job;
use crate::failure::Failure;
use std::{
    io,
    process::{ExitStatus, Stdio},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{ChildStdout, Command},
    sync::{mpsc::UnboundedSender, watch},
    task::JoinHandle,
};

/// What the launcher wants of all processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Run,
    Terminate,
    Kill,
}

/// A process of the job; killed when dropped.
#[derive(Debug)]
pub(super) struct Child {
    process: tokio::process::Child,
    /// Hands its output on.
    reader: Option<JoinHandle<()>>,
}

/// Starts a process.
pub(super) fn spawn(
    job: &Job,
    variables: &[(&'static str, Option<String>)],
    lines: Option<UnboundedSender<String>>,
) -> Result<Child, Failure> {
    let mut command = Command::new(&job.program);
    command.args(&job.arguments).kill_on_drop(true);
    for (name, value) in variables {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if lines.is_some() {
        command.stdout(Stdio::piped());
    }
    die_with_us(&mut command);
    let mut process = command.spawn().map_err(|error| not_started(job, &error))?;
    let reader = process
        .stdout
        .take()
        .zip(lines)
        .map(|(output, lines)| tokio::spawn(hand_on(output, lines)));
    Ok(Child { process, reader })
}

impl Child {
    /// Waits for the end of the process, and passes orders on to it.
    pub(super) async fn watch(
        mut self,
        mut orders: watch::Receiver<Order>,
    ) -> io::Result<ExitStatus> {
        loop {
            tokio::select! {
                status = self.process.wait() => {
                    if let Some(reader) = self.reader.take() {
                        let _ = reader.await;
                    }
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

    fn terminate(&self) {
        // It has a number as long as it has not been waited for, so that this is no other's.
        let Some(id) = self.process.id().and_then(|id| i32::try_from(id).ok()) else { return };
        // SAFETY: kill takes two numbers and touches no memory.
        unsafe { libc::kill(id, libc::SIGTERM) };
    }
}

async fn hand_on(output: ChildStdout, lines: UnboundedSender<String>) {
    let mut output = BufReader::new(output).lines();
    while let Ok(Some(line)) = output.next_line().await {
        if lines.send(line).is_err() {
            return;
        }
    }
}

/// Makes the kernel kill the child when this program ends, however it does.
#[cfg(target_os = "linux")]
fn die_with_us(command: &mut Command) {
    let parent = std::process::id();
    let bind = move || {
        // SAFETY: a system call with numbers for arguments.
        if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
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
fn die_with_us(_: &mut Command) {}

/// With the exit code that a shell has for it.
fn not_started(job: &Job, error: &io::Error) -> Failure {
    let program = job.program.to_string_lossy();
    let bare = !program.contains('/');
    let (advice, code) = match error.kind() {
        io::ErrorKind::NotFound if bare && std::path::Path::new(&job.program).exists() => {
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
