//! The real program, over real HTTP: before, while and after a worker dies.

use axum_service::standing::work::{Found, POINTS, point};
use fmi_channels::{
    handshake::Token,
    rendezvous::{Options, Server},
};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, Command as Start},
    time::timeout,
};

const SECRET: &str = "a token for tests";
const SIZE: usize = 3;

/// Everything in a test's own job.
struct Bed {
    rendezvous: String,
    settings: PathBuf,
}

/// Rank 0, and where it listens. Killed when dropped, as workers are.
struct Service {
    child: Child,
    address: String,
}

impl Bed {
    /// `settings` is the `fmi.toml` of all ranks.
    async fn new(name: &str, settings: &str) -> Self {
        let server =
            Server::bind("127.0.0.1:0", Token::new(SECRET), Options::default()).await.unwrap();
        let rendezvous = format!("tcp://{}", server.local_addr());
        tokio::spawn(server.run(std::future::pending::<()>()));
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.toml"));
        std::fs::write(&path, settings).unwrap();
        Self { rendezvous, settings: path }
    }

    fn start(&self, rank: usize) -> Child {
        Start::new(env!("CARGO_BIN_EXE_axum_standing"))
            .env("HTTP_LISTEN", "127.0.0.1:0")
            .env("FMI_JOB", "test")
            .env("FMI_TOKEN", SECRET)
            .env("FMI_RENDEZVOUS", &self.rendezvous)
            .env("FMI_SIZE", SIZE.to_string())
            .env("FMI_RANK", rank.to_string())
            .env("FMI_CONFIG", &self.settings)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    /// All ranks: the service and its workers.
    async fn start_all(&self) -> (Service, Vec<Child>) {
        let mut child = self.start(0);
        let workers = (1..SIZE).map(|rank| self.start(rank)).collect();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().expect("it says where it listens");
        let address = line.strip_prefix("listening on http://").unwrap().to_owned();
        (Service { child, address }, workers)
    }
}

type Http = Client<HttpConnector, Full<axum::body::Bytes>>;

fn http() -> Http {
    Client::builder(TokioExecutor::new()).build_http()
}

/// Asks for the point nearest to the place with this number.
async fn ask(http: &Http, address: &str, number: u32) -> (u16, Value) {
    let (x, y) = place(number);
    let body = json!({ "x": x, "y": y }).to_string();
    let request = axum::http::Request::post(format!("http://{address}/nearest"))
        .header("content-type", "application/json")
        .body(Full::from(body))
        .unwrap();
    let response = http.request(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

fn place(number: u32) -> (f64, f64) {
    let [x, y] = point(number + POINTS);
    (x, y)
}

/// Compares with one loop. Numbers that went through JSON may have lost their last bit.
#[track_caller]
fn assert_found(found: Found, number: u32, ranks: usize) {
    let expected = expected(number, ranks);
    assert!((found.distance - expected.distance).abs() < 1e-9, "{found:?}, not {expected:?}");
    assert_eq!((found.point, found.ranks), (expected.point, ranks));
}

fn expected(number: u32, ranks: usize) -> Found {
    let (x, y) = place(number);
    let found = (0..POINTS).map(|candidate| {
        let at = point(candidate);
        Found { point: candidate, distance: (at[0] - x).hypot(at[1] - y), ranks }
    });
    found.min_by(|a, b| a.distance.total_cmp(&b.distance)).unwrap()
}

/// The answer, once the group is not broken; others must say that they are no answers. With how
/// many of these there were.
async fn answered(http: &Http, address: &str, number: u32) -> (Found, usize) {
    let mut refused = 0;
    loop {
        match ask(http, address, number).await {
            (200, body) => return (serde_json::from_value(body).unwrap(), refused),
            (status, body) => assert_unavailable(status, &body),
        }
        refused += 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn assert_unavailable(status: u16, body: &Value) {
    assert_eq!((status, &body["retry"]), (503, &json!(true)), "{body}");
    let error = body["error"].as_str().unwrap();
    let told = ["lost", "closed", "gave up"].iter().any(|why| error.contains(why));
    assert!(told, "{error}");
}

async fn assert_right(http: &Http, address: &str, ranks: usize) {
    let asks = (0..50).map(|number| {
        let (http, address) = (http.clone(), address.to_owned());
        tokio::spawn(async move { (number, ask(&http, &address, number).await) })
    });
    for task in asks.collect::<Vec<_>>() {
        let (number, (status, body)) = task.await.unwrap();
        assert_eq!(status, 200, "{body}");
        assert_found(serde_json::from_value(body).unwrap(), number, ranks);
    }
}

fn terminate(child: &Child) {
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
}

async fn bounded(test: impl Future<Output = ()>) {
    timeout(Duration::from_secs(60), test).await.expect("the test hangs");
}

#[tokio::test]
async fn a_dead_worker_is_replaced() {
    bounded(async {
        // Nothing is answered by fewer than all.
        let bed = Bed::new("replaced", "min_size = 3").await;
        let (service, mut workers) = bed.start_all().await;
        let (http, address) = (http(), &service.address);
        assert_right(&http, address, 3).await;

        workers[1].kill().await.unwrap();
        let mut number = 0;
        loop {
            let (status, body) = ask(&http, address, number).await;
            if status == 200 {
                // Asked before the loss was noticed.
                assert_found(serde_json::from_value(body).unwrap(), number, 3);
            } else {
                assert_unavailable(status, &body);
                break;
            }
            number += 1;
        }
        workers[1] = bed.start(2);
        let (found, _) = answered(&http, address, 7).await;
        assert_found(found, 7, 3);
        assert_right(&http, address, 3).await;

        // One that leaves in good order, as in a rolling restart, is the same to the others.
        terminate(&workers[0]);
        assert!(workers[0].wait().await.unwrap().success());
        workers[0] = bed.start(1);
        answered(&http, address, 8).await;
        assert_right(&http, address, 3).await;
    })
    .await;
}

#[tokio::test]
async fn without_a_replacement_the_others_share_its_part() {
    bounded(async {
        let bed = Bed::new("shared", "[deadlines]\ngrace = \"10 ms\"").await;
        let (service, mut workers) = bed.start_all().await;
        let (http, address) = (http(), &service.address);
        assert_right(&http, address, 3).await;
        workers[0].kill().await.unwrap();
        let found = loop {
            let (found, _) = answered(&http, address, 7).await;
            if found.ranks == 2 {
                break found;
            }
            assert_found(found, 7, 3);
        };
        assert_found(found, 7, 2);
        assert_right(&http, address, 2).await;
    })
    .await;
}

#[tokio::test]
async fn shutdown_finishes_requests_and_lets_the_workers_go() {
    bounded(async {
        let bed = Bed::new("shutdown", "").await;
        let (mut service, mut workers) = bed.start_all().await;
        // Half a request is under way when the signal comes.
        let (x, y) = place(3);
        let body = json!({ "x": x, "y": y }).to_string();
        let head = format!(
            "POST /nearest HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n\
             expect: 100-continue\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let (begin, rest) = body.split_at(5);
        let mut stream = TcpStream::connect(&service.address).await.unwrap();
        stream.write_all(format!("{head}{begin}").as_bytes()).await.unwrap();
        // The handler wants the rest: the request has begun.
        let mut answer = [0; 25];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
        terminate(&service.child);
        while TcpStream::connect(&service.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        stream.write_all(rest.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        assert_found(serde_json::from_str(body).unwrap(), 3, 3);

        assert!(service.child.wait().await.unwrap().success());
        for worker in &mut workers {
            assert!(worker.wait().await.unwrap().success());
        }
    })
    .await;
}
