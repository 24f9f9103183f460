//! Starting programs, and not waiting for them for ever.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

/// What `--json` prints: one line.
pub(crate) fn json_line(text: &str) -> serde_json::Value {
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(text).expect(text)
}

/// The `fmi` program, in a directory and an environment without settings.
pub(crate) fn fmi(arguments: &[&str]) -> Command {
    clean(Command::new(env!("CARGO_BIN_EXE_fmi")), arguments)
}

/// A rank program outside of `fmi run`; see [`crate::ranks`].
pub(crate) fn rank_program(mode: &str) -> Command {
    let mut command = clean(Command::new(own()), &crate::ranks::ARGUMENTS);
    command.env(crate::ranks::MODE, mode);
    command
}

/// `fmi run OPTIONS -- RANK-PROGRAM`.
pub(crate) fn fmi_run(options: &[&str], mode: &str) -> Command {
    let own = own();
    let mut command = fmi(&["run"]);
    command.args(options).arg("--").arg(own).args(crate::ranks::ARGUMENTS);
    command.env(crate::ranks::MODE, mode);
    command
}

/// `LAUNCHER ARGUMENTS… PROGRAM`, with its environment.
pub(crate) fn under(launcher: &[&str], program: &Command) -> Command {
    let mut command = Command::new(launcher[0]);
    command.args(&launcher[1..]).arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.current_dir(program.get_current_dir().unwrap_or(Path::new("/")));
    command
}

/// Runs a program that has to end within `limit`.
pub(crate) fn finish(mut command: Command, limit: Duration) -> Ran {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let start = Instant::now();
    let mut child = command.spawn().expect("the program starts");
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let ended = wait(&mut child, limit);
    let took = start.elapsed();
    let text = |reader: JoinHandle<String>| reader.join().expect("it is text");
    let (stdout, stderr) = (text(stdout), text(stderr));
    assert!(ended.is_some(), "not ended after {limit:?}\n{stdout}\n{stderr}");
    Ran { code: ended.flatten(), stdout, stderr, took }
}

/// A program that is to end when told to. Killed when dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    lines: BufReader<ChildStdout>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the program starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, lines }
    }

    /// The next line that begins with `start`, without that. Ends at least with the program.
    pub(crate) fn line(&mut self, start: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.lines.read_line(&mut line).expect("it is text");
            assert!(read > 0, "no line {start:?}");
            // libtest writes its own text before ours, on the same line.
            if let Some(at) = line.find(start) {
                return line[at + start.len()..].trim().to_owned();
            }
        }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: i32) {
        let id = i32::try_from(self.child.id()).expect("a process number");
        // SAFETY: kill takes two numbers. The process has not been waited for: it is still ours.
        assert_eq!(unsafe { libc::kill(id, signal) }, 0);
    }

    /// Its exit code, and how long it took to end.
    pub(crate) fn end(&mut self, limit: Duration) -> (Option<i32>, Duration) {
        let start = Instant::now();
        let code = wait(&mut self.child, limit).expect("it ends in time");
        (code, start.elapsed())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until a process is gone, or dead and not yet collected by its parent.
pub(crate) fn is_gone(id: &str, limit: Duration) -> bool {
    let start = Instant::now();
    loop {
        match fs::read_to_string(format!("/proc/{id}/stat")) {
            Err(_) => return true,
            Ok(stat) if stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')) => {
                return true;
            }
            Ok(_) if start.elapsed() >= limit => return false,
            Ok(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}

fn own() -> std::path::PathBuf {
    std::env::current_exe().expect("this test program")
}

/// In a directory and an environment without settings.
pub(crate) fn clean(mut command: Command, arguments: &[&str]) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FMI_") {
            command.env_remove(name);
        }
    }
    // Without an fmi.toml in it.
    command.current_dir(env!("CARGO_TARGET_TMPDIR")).args(arguments);
    command
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.expect("a pipe").read_to_end(&mut bytes).expect("it can be read");
        String::from_utf8(bytes).expect("it is text")
    })
}

/// The exit code if it ends in time; else kills it.
fn wait(child: &mut Child, limit: Duration) -> Option<Option<i32>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("it can be waited for") {
            return Some(status.code());
        }
        if start.elapsed() > limit {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
}
