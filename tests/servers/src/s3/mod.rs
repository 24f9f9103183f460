//! The S3 server that tests talk to: one in their process on a free port, or a real one that the
//! environment names.
//!
//! `FMI_TEST_S3_ENDPOINT` and `FMI_TEST_S3_BUCKET` name a real one, with the credentials and the region
//! of the usual variables (`AWS_ACCESS_KEY_ID` …). Tests that need faults have their own in any case.

mod faults;
mod files;
mod log;
mod real;

pub use faults::{Fault, Faults};
pub use log::Log;

use faults::TestBody;
use files::Files;
use fmi_channels::s3::{Credentials, Options};
use hyper::{
    Method, Request, Response,
    body::{Body as _, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use s3s::{
    Body,
    auth::SimpleAuth,
    service::{S3Service, S3ServiceBuilder},
};
use std::{
    future::poll_fn,
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// The key that [`Own`] knows.
pub const KEY: &str = "AKIATEST";
/// And its secret.
pub const SECRET: &str = "no secret at all";
const BUCKET: &str = "fmi-test";

/// A bucket to test with.
#[derive(Debug)]
pub enum Server {
    /// In this process.
    Own(Own),
    /// That the environment names.
    Real {
        /// `http://HOST:PORT`.
        endpoint: String,
        /// Its name.
        bucket: String,
    },
}

/// A server in the test's process.
#[derive(Debug)]
pub struct Own {
    address: SocketAddr,
    root: TempDir,
    /// What goes wrong with requests, and how many there were.
    pub faults: Arc<Faults>,
    /// What was written and read.
    pub log: Arc<Log>,
}

impl Server {
    /// What the environment names, else one of our own.
    pub fn any() -> Self {
        match (std::env::var("FMI_TEST_S3_ENDPOINT"), std::env::var("FMI_TEST_S3_BUCKET")) {
            (Ok(endpoint), Ok(bucket)) => Self::Real { endpoint, bucket },
            (Err(_), Err(_)) => Self::Own(Own::start()),
            _ => panic!("set both FMI_TEST_S3_ENDPOINT and FMI_TEST_S3_BUCKET, or neither"),
        }
    }

    /// One of our own, of whose requests so many of a thousand fail.
    pub fn failing(per_mille: u32) -> Self {
        let own = Own::start();
        own.faults.share(per_mille);
        Self::Own(own)
    }

    /// A prefix that nobody else has.
    pub fn url(&self) -> String {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let prefix = format!("test-{process}-{number}-{}", getrandom::u64().unwrap_or_default());
        match self {
            Self::Own(own) => own.url(&prefix),
            Self::Real { endpoint, bucket } => {
                format!("s3://{bucket}/{prefix}?endpoint={endpoint}")
            }
        }
    }

    /// What goes wrong, if it is one of our own.
    pub fn faults(&self, change: impl FnOnce(&Faults)) {
        if let Self::Own(own) = self {
            change(&own.faults);
        }
    }

    /// The keys of all objects under the prefix of a URL.
    pub fn keys(&self, url: &str) -> Vec<String> {
        match self {
            Self::Own(own) => own.keys(prefix(url)),
            Self::Real { bucket, .. } => real::keys(bucket, url),
        }
    }

    /// Waits until nothing is left there: the ends of processes take a moment.
    pub fn wait_until_empty(&self, url: &str) {
        match self {
            Self::Own(own) => own.wait_until_empty(prefix(url)),
            Self::Real { bucket, .. } => none_left(|| real::keys(bucket, url)),
        }
    }

    /// To connect with.
    pub fn options(&self) -> Options {
        match self {
            Self::Own(_) => own_options(),
            Self::Real { .. } => Options::default(),
        }
    }
}

/// Quick, and with credentials that the server knows.
pub fn own_options() -> Options {
    Options {
        credentials: Some(Credentials::new(KEY, SECRET, None, None, "test")),
        looks: 2000.0,
        seldom: Duration::from_millis(300),
        ..Options::default()
    }
}

impl Own {
    /// Serves until the test's process ends.
    pub fn start() -> Self {
        let root = TempDir::new().unwrap();
        std::fs::create_dir(root.path().join(BUCKET)).unwrap();
        let mut service = S3ServiceBuilder::new(Files::new(root.path()));
        service.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let (service, faults) = (service.build(), Arc::new(Faults::default()));
        let (send, receive) = mpsc::channel();
        let log = Arc::<Log>::default();
        let (served, logged) = (Arc::clone(&faults), Arc::clone(&log));
        std::thread::Builder::new()
            .name("s3-server".into())
            .spawn(move || {
                let mut runtime = tokio::runtime::Builder::new_multi_thread();
                let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
                runtime.block_on(async move {
                    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                    send.send(listener.local_addr().unwrap()).unwrap();
                    serve(listener, service, served, logged).await;
                });
            })
            .unwrap();
        Self { address: receive.recv().unwrap(), root, faults, log }
    }

    /// `http://HOST:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A prefix of its bucket.
    pub fn url(&self, prefix: &str) -> String {
        format!("s3://{BUCKET}/{prefix}?endpoint={}", self.endpoint())
    }

    /// The keys of all objects under a prefix.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let mut found = Vec::new();
        walk(&self.file(prefix), &mut found);
        let bucket = self.file("");
        let key = |path: PathBuf| Some(path.strip_prefix(&bucket).ok()?.display().to_string());
        found.into_iter().filter_map(key).collect()
    }

    /// Waits until nothing is left under a prefix: the ends of processes take a moment.
    pub fn wait_until_empty(&self, prefix: &str) {
        none_left(|| [self.keys(prefix), self.uploads()].concat());
    }

    /// The file of an object, or the directory of a prefix.
    pub fn file(&self, key: &str) -> PathBuf {
        self.root.path().join(BUCKET).join(key)
    }

    /// Uploads that are neither complete nor given up, and their parts.
    pub fn uploads(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.root.path()).unwrap().flatten();
        let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
        // Parts, and what was begun.
        names.filter(|name| name.starts_with(".upload")).collect()
    }
}

fn none_left(left: impl Fn() -> Vec<String>) {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let left = left();
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < end, "left behind: {left:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The prefix that a URL names.
fn prefix(url: &str) -> &str {
    let (_, prefix) = url["s3://".len()..].split_once('/').unwrap();
    prefix.split('?').next().unwrap()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&entry.path(), found),
            Ok(_) => found.push(entry.path()),
            Err(_) => {}
        }
    }
}

