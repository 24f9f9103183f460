//! The function as the platform runs it: cargo-lambda's emulator, a process for each invocation that is
//! under way, real events.

mod function;
mod time_limit;

use function::{Function, PATIENCE, TOKEN, is_required};
use futures::{StreamExt, stream::FuturesUnordered};
use serde_json::{Value, json};
use std::{path::Path, process::Stdio};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
    time::timeout,
};

fn pi(answer: &Value) -> Vec<f64> {
    let results = answer["results"].as_array().unwrap_or_else(|| panic!("{answer}"));
    results.iter().map(|result| result[1]["pi"].as_f64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invocations_are_a_job_and_leave_nothing_for_the_next() {
    let Some(function) = Function::start(4).await else { return };
    let task = json!({ "darts": 100_001, "seed": 7 });
    let answers = function.run("first", 4, &[&[0], &[1], &[2], &[3]], task.clone()).await;
    let all: Vec<f64> = answers.iter().flat_map(pi).collect();
    assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
    assert!((all[0] - std::f64::consts::PI).abs() < 0.05, "{all:?}");
    for answer in &answers {
        assert_eq!(answer["cold"], true, "{answer}");
        let began = answer["began_us"].as_array().unwrap();
        assert!(began[0].as_u64() > Some(0) && began[0].as_u64() <= began[1].as_u64(), "{answer}");
    }
    // The same processes, another job, with packs: the same arithmetic, the same bits.
    let answers = function.run("second", 4, &[&[0, 1], &[2, 3]], task).await;
    assert_eq!(answers.iter().flat_map(pi).collect::<Vec<_>>(), all);
    assert!(answers.iter().all(|answer| answer["cold"] == false), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_says_why_and_the_function_goes_on() {
    let Some(function) = Function::start(2).await else { return };
    let message = |answer: &Value| answer["errorMessage"].as_str().unwrap_or_default().to_owned();
    let answers = function.run("no darts", 2, &[&[0], &[1]], json!({ "darts": 0 })).await;
    assert!(answers.iter().any(|answer| message(answer).contains("no darts")), "{answers:?}");
    assert!(answers.iter().all(|answer| !message(answer).is_empty()), "{answers:?}");
    let answers = function.run("payload", 2, &[&[0], &[1]], json!({ "dart": 1 })).await;
    let wrong = |answer| message(answer).contains("missing field `darts`");
    assert!(answers.iter().all(wrong), "{answers:?}");
    let answers = function.run("good", 2, &[&[0], &[1]], json!({ "darts": 1000 })).await;
    assert_eq!(answers.iter().flat_map(pi).count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_dies_ends_the_invocations_of_the_others() {
    let Some(mut function) = Function::start(2).await else { return };
    let event = |rank: usize| function.event("killed", 3, &[rank], &json!({ "darts": 10 }));
    let invoked = [event(0), event(1)].map(|event| tokio::spawn(function.invoke(event)));
    // The third rank is here. Once it has joined all have, and the others wait for it.
    let own = fmi::Config::default().job("killed").size(3).rank(2).token(TOKEN);
    let own = own.rendezvous(&function.rendezvous()).unwrap().join().await.unwrap();
    function.processes[0].kill().await.unwrap();
    // That of the process that died may come first, or never.
    let mut invoked = invoked.into_iter().collect::<FuturesUnordered<_>>();
    let lost = async {
        while let Some(answer) = invoked.next().await {
            if answer.unwrap()["errorMessage"].as_str().is_some_and(|it| it.contains("is lost")) {
                return true;
            }
        }
        false
    };
    assert!(timeout(PATIENCE, lost).await.expect("an answer"), "nobody says who was lost");
    assert!(own.allreduce(0_u64, fmi::op::sum()).await.is_err());
}

/// `fmi run` starts the functions as one thing, and says which failed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_launched_as_one_thing() {
    if !is_required() {
        return eprintln!("skipped: FMI_TEST_LAMBDA=required says that fmi can invoke functions");
    }
    let Some(mut function) = Function::start(2).await else { return };
    let run = |function: &Function, arguments: &[&str]| {
        let ended = function.fmi_run(arguments).output();
        async move {
            let ended = timeout(PATIENCE, ended).await.expect("an end").unwrap();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            (ended.status.code(), text(&ended.stdout), text(&ended.stderr))
        }
    };
    let darts = ["-n", "4", "--packs", "2", "--payload", r#"{"darts":1000}"#, "--json", "--", "pi"];
    let (code, out, err) = run(&function, &darts).await;
    assert_eq!(code, Some(0), "{out}{err}");
    let summary: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!(summary["results"].as_array().map(Vec::len), Some(4), "{out}");
    assert_eq!(summary["results"][0], summary["results"][3], "{out}");
    assert!(summary["start"]["spread_ms"].as_f64() >= Some(0.0), "{out}");
    assert!(err.contains("2 of 2 functions were started"), "{err}");

    let none = ["-n", "2", "--payload", r#"{"darts":0}"#, "--", "pi"];
    let (code, _, err) = run(&function, &none).await;
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("the function with rank") && err.contains("no darts"), "{err}");
    let (code, _, err) = run(&function, &["-n", "2", "--", "tau"]).await;
    assert!(code.is_some_and(|code| code > 0) && err.contains("with rank"), "{err}");

    // One of two never starts.
    function.processes.pop();
    let (code, _, err) = run(&function, &darts).await;
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("have not joined"), "{err}");
}

/// Who is refused because too many run asks again; all else is final.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throttled_invocations_are_made_again() {
    if !is_required() {
        return eprintln!("skipped: FMI_TEST_LAMBDA=required says that fmi can invoke functions");
    }
    let Some(function) = Function::start(1).await else { return };
    // No emulator refuses anything.
    let refusing = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = refusing.local_addr().unwrap().port();
    let answers = tokio::spawn(async move {
        let refusal = "HTTP/1.1 429 Too Many Requests\r\nx-amzn-errortype: TooManyRequestsException\r\n\
                       content-length: 2\r\nconnection: close\r\n\r\n{}";
        let reply = r#"{"ranks":[0],"results":[[0,7]],"began_us":[1,2],"cold":false,"age_ms":3}"#;
        let length = reply.len();
        let good = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{reply}"
        );
        for answer in [refusal, refusal, &good] {
            let (mut stream, _) = refusing.accept().await.unwrap();
            let mut read = Vec::new();
            // The body ends with the event's last brace.
            while !read.ends_with(b"}") {
                stream.read_buf(&mut read).await.unwrap();
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let mut run = function.fmi_run(&["-n", "1", "--results", "--", "pi"]);
    run.env("AWS_ENDPOINT_URL_LAMBDA", format!("http://127.0.0.1:{port}"));
    let ended = timeout(PATIENCE, run.output()).await.expect("an end").unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success() && out.contains(r#"{"rank":0,"result":7}"#), "{out}{err}");
    answers.await.unwrap();
}

/// Any program is a function: the same `kmeans --check`, here and there, to the last bit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_is_a_function_and_comes_to_the_same() {
    if !is_required() {
        return eprintln!("skipped: FMI_TEST_LAMBDA=required says that all examples are built");
    }
    let kmeans = Path::new(env!("CARGO_BIN_EXE_bootstrap")).with_file_name("examples/kmeans");
    let Some(function) = Function::of(&kmeans, 4).await else { return };
    let payload = json!({ "arguments": ["--check"] });
    let answers = function.run("kmeans", 4, &[&[0], &[1], &[2], &[3]], payload).await;
    let reports = tempfile::tempdir().unwrap();
    let here = Command::new(&kmeans)
        .arg("--check")
        .env("FMI_SIZE", "4")
        .env("FMI_REPORT", reports.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(here.await.unwrap().success());
    let text = std::fs::read_to_string(reports.path().join("0.result")).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answers[0]["results"], json!([[0, expected]]), "{answers:?}");
    assert!(answers[1..].iter().all(|answer| answer["results"] == json!([])), "{answers:?}");
    let wrong = function.run("wrong", 2, &[&[0], &[1]], json!({ "argument": "" })).await;
    let told = |answer: &Value| answer["errorMessage"].to_string().contains("unknown field");
    assert!(wrong.iter().all(told), "{wrong:?}");
}
