//! `fmi doctor`.

use crate::{
    rendezvous,
    support::{Ran, Running, finish, fmi, rank_program},
};
use serde_json::Value;
use std::{fs, net::TcpListener, process::Command, time::Duration};

const LIMIT: Duration = Duration::from_secs(30);

/// The doctor's report, and its exit code.
fn report(mut command: Command) -> (Value, Ran) {
    command.arg("--json");
    let ran = finish(command, LIMIT);
    (serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}")), ran)
}

/// Status and text of the first finding of a check.
fn finding<'a>(report: &'a Value, check: &str) -> (&'a str, String) {
    let all = report["checks"].as_array().unwrap();
    let found = all.iter().find(|finding| finding["check"] == check).unwrap();
    (found["status"].as_str().unwrap(), found.to_string())
}

#[test]
fn all_is_well() {
    let (found, ran) = report(fmi(&["doctor"]));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(found["ok"], true);
    for check in ["config", "rendezvous", "local", "tcp"] {
        assert_eq!(finding(&found, check).0, "ok", "{ran:?}");
    }
    assert_ne!(finding(&found, "keep-awake").0, "problem");
    let ran = finish(fmi(&["doctor"]), LIMIT);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.lines().count() >= 5, "{ran:?}");
}

#[test]
fn a_rendezvous_that_answers_and_a_job_that_is_not_disturbed() {
    let (_server, line) = rendezvous::start(Some("hunter2"));
    let url = line["rendezvous"].as_str().unwrap();
    let with = |mut command: Command, token: &str| {
        command.env("FMI_RENDEZVOUS", url).env("FMI_TOKEN", token).env("FMI_SIZE", "2");
        command
    };
    // Half of a job is there, under the name that the doctor's environment has too.
    let mut first = Running::start(with(rank_program("hello"), "hunter2"));
    for _ in 0..2 {
        let (found, ran) = report(with(fmi(&["doctor"]), "hunter2"));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(finding(&found, "rendezvous").0, "ok", "{ran:?}");
        let outside =
            found["checks"].as_array().unwrap().iter().filter(|f| f["check"] == "outside");
        let outside: Vec<_> = outside.map(|f| f["detail"].as_str().unwrap()).collect();
        assert_eq!(outside.len(), 2, "{ran:?}");
        for (text, protocol) in outside.iter().zip(["tcp: ", "udp: "]) {
            assert!(text.starts_with(protocol), "{text}");
            assert!(text.ends_with("no address translation"), "{text}");
        }
        assert!(!ran.stdout.contains("hunter2"), "{ran:?}");
    }
    let second = finish(with(rank_program("hello"), "hunter2"), LIMIT);
    assert!(second.stdout.contains("of 2 met 2"), "{second:?}");
    assert!(first.line("rank ").contains("of 2 met 2"));
    assert_eq!(first.end(LIMIT).0, Some(0));

    let (found, ran) = report(with(fmi(&["doctor"]), "another"));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let (status, text) = finding(&found, "rendezvous");
    assert_eq!(status, "problem");
    assert!(text.contains("holds another token"), "{text}");
}

#[test]
fn a_dead_rendezvous_is_a_problem_with_advice() {
    // A port that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = fmi(&["doctor"]);
    command
        .env("FMI_RENDEZVOUS", format!("tcp://{free}"))
        .env("FMI_TOKEN", "x")
        .env("FMI_SIZE", "2");
    let (found, ran) = report(command);
    assert_eq!((ran.code, &found["ok"]), (Some(1), &Value::Bool(false)), "{ran:?}");
    let (status, text) = finding(&found, "rendezvous");
    assert_eq!(status, "problem");
    assert!(text.contains("Connection refused"), "{text}");
    assert!(text.contains(&format!("fmi rendezvous --listen 0.0.0.0:{}", free.port())), "{text}");
    // The rest is looked at all the same.
    assert_eq!(finding(&found, "tcp").0, "ok", "{ran:?}");
}

