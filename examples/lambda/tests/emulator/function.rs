//! The function in cargo-lambda's emulator.

use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Bytes};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{sleep, timeout},
};

pub(crate) const TOKEN: &str = "a token for tests";
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A function of which all invocations that are under way have a process of their own.
pub(crate) struct Function {
    pub(crate) port: u16,
    folder: TempDir,
    emulator: Child,
    program: PathBuf,
    pub(crate) processes: Vec<Child>,
}

impl Function {
    /// `None`, after saying why, where there is no emulator.
    pub(crate) async fn start(processes: usize) -> Option<Self> {
        Self::of(Path::new(env!("CARGO_BIN_EXE_bootstrap")), processes).await
    }

    pub(crate) async fn of(function: &Path, processes: usize) -> Option<Self> {
        let Some(program) = emulator() else {
            assert!(
                !is_required(),
                "there is no cargo-lambda: run scripts/test, which installs it"
            );
            eprintln!("skipped: there is no cargo-lambda (scripts/test installs it)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        // The emulator wants to know of which project it runs the functions.
        std::fs::create_dir(folder.path().join("src")).unwrap();
        std::fs::write(folder.path().join("src/main.rs"), "fn main() {}").unwrap();
        let project = "[package]\nname = \"pi\"\nedition = \"2024\"\n[workspace]\n";
        std::fs::write(folder.path().join("Cargo.toml"), project).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let emulator = Command::new(program)
            .args(["lambda", "watch", "--only-lambda-apis", "-A", "127.0.0.1", "-P"])
            .arg(port.to_string())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let program = function.to_owned();
        let mut function = Self { port, folder, emulator, program, processes: Vec::new() };
        timeout(PATIENCE, function.listening()).await.expect("the emulator listens");
        for _ in 0..processes {
            function.add();
        }
        Some(function)
    }

    async fn listening(&mut self) {
        while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            assert_eq!(self.emulator.try_wait().unwrap(), None, "the emulator has ended");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Starts a process of the function.
    pub(crate) fn add(&mut self) {
        self.add_at(self.port);
    }

    /// One that asks there for its events.
    pub(crate) fn add_at(&mut self, port: u16) {
        let process = Command::new(&self.program)
            .env("AWS_LAMBDA_RUNTIME_API", format!("http://127.0.0.1:{port}/.rt/pi"))
            .env("AWS_LAMBDA_FUNCTION_NAME", "pi")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
            .env("FMI_JOIN", "8 s")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        self.processes.push(process.unwrap());
    }

    /// Where its ranks meet.
    pub(crate) fn rendezvous(&self) -> String {
        format!("file://{}", self.folder.path().display())
    }

    pub(crate) fn event(&self, job: &str, size: usize, ranks: &[usize], payload: &Value) -> Value {
        json!({
            "job": job,
            "size": size,
            "ranks": ranks,
            "rendezvous": self.rendezvous(),
            "token": TOKEN,
            "channels": ["local", "shm", "tcp"],
            "payload": payload,
        })
    }

    /// Invokes it once for each list of ranks, all at the same time; the answers in that order.
    pub(crate) async fn run(
        &self,
        job: &str,
        size: usize,
        packs: &[&[usize]],
        payload: Value,
    ) -> Vec<Value> {
        let events = packs.iter().map(|ranks| self.event(job, size, ranks, &payload));
        let invocations = events.map(|event| self.invoke(event));
        let all: Vec<_> = invocations.map(tokio::spawn).collect();
        let mut answers = Vec::new();
        for answer in all {
            let answer = timeout(PATIENCE, answer).await.expect("an answer");
            answers.push(answer.unwrap());
        }
        answers
    }

    /// `fmi run --on lambda` with these arguments.
    pub(crate) fn fmi_run(&self, arguments: &[&str]) -> Command {
        let fmi = Path::new(env!("CARGO_BIN_EXE_bootstrap")).with_file_name("fmi");
        let mut run = Command::new(fmi);
        run.args(["run", "--on", "lambda", "--rendezvous", &self.rendezvous()]).args(arguments);
        run.env("AWS_ENDPOINT_URL_LAMBDA", format!("http://127.0.0.1:{}", self.port))
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("FMI_JOIN", "20 s")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        run
    }

    pub(crate) fn invoke(&self, event: Value) -> impl Future<Output = Value> + Send + use<> {
        let url = format!("http://127.0.0.1:{}/2015-03-31/functions/pi/invocations", self.port);
        async move {
            let client: Client<HttpConnector, Full<Bytes>> =
                Client::builder(TokioExecutor::new()).build_http();
            let request = Request::post(url).body(Full::from(event.to_string())).unwrap();
            let answer = client.request(request).await.unwrap();
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            // Of a process that died the emulator has other words.
            let words = || Value::String(String::from_utf8_lossy(&body).into_owned());
            serde_json::from_slice(&body).unwrap_or_else(|_| words())
        }
    }
}

pub(crate) fn is_required() -> bool {
    std::env::var("FMI_TEST_LAMBDA").as_deref() == Ok("required")
}

/// Where cargo-lambda is.
fn emulator() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/bin/cargo-lambda");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut all = std::env::split_paths(&path).map(|folder| folder.join("cargo-lambda"));
    if own.exists() { Some(own) } else { all.find(|program| program.exists()) }
}
