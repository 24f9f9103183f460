//! For tests of the applications: runs them as users do, through `fmi run`.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// What a program left behind.
#[derive(Debug)]
pub struct Ran {
    /// Whether its exit code was 0.
    pub ok: bool,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl Ran {
    /// The last line that it printed, as JSON.
    ///
    /// # Panics
    /// If it failed, or that line is no JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        assert!(self.ok, "{self:#?}");
        let line = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// Runs a program without settings of fmi in its environment.
///
/// # Panics
/// If it cannot be started.
#[must_use]
pub fn alone(program: &str, arguments: &[&str]) -> Ran {
    finish(Command::new(program).args(arguments))
}

/// `fmi run OPTIONS -- PROGRAM ARGUMENTS`.
///
/// # Panics
/// If `fmi` is not built.
#[must_use]
pub fn run(options: &[&str], program: &str, arguments: &[&str]) -> Ran {
    finish(&mut launch(options, program, arguments))
}

/// The same, to be changed before it is [finished](finish).
///
/// # Panics
/// If `fmi` is not built.
#[must_use]
pub fn launch(options: &[&str], program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(beside(program));
    command.arg("run").args(options).arg("--").arg(program).args(arguments);
    command
}

/// The program `fmi`, which the workspace's tests build into the same folder.
fn beside(program: &str) -> PathBuf {
    let fmi = Path::new(program).with_file_name("fmi");
    assert!(fmi.exists(), "there is no {}: cargo build -p fmi-cli", fmi.display());
    fmi
}

/// Runs a command to its end, without settings of fmi in its environment.
///
/// # Panics
/// If it cannot be started.
pub fn finish(command: &mut Command) -> Ran {
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FMI_")) {
        command.env_remove(name);
    }
    // Where there is no fmi.toml.
    let command = command.current_dir(env::temp_dir()).stdin(Stdio::null());
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { ok: status.success(), stdout: text(stdout), stderr: text(stderr) }
}
