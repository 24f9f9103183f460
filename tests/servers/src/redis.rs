//! Real Redis servers for tests: each in a directory of its own, on a free port, killed when it is
//! dropped.
//!
//! Without `redis-server` the tests say so and are skipped, unless `FMI_TEST_REDIS=required`. With
//! `FMI_TEST_REDIS_URL=redis://…` those that need no server of their own use that one.

use redis::{RedisResult, Value};
use std::{
    fmt,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// How long a server may take to start.
const START: Duration = Duration::from_secs(20);

/// A server that runs.
pub struct Server {
    place: Place,
}

enum Place {
    Own { child: Option<Child>, port: u16, directory: PathBuf, arguments: Vec<String> },
    Given { url: String },
}

impl Server {
    /// Starts one with further arguments; `None`, having said why, if there is no `redis-server`.
    ///
    /// # Panics
    /// When it does not start, or is required and not there.
    pub fn start(arguments: &[&str]) -> Option<Self> {
        if !available() {
            return None;
        }
        for _ in 0..10 {
            // Somebody else may take the port first.
            if let Some(server) = Self::try_start(free_port(), arguments) {
                return Some(server);
            }
        }
        panic!("redis-server does not start");
    }

    /// The server that is named by `FMI_TEST_REDIS_URL`, or one of its own.
    pub fn any() -> Option<Self> {
        match std::env::var("FMI_TEST_REDIS_URL") {
            Ok(url) if !url.is_empty() => Some(Self { place: Place::Given { url } }),
            _ => Self::start(&[]),
        }
    }

    /// How to reach it.
    pub fn url(&self) -> String {
        match &self.place {
            Place::Own { port, .. } => format!("redis://127.0.0.1:{port}"),
            Place::Given { url } => url.clone(),
        }
    }

    /// Its port, if it is our own.
    pub fn port(&self) -> u16 {
        match &self.place {
            Place::Own { port, .. } => *port,
            Place::Given { .. } => 0,
        }
    }

    /// Sends one command, and returns its answer as text: one line for each value of a nested one.
    ///
    /// # Panics
    /// When there is no answer, or it is an error.
    pub fn ask(&self, command: &[&str]) -> Vec<String> {
        self.try_ask(command).unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// The same, or what went wrong.
    ///
    /// # Errors
    /// What the server, or the system, says.
    pub fn try_ask(&self, command: &[&str]) -> RedisResult<Vec<String>> {
        let values = query(&self.url(), command)?;
        Ok(values.iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect())
    }

    /// Sends one command of bytes, and returns the bytes of its answer.
    ///
    /// # Panics
    /// When there is no answer, or it is an error.
    pub fn ask_bytes(&self, command: &[&[u8]]) -> Vec<Vec<u8>> {
        query(&self.url(), command).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Sends one command to the server on a port of this machine, and forgets what goes wrong.
    pub fn tell(port: u16, command: &[&str]) -> Vec<String> {
        let url = format!("redis://127.0.0.1:{port}");
        // Not killed when it is dropped: it is another's.
        Self { place: Place::Given { url } }.try_ask(command).unwrap_or_default()
    }

    /// Keys that begin so. For tests only: it looks at all.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let mut keys = Vec::new();
        let mut cursor = "0".to_owned();
        loop {
            let pattern = format!("{}*", prefix.replace('%', "?"));
            let mut answer =
                self.ask(&["SCAN", &cursor, "MATCH", &pattern, "COUNT", "1000"]).into_iter();
            cursor = answer.next().unwrap_or_default();
            keys.extend(answer);
            if cursor == "0" || cursor.is_empty() {
                return keys;
            }
        }
    }

    /// Waits until no key begins so.
    ///
    /// # Panics
    /// When some are still there after a while.
    pub fn wait_until_empty(&self, prefix: &str) {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let keys = self.keys(prefix);
            if keys.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "left in the store: {keys:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills the server, as a crash would.
    pub fn kill(&mut self) {
        if let Place::Own { child, .. } = &mut self.place
            && let Some(mut child) = child.take()
        {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again, on the same port.
    ///
    /// # Panics
    /// When it does not.
    pub fn restart(&mut self) {
        self.kill();
        let Place::Own { child, port, directory, arguments } = &mut self.place else { return };
        let end = Instant::now() + START;
        while child.is_none() {
            assert!(Instant::now() < end, "redis-server does not start again");
            *child = launch(*port, directory, arguments);
        }
    }

    fn try_start(port: u16, arguments: &[&str]) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("fmi-redis-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).expect("a directory for the server");
        let arguments: Vec<_> = arguments
            .iter()
            .map(|argument| argument.replace("DIRECTORY", &directory.display().to_string()))
            .collect();
        let child = launch(port, &directory, &arguments);
        let own = Place::Own { child, port, directory, arguments };
        let server = Self { place: own };
        matches!(&server.place, Place::Own { child: Some(_), .. }).then_some(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if let Place::Own { directory, .. } = &self.place {
            let _ = std::fs::remove_dir_all(directory);
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("port", &self.port()).finish_non_exhaustive()
    }
}

/// Whether tests that need a server can run; says so if not.
fn available() -> bool {
    let found = Command::new("redis-server").arg("--version").output().is_ok();
    let required = std::env::var("FMI_TEST_REDIS").is_ok_and(|value| value == "required");
    assert!(found || !required, "FMI_TEST_REDIS=required, but there is no redis-server");
    if !found {
        eprintln!("skipped: no redis-server here (apt-get install redis-server)");
    }
    found
}

/// A port that is free now, and that the system gives to nobody else who asks for any. A cluster's
/// servers take the one 10,000 above it, too.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(37);
    (0..2000)
        .map(|_| {
            12_000 + (first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000) as u16
        })
        .find(|port| {
            [*port, port + 10_000]
                .iter()
                .all(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        })
        .expect("a free port")
}

/// Starts a server and waits until it takes connections; `None` if it ends.
fn launch(port: u16, directory: &Path, arguments: &[String]) -> Option<Child> {
    let port = port.to_string();
    let mut child = Command::new("redis-server")
        .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .arg("--dir")
        .arg(directory)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let end = Instant::now() + START;
    while Instant::now() < end {
        if child.try_wait().ok()?.is_some() {
            return None;
        }
        if TcpStream::connect(format!("127.0.0.1:{port}")).is_ok() {
            // Another one may have been quicker to take the port.
            return child.try_wait().ok()?.is_none().then_some(child);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

/// Sends a command on a connection of its own; the values of its answer, in one row.
fn query(url: &str, command: &[impl AsRef<[u8]>]) -> RedisResult<Vec<Vec<u8>>> {
    let mut connection = redis::Client::open(url)?.get_connection_with_timeout(START)?;
    connection.set_read_timeout(Some(START))?;
    let mut sent = redis::Cmd::new();
    for word in command {
        sent.arg(word.as_ref());
    }
    let mut values = Vec::new();
    flatten(sent.query(&mut connection)?, &mut values);
    Ok(values)
}

fn flatten(value: Value, values: &mut Vec<Vec<u8>>) {
    match value {
        Value::Nil => {}
        Value::Int(number) => values.push(number.to_string().into()),
        Value::BulkString(bytes) => values.push(bytes),
        Value::SimpleString(text) => values.push(text.into()),
        Value::Okay => values.push(b"OK".to_vec()),
        Value::Array(parts) => parts.into_iter().for_each(|part| flatten(part, values)),
        other => panic!("no such answer is expected: {other:?}"),
    }
}