async fn serve(listener: TcpListener, service: S3Service, faults: Arc<Faults>, log: Arc<Log>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let _ = stream.set_nodelay(true);
        let (service, faults, log) = (service.clone(), Arc::clone(&faults), Arc::clone(&log));
        tokio::spawn(async move {
            let answer = service_fn(move |request: Request<Incoming>| {
                let (service, faults, log) =
                    (service.clone(), Arc::clone(&faults), Arc::clone(&log));
                async move { answer(request, &service, &faults, &log).await }
            });
            let builder = Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    service: &S3Service,
    faults: &Faults,
    log: &Log,
) -> Result<Response<TestBody>, std::io::Error> {
    let asked = (request.method().clone(), request.uri().clone());
    let fault = faults.draw(&asked.0, &asked.1);
    if let Some(refusal) = fault.as_ref().and_then(|fault| fault.refusal()) {
        // An answer before the question has ended would be taken for a cut connection.
        let mut body = request.into_body();
        while poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await.is_some() {}
        return Ok(refusal);
    }
    // A condition and what depends on it are one step at S3; `s3s-fs` has other requests between.
    static CONDITIONAL: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _alone = match request.headers().contains_key("if-none-match") {
        true => Some(CONDITIONAL.lock().await),
        false => None,
    };
    let begun = Instant::now();
    let response = service.call(request.map(Body::from)).await.map_err(std::io::Error::other)?;
    if response.status().is_success() {
        // It is there when it has been written, and is read as it is when somebody asks.
        let at = if asked.0 == Method::PUT { Instant::now() } else { begun };
        log.note(&asked.0, asked.1.path(), at);
    }
    let (parts, mut body) = response.into_parts();
    let whole = body.store_all_limited(usize::MAX).await.map_err(std::io::Error::other)?;
    faults.apply(fault, &asked.1, Response::from_parts(parts, whole)).await
}
