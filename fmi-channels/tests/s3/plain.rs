//! An S3 server on a free port that does what it should, and may refuse to delete.

use hyper::{Method, Request, Response, StatusCode, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use s3s::{Body, auth::SimpleAuth, service::S3ServiceBuilder};
use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::net::TcpListener;

pub(crate) const KEY: &str = "AKIATEST";
pub(crate) const SECRET: &str = "no secret at all";
const BUCKET: &str = "fmi-test";

/// A server with one bucket; serves until the test's process ends.
pub(crate) struct Plain {
    address: SocketAddr,
    root: TempDir,
    keeps: Arc<AtomicBool>,
}

impl Plain {
    pub(crate) fn start() -> Self {
        let root = TempDir::new().unwrap();
        fs::create_dir(root.path().join(BUCKET)).unwrap();
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root.path()).unwrap());
        service.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let (service, keeps) = (service.build(), Arc::new(AtomicBool::new(false)));
        let (send, receive) = mpsc::channel();
        let refuse = Arc::clone(&keeps);
        let serve = async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            send.send(listener.local_addr().unwrap()).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let (service, refuse) = (service.clone(), Arc::clone(&refuse));
                let answer = service_fn(move |request: Request<Incoming>| {
                    let (service, refuse) = (service.clone(), Arc::clone(&refuse));
                    async move {
                        if request.method() == Method::DELETE && refuse.load(Ordering::Relaxed) {
                            return Ok(denied());
                        }
                        service.call(request.map(Body::from)).await.map_err(io::Error::other)
                    }
                });
                tokio::spawn(async move {
                    let builder = Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        };
        std::thread::spawn(|| {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().build().unwrap().block_on(serve);
        });
        Self { address: receive.recv().unwrap(), root, keeps }
    }

    /// From now on nobody may delete.
    pub(crate) fn keep(&self) {
        self.keeps.store(true, Ordering::Relaxed);
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn url(&self, prefix: &str) -> String {
        format!("s3://{BUCKET}/{prefix}?endpoint={}", self.endpoint())
    }

    /// Where the objects under a prefix are.
    pub(crate) fn folder(&self, prefix: &str) -> PathBuf {
        self.root.path().join(BUCKET).join(prefix)
    }

    /// The files of the objects under a prefix.
    pub(crate) fn objects(&self, prefix: &str) -> Vec<String> {
        let mut found = Vec::new();
        walk(&self.folder(prefix), &mut found);
        found
    }

    /// Waits until nothing is left: the ends of processes take a moment.
    pub(crate) fn wait_until_empty(&self) {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let left = self.objects("");
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "left behind: {left:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn denied() -> Response<Body> {
    let text = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>".to_owned();
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::FORBIDDEN;
    response
}

fn walk(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&entry.path(), found),
            Ok(_) => found.push(entry.path().display().to_string()),
            Err(_) => {}
        }
    }
}
