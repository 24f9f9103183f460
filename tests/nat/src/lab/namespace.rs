//! A network namespace without a name: it is there as long as somebody holds it, and nothing of a
//! run that was killed stays behind.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::{
        fd::{AsRawFd, RawFd},
        unix::process::CommandExt,
    },
    process::{Command, Stdio},
    thread,
};

/// A network of its own: interfaces, routes, firewall, address translation.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    file: File,
}

impl Namespace {
    /// An empty one, with the loopback interface up. The name is for people.
    ///
    /// # Errors
    /// Mostly that this process may not.
    pub fn new(name: impl Into<String>) -> io::Result<Self> {
        let file = thread::scope(|scope| {
            let made = scope.spawn(|| {
                // SAFETY: takes no pointer; it concerns this thread alone, which ends.
                check(unsafe { libc::unshare(libc::CLONE_NEWNET) })?;
                // Links must not be filtered by where they come from, nor addresses wait for a
                // test of whether they are taken.
                for path in ["ipv4/conf/all/rp_filter", "ipv4/conf/default/rp_filter"] {
                    set(path, "0")?;
                }
                for which in ["all", "default"] {
                    // A kernel without IPv6 has none of these.
                    let _ = set(&format!("ipv6/conf/{which}/accept_dad"), "0");
                }
                File::open("/proc/thread-self/ns/net")
            });
            made.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        let made = Self { name: name.into(), file };
        made.ip("link set lo up\n")?;
        Ok(made)
    }

    /// Its name, for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What `ip … netns` and `nsenter --net=` of this machine call it while this process lives.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    /// Runs something on a thread inside.
    pub fn within<T: Send>(&self, run: impl FnOnce() -> T + Send) -> io::Result<T> {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                enter(self.file.as_raw_fd())?;
                Ok(run())
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Moves this thread inside, for good.
    ///
    /// # Errors
    /// What the system says.
    pub fn enter(&self) -> io::Result<()> {
        enter(self.file.as_raw_fd())
    }

    /// A program that will run inside.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        let inside = self.file.as_raw_fd();
        // SAFETY: between fork and exec only two system calls are made, and no memory is taken.
        unsafe { command.pre_exec(move || enter(inside)) };
        command
    }

    /// Sets `/proc/sys/net/PATH`.
    ///
    /// # Errors
    /// What the system says.
    pub fn set(&self, path: &str, value: &str) -> io::Result<()> {
        self.within(|| set(path, value))?
    }

    /// Runs lines of `ip`.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn ip(&self, lines: &str) -> io::Result<()> {
        feed(self.command("ip").args(["-batch", "-"]), lines)
    }

    /// Runs lines of `ip` for one family of addresses (`-4`, `-6`).
    ///
    /// # Errors
    /// What `ip` says.
    pub fn ip_of(&self, family: &str, lines: &str) -> io::Result<()> {
        feed(self.command("ip").args([family, "-batch", "-"]), lines)
    }

    /// Changes the rules of `nft`.
    ///
    /// # Errors
    /// What `nft` says.
    pub fn nft(&self, rules: &str) -> io::Result<()> {
        feed(self.command("nft").args(["-f", "-"]), rules)
    }
}

/// Runs a program with this as its input; an error has what it says.
fn feed(command: &mut Command, input: &str) -> io::Result<()> {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // If it ends before it has read all, it says why.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let program = command.get_program().to_string_lossy().into_owned();
    Err(io::Error::other(format!("{program}: {}\n{input}", said.trim())))
}

fn set(path: &str, value: &str) -> io::Result<()> {
    fs::write(format!("/proc/sys/net/{path}"), value)
        .map_err(|error| io::Error::other(format!("{path}: {error}")))
}

fn enter(namespace: RawFd) -> io::Result<()> {
    // SAFETY: takes no pointer; concerns this thread alone.
    check(unsafe { libc::setns(namespace, libc::CLONE_NEWNET) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
