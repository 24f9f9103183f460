//! A function that takes longer than it may: `fmi run` says which, all others end, and it waits for them.

use crate::function::{Function, PATIENCE, is_required};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    process::Command,
    task::JoinHandle,
    time::timeout,
};

const DARTS: &str = r#"{"darts":1000}"#;

/// Rank 0 has four seconds; it waits for rank 2, who never comes to the point.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranks_are_given_up_before_the_limit_and_it_is_said_whose() {
    let Some((mut limited, free)) = functions(0, 1).await else { return };
    limited.add_at(with_a_limit_of_four_seconds(limited.port).await);
    let mut job = Job::start(&limited).await;
    let (event, zero) = job.invoked(0);
    let short = tokio::spawn(limited.invoke(event));
    let (event, one) = job.invoked(1);
    let long = tokio::spawn(free.invoke(event));
    let (event, two) = job.invoked(2);
    let own = join(&event).await;
    let lost = own.recv::<u8>(0, 0).await.unwrap_err().to_string();
    assert!(lost.contains("rank 0") && lost.contains("its deadline passed"), "{lost}");

    let answer = timeout(PATIENCE, short).await.expect("an answer").unwrap();
    reply(zero, &answer).await;
    let told = "rank 0 was given up before its function's time limit: raise that";
    assert!(message(&answer).contains(told), "{answer}");
    let answer = timeout(PATIENCE, long).await.expect("an answer").unwrap();
    assert!(message(&answer).contains("rank 0"), "{answer}");
    reply(one, &answer).await;
    job.waits_for_the_last(two, &lost).await;

    let (code, err) = job.end().await;
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains(&format!("the function with rank 0: {told}")), "{err}");
    serve_on(&[&limited, &free]).await;
}

/// The platform ends the process and answers in its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_the_platform_ends_is_named_and_ends_the_others() {
    let Some((mut ended, free)) = functions(1, 1).await else { return };
    let mut job = Job::start(&ended).await;
    let (event, zero) = job.invoked(0);
    let unheard = tokio::spawn(ended.invoke(event));
    let (event, one) = job.invoked(1);
    let long = tokio::spawn(free.invoke(event));
    let (event, two) = job.invoked(2);
    // Once this one has joined all have.
    let own = join(&event).await;
    ended.processes[0].kill().await.unwrap();
    unheard.abort();
    let said = "2026-11-22T16:00:00.000Z 5f0c8d1e Task timed out after 3.00 seconds";
    reply(zero, &json!({ "errorMessage": said })).await;

    let lost = own.recv::<u8>(0, 0).await.unwrap_err().to_string();
    assert!(lost.contains("rank 0"), "{lost}");
    let answer = timeout(PATIENCE, long).await.expect("an answer").unwrap();
    assert!(message(&answer).contains("rank 0"), "{answer}");
    reply(one, &answer).await;
    job.waits_for_the_last(two, &lost).await;

    let (code, err) = job.end().await;
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains(&format!("the function with rank 0: {said}")), "{err}");
    serve_on(&[&free]).await;
}

/// Two functions with so many processes each.
async fn functions(one: usize, other: usize) -> Option<(Function, Function)> {
    if !is_required() {
        eprintln!("skipped: FMI_TEST_LAMBDA=required says that fmi can invoke functions");
        return None;
    }
    Some((Function::start(one).await?, Function::start(other).await?))
}

/// `fmi run` of three functions, whose invocations come to the test.
struct Job {
    run: JoinHandle<std::io::Result<std::process::Output>>,
    invoked: Vec<Option<(Value, TcpStream)>>,
}

