//! Replicas that run, and a client of them.

use axum::body::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client as Http, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use std::{
    fs,
    process::Stdio,
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
    task::JoinHandle,
    time::{sleep, timeout},
};

/// The addresses of the replicas of a test: all have to be known before the first one starts.
pub(crate) struct Bed {
    addresses: Vec<String>,
}

/// Killed when dropped.
pub(crate) struct Replica {
    pub(crate) child: Child,
    pub(crate) address: String,
}

/// What a process holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holds {
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
    pub(crate) kilobytes: u64,
}

#[derive(Clone)]
pub(crate) struct Client(Http<HttpConnector, Full<Bytes>>);

impl Bed {
    /// Below 127.0.0.0/8, in a part that no other process and no other test has.
    pub(crate) fn new(size: usize) -> Self {
        static TESTS: AtomicU16 = AtomicU16::new(0);
        let port = 8000 + TESTS.fetch_add(1, Ordering::Relaxed);
        let [.., high, middle, low] = std::process::id().to_be_bytes();
        // The upper bits are few: process numbers have 22.
        let host = |replica: usize| 1 + (high & 0x3f) as usize + 64 * replica;
        let address = |replica| format!("127.{}.{middle}.{low}:{port}", host(replica));
        assert!(size <= 4);
        Self { addresses: (0..size).map(|replica| address(replica % 4)).collect() }
    }

    pub(crate) async fn start_all(&self, settings: &[(&str, &str)]) -> Vec<Replica> {
        let mut replicas = Vec::new();
        for number in 0..self.addresses.len() {
            replicas.push(self.start(number, settings).await);
        }
        replicas
    }

    pub(crate) async fn start(&self, number: usize, settings: &[(&str, &str)]) -> Replica {
        let mut child = Command::new(env!("CARGO_BIN_EXE_axum_service"))
            .env("HTTP_LISTEN", &self.addresses[number])
            .env("PEERS", self.addresses.join(","))
            .env("RENDEZVOUS_LISTEN", "127.0.0.1:0")
            .env("FMI_TOKEN", "a token for tests")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().expect("it says where it listens");
        let address = line.strip_prefix("listening on http://").unwrap().to_owned();
        Replica { child, address }
    }
}

impl Replica {
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    pub(crate) fn signal(&self, signal: i32) {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        // SAFETY: kill takes two numbers. The process has not been waited for: it is still ours.
        assert_eq!(unsafe { libc::kill(id, signal) }, 0);
    }

    /// Whether it takes connections.
    pub(crate) async fn accepts(&self) -> bool {
        TcpStream::connect(&self.address).await.is_ok()
    }

    pub(crate) fn holds(&self) -> Holds {
        let folder = format!("/proc/{}", self.child.id().unwrap());
        let count = |part: &str| fs::read_dir(format!("{folder}/{part}")).unwrap().count();
        let status = fs::read_to_string(format!("{folder}/status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kilobytes = resident.trim().trim_end_matches(" kB").parse().unwrap();
        Holds { descriptors: count("fd"), threads: count("task"), kilobytes }
    }
}

impl Client {
    /// One connection a request, which ends with it: that is how a client leaves.
    pub(crate) fn new() -> Self {
        Self(Http::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http())
    }

    pub(crate) async fn ask(&self, replica: &Replica, epochs: u32) -> (u16, Value) {
        self.ask_at(&replica.address, epochs).await
    }

    pub(crate) async fn ask_at(&self, address: &str, epochs: u32) -> (u16, Value) {
        self.post(address, "/clusters", "", &json!({ "clusters": 3, "epochs": epochs })).await
    }

    /// Asks, and does not wait for the answer.
    pub(crate) fn begin(&self, replica: &Replica, epochs: u32) -> JoinHandle<(u16, Value)> {
        let (client, address) = (self.clone(), replica.address.clone());
        tokio::spawn(async move { client.ask_at(&address, epochs).await })
    }

    /// Asks for what has no end but that time.
    pub(crate) fn begin_within(
        &self,
        replica: &Replica,
        span: Duration,
    ) -> JoinHandle<(u16, Value)> {
        let (client, address) = (self.clone(), replica.address.clone());
        let question =
            json!({ "clusters": 3, "epochs": u32::MAX, "within_ms": span.as_millis() as u64 });
        tokio::spawn(async move { client.post(&address, "/clusters", "", &question).await })
    }

    pub(crate) async fn health(&self, replica: &Replica) -> Value {
        let uri = format!("http://{}/health", replica.address).parse().unwrap();
        let body = self.0.get(uri).await.unwrap().into_body().collect().await.unwrap();
        serde_json::from_slice(&body.to_bytes()).unwrap()
    }

    /// The status, and the body if it is JSON.
    pub(crate) async fn post(
        &self,
        address: &str,
        path: &str,
        proof: &str,
        body: &Value,
    ) -> (u16, Value) {
        let request = axum::http::Request::post(format!("http://{address}{path}"))
            .header("content-type", "application/json")
            .header("x-replica-proof", proof)
            .body(Full::from(body.to_string()))
            .unwrap();
        let answer = self.0.request(request).await.unwrap();
        let status = answer.status();
        if [429, 503].contains(&status.as_u16()) {
            assert_eq!(answer.headers()["retry-after"], "1");
        }
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status.as_u16(), serde_json::from_slice(&body).unwrap_or_default())
    }
}

pub(crate) async fn bounded(test: impl Future<Output = ()>) {
    timeout(Duration::from_secs(60), test).await.expect("the test hangs");
}

/// Asks again and again until it is so.
pub(crate) async fn eventually(what: &str, so: impl AsyncFnMut() -> bool) {
    let mut so = so;
    let asked = async {
        while !so().await {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(Duration::from_secs(15), asked).await.unwrap_or_else(|_| panic!("not so: {what}"));
}