#[test]
fn settings_that_are_wrong_are_told() {
    let mut command = fmi(&["doctor"]);
    command.env("FMI_SIZE", "2").env("FMI_RANK", "2").env("FMI_RENDEZVOUS", "tcp://127.0.0.1:1");
    let (found, ran) = report(command);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let (status, text) = finding(&found, "config");
    assert_eq!(status, "problem");
    assert!(text.contains("rank 2 does not exist"), "{text}");
    let (status, text) = finding(&found, "rendezvous");
    assert_eq!(status, "problem");
    assert!(text.contains("set FMI_TOKEN"), "{text}");

    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("fmi.toml"), "job = \"x\"\nrnak = 3\n").unwrap();
    let mut command = fmi(&["doctor"]);
    command.current_dir(directory.path());
    let (found, ran) = report(command);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let (status, text) = finding(&found, "config");
    assert_eq!(status, "problem");
    assert!(text.contains("fmi.toml:2:1") && text.contains("did you mean"), "{text}");
}

#[test]
fn memory_is_shared_if_it_can_be() {
    let mut command = fmi(&["doctor"]);
    command.env("FMI_CHANNELS", "shm,local");
    let (found, ran) = report(command);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let (status, text) = finding(&found, "shm");
    assert!(status == "ok" && text.contains("went through memory"), "{text}");
}

#[test]
fn links_of_a_job_and_their_rungs() {
    let program = env!("CARGO_BIN_EXE_fmi");
    let ran = finish(
        fmi(&["run", "-n", "5", "--packs", "3", "--", program, "doctor", "links", "--json"]),
        LIMIT,
    );
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let found: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
    assert_eq!((&found["ok"], &found["processes"]), (&Value::Bool(true), &Value::from(3)));
    let links = found["links"].as_array().unwrap();
    assert_eq!(links.len(), 3, "{ran:?}");
    assert!(links.iter().all(|link| link["rung"] == "machine" && link["channel"] == "shm"));
    assert_eq!(links[0]["to"], serde_json::json!([1, 2]), "{ran:?}");
    let ran = finish(fmi(&["run", "-n", "2", "--", program, "doctor", "links"]), LIMIT);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.starts_with("0 - 1           machine   shm\n"), "{ran:?}");
    assert!(ran.stdout.ends_with("1 link: 1 machine\n"), "{ran:?}");
}

#[test]
fn a_link_that_does_not_come_up_is_told_with_what_was_tried() {
    let (_server, line) = rendezvous::start(Some("hunter2"));
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("fmi.toml"), "deadlines.silent = \"500 ms\"\n").unwrap();
    let rank = |rank: &str| {
        let mut command = fmi(&["doctor", "links", "--ranks", "2"]);
        command
            .current_dir(directory.path())
            .env("FMI_RENDEZVOUS", line["rendezvous"].as_str().unwrap())
            .env("FMI_TOKEN", "hunter2")
            .env("FMI_RANK", rank)
            .env("FMI_LISTEN", "127.0.0.1:0")
            .env("FMI_ADVERTISE", nobody.to_string())
            // Others would find a way.
            .env("FMI_LADDER", "direct")
            .env("FMI_CHANNELS", "tcp");
        command
    };
    let mut other = Running::start(rank("1"));
    let ran = finish(rank("0"), LIMIT);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.starts_with("0 - 1           none\n"), "{ran:?}");
    assert!(ran.stdout.contains(&format!("-> direct, tcp {nobody}, from rank 0: ")), "{ran:?}");
    assert!(ran.stderr.contains("rank 1 is lost"), "{ran:?}");
    assert_eq!(other.end(LIMIT).0, Some(1));

    let ran = finish(fmi(&["doctor", "links", "--ranks", "2"]), LIMIT);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("set FMI_RENDEZVOUS"), "{ran:?}");
}

#[test]
fn a_port_to_listen_on_that_is_taken_is_a_problem() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = fmi(&["doctor"]);
    command.env("FMI_LISTEN", taken.local_addr().unwrap().to_string());
    let (found, ran) = report(command);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let (status, text) = finding(&found, "tcp");
    assert_eq!(status, "problem");
    assert!(text.contains("set FMI_LISTEN"), "{text}");
}