impl Job {
    /// Until all are invoked.
    async fn start(function: &Function) -> Self {
        let api = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = api.local_addr().unwrap().port();
        let mut run: Command =
            function.fmi_run(&["-n", "3", "--packs", "3", "--payload", DARTS, "--", "pi"]);
        run.env("AWS_ENDPOINT_URL_LAMBDA", format!("http://127.0.0.1:{port}"));
        let run = tokio::spawn(async move { run.output().await });
        let mut invoked: Vec<_> = (0..3).map(|_| None).collect();
        for _ in 0..3 {
            let (stream, _) = timeout(PATIENCE, api.accept()).await.expect("three").unwrap();
            let (event, stream) = timeout(PATIENCE, event(stream)).await.expect("an event");
            let rank = event["ranks"][0].as_u64().unwrap() as usize;
            invoked[rank] = Some((event, stream));
        }
        Self { run, invoked }
    }

    /// What a rank is invoked with, and who waits for its answer.
    fn invoked(&mut self, rank: usize) -> (Value, TcpStream) {
        self.invoked[rank].take().expect("it is invoked once")
    }

    /// All others have answered: nobody is left to himself.
    async fn waits_for_the_last(&self, last: TcpStream, lost: &str) {
        assert!(!self.run.is_finished(), "an invocation is still under way");
        reply(last, &json!({ "errorMessage": lost })).await;
    }

    async fn end(self) -> (Option<i32>, String) {
        let ended = timeout(PATIENCE, self.run).await.expect("an end").unwrap().unwrap();
        (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
    }
}

/// The request that invokes a function.
async fn event(mut stream: TcpStream) -> (Value, TcpStream) {
    let mut read = Vec::new();
    loop {
        assert!(stream.read_buf(&mut read).await.unwrap() > 0, "a whole request");
        let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        if let Ok(event) = serde_json::from_slice(&read[end + 4..]) {
            return (event, stream);
        }
    }
}

/// As the platform answers where a function has failed.
async fn reply(mut stream: TcpStream, answer: &Value) {
    let body = answer.to_string();
    let length = body.len();
    let text = format!(
        "HTTP/1.1 200 OK\r\nx-amz-function-error: Unhandled\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
}

fn message(answer: &Value) -> &str {
    answer["errorMessage"].as_str().unwrap_or_default()
}

/// Takes a rank's place.
async fn join(event: &Value) -> fmi::Communicator {
    let text = |name: &str| event[name].as_str().unwrap().to_owned();
    let config =
        fmi::Config::default().job(text("job")).size(3).rank(2).token(text("token").as_str());
    config.rendezvous(&text("rendezvous")).unwrap().join().await.unwrap()
}

/// No rank is left in these functions: they do what comes next.
async fn serve_on(functions: &[&Function]) {
    for function in functions {
        let answers = function.run("next", 1, &[&[0]], json!({ "darts": 1000 })).await;
        assert_eq!(answers[0]["cold"], false, "{answers:?}");
    }
}

/// Where events come as they do at the emulator's port, but with another limit: it knows only one.
async fn with_a_limit_of_four_seconds(port: u16) -> u16 {
    const SAID: &[u8] = b"lambda-runtime-deadline-ms: 600000";
    const MEANT: &[u8] = b"lambda-runtime-deadline-ms: 004000";
    let relay = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = relay.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((process, _)) = relay.accept().await {
            let emulator = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let (mut asked, mut asks) = process.into_split();
            let (mut answers, mut asking) = emulator.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut asked, &mut asking).await });
            tokio::spawn(async move {
                let mut read = Vec::new();
                while answers.read_buf(&mut read).await.is_ok_and(|read| read > 0) {
                    if let Some(at) = read.windows(SAID.len()).position(|part| part == SAID) {
                        read[at..at + MEANT.len()].copy_from_slice(MEANT);
                    }
                    // The header may come in two pieces.
                    let begun = (1..SAID.len()).rev().find(|some| read.ends_with(&SAID[..*some]));
                    let rest = read.split_off(read.len() - begun.unwrap_or(0));
                    if asks.write_all(&read).await.is_err() {
                        return;
                    }
                    read = rest;
                }
            });
        }
    });
    own
}
