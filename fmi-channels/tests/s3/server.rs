//! The S3 server that tests talk to: one of theirs on a free port, or a real one that the
//! environment names.
//!
//! `FMI_TEST_S3_ENDPOINT` and `FMI_TEST_S3_BUCKET` name a real one, with the credentials and the region
//! of the usual variables (`AWS_ACCESS_KEY_ID` …). Tests that need faults have their own in any case.

use super::faults::{Faults, TestBody};
use fmi_channels::s3::{Credentials, Options};
use hyper::{
    Request, Response,
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

pub(crate) const KEY: &str = "AKIATEST";
pub(crate) const SECRET: &str = "no secret at all";
const BUCKET: &str = "fmi-test";

/// A bucket to test with.
#[derive(Debug)]
pub(crate) enum Server {
    Own(Own),
    Real { endpoint: String, bucket: String },
}

/// A server in the test's process.
#[derive(Debug)]
pub(crate) struct Own {
    address: SocketAddr,
    root: TempDir,
    pub(crate) faults: Arc<Faults>,
}

impl Server {
    /// What the environment names, else one of our own.
    pub(crate) fn new() -> Self {
        match (std::env::var("FMI_TEST_S3_ENDPOINT"), std::env::var("FMI_TEST_S3_BUCKET")) {
            (Ok(endpoint), Ok(bucket)) => Self::Real { endpoint, bucket },
            (Err(_), Err(_)) => Self::Own(Own::start()),
            _ => panic!("set both FMI_TEST_S3_ENDPOINT and FMI_TEST_S3_BUCKET, or neither"),
        }
    }

    /// One of our own, of whose requests so many of a thousand fail.
    #[allow(dead_code, reason = "the conformance suite runs on one")]
    pub(crate) fn failing(per_mille: u32) -> Self {
        let own = Own::start();
        own.faults.share(per_mille);
        Self::Own(own)
    }

    /// A prefix that nobody else has.
    pub(crate) fn url(&self) -> String {
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
    pub(crate) fn faults(&self, change: impl FnOnce(&Faults)) {
        if let Self::Own(own) = self {
            change(&own.faults);
        }
    }

    /// The keys of all objects under the prefix of a URL.
    pub(crate) fn keys(&self, url: &str) -> Vec<String> {
        match self {
            Self::Own(own) => own.keys(url),
            Self::Real { bucket, .. } => real::keys(bucket, url),
        }
    }

    /// Waits until nothing is left there: the ends of processes take a moment.
    pub(crate) fn wait_until_empty(&self, url: &str) {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let mut left = self.keys(url);
            if let Self::Own(own) = self {
                left.extend(own.parts());
            }
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "left behind: {left:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn options(&self) -> Options {
        match self {
            Self::Own(_) => own_options(),
            Self::Real { .. } => Options::default(),
        }
    }
}

/// Quick, and with credentials that the server knows.
pub(crate) fn own_options() -> Options {
    Options {
        credentials: Some(Credentials::new(KEY, SECRET, None, None, "test")),
        looks: 2000.0,
        seldom: Duration::from_millis(300),
        ..Options::default()
    }
}

impl Own {
    /// Serves until the test's process ends.
    pub(crate) fn start() -> Self {
        let root = TempDir::new().unwrap();
        std::fs::create_dir(root.path().join(BUCKET)).unwrap();
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root.path()).unwrap());
        service.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let (service, faults) = (service.build(), Arc::new(Faults::default()));
        let (send, receive) = mpsc::channel();
        let served = Arc::clone(&faults);
        std::thread::Builder::new()
            .name("s3-server".into())
            .spawn(move || {
                let mut runtime = tokio::runtime::Builder::new_multi_thread();
                let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
                runtime.block_on(async move {
                    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                    send.send(listener.local_addr().unwrap()).unwrap();
                    serve(listener, service, served).await;
                });
            })
            .unwrap();
        Self { address: receive.recv().unwrap(), root, faults }
    }

    pub(crate) fn url(&self, prefix: &str) -> String {
        format!("s3://{BUCKET}/{prefix}?endpoint=http://{}", self.address)
    }

    fn keys(&self, url: &str) -> Vec<String> {
        let mut found = Vec::new();
        let bucket = self.root.path().join(BUCKET);
        walk(&bucket.join(prefix(url)), &mut found);
        let key = |path: PathBuf| Some(path.strip_prefix(&bucket).ok()?.display().to_string());
        found.into_iter().filter_map(key).collect()
    }

    /// Parts of uploads that are neither complete nor given up.
    fn parts(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.root.path()).unwrap().flatten();
        let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with(".upload_id-")).collect()
    }

    /// The file of an object.
    pub(crate) fn file(&self, key: &str) -> PathBuf {
        self.root.path().join(BUCKET).join(key)
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

/// Looking into a real server.
mod real {
    use aws_sdk_s3::{Client, config::Builder};

    pub(super) fn keys(bucket: &str, url: &str) -> Vec<String> {
        let (bucket, prefix) = (bucket.to_owned(), super::prefix(url).to_owned());
        let endpoint = url.split_once("endpoint=").unwrap().1.to_owned();
        let list = async move {
            let http = aws_smithy_http_client::Builder::new().build_http();
            let config = aws_config::defaults(aws_config::BehaviorVersion::latest());
            let config = config.http_client(http).endpoint_url(endpoint).load().await;
            let region = config.region().cloned().unwrap_or(aws_config::Region::new("us-east-1"));
            let config = Builder::from(&config).region(region).force_path_style(true).build();
            let list = Client::from_conf(config).list_objects_v2().bucket(bucket).prefix(prefix);
            let listed = list.send().await.expect("the test's own look at the server");
            listed.contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect()
        };
        // Whoever asks may be on a runtime.
        let thread = std::thread::spawn(|| {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().build().unwrap().block_on(list)
        });
        thread.join().unwrap()
    }
}
async fn serve(listener: TcpListener, service: S3Service, faults: Arc<Faults>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let _ = stream.set_nodelay(true);
        let (service, faults) = (service.clone(), Arc::clone(&faults));
        tokio::spawn(async move {
            let answer = service_fn(move |request: Request<Incoming>| {
                let (service, faults) = (service.clone(), Arc::clone(&faults));
                async move { answer(request, &service, &faults).await }
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
) -> Result<Response<TestBody>, std::io::Error> {
    let asked = (request.method().clone(), request.uri().clone());
    let fault = faults.draw(&asked.0, &asked.1);
    if let Some(refusal) = fault.as_ref().and_then(|fault| fault.refusal()) {
        // An answer before the question has ended would be taken for a cut connection.
        let mut body = request.into_body();
        while poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await.is_some() {}
        return Ok(refusal);
    }
    let response = service.call(request.map(Body::from)).await.map_err(std::io::Error::other)?;
    if asked.0 == hyper::Method::PUT {
        faults.wrote(asked.1.path());
    }
    let (parts, mut body) = response.into_parts();
    let whole = body.store_all_limited(usize::MAX).await.map_err(std::io::Error::other)?;
    faults.apply(fault, &asked.1, Response::from_parts(parts, whole)).await
}
