//! Jobs over a Redis server, and what the doctor says of one.

use crate::support::{Ran, Running, finish, fmi, fmi_run};
use serde_json::Value;
use std::{fs, process::Command, time::Duration};
use test_servers::redis::Server;

const LIMIT: Duration = Duration::from_secs(60);

/// A user who may do all.
const ALL: [&str; 7] = ["--user", "me", "on", ">hunter2", "~*", "&*", "+@all"];

fn worked(ran: &Ran, ranks: usize, way: &str) {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stdout.matches(&format!("worked over {way}\n")).count(), ranks, "{ran:?}");
}

/// All keys and channels are gone.
fn is_empty(server: &Server) {
    server.wait_until_empty("");
}

#[test]
fn processes_meet_and_work_over_a_server_alone() {
    let Some(server) = Server::start(&[]) else { return };
    let url = server.url();
    worked(&finish(fmi_run(&["-n", "4", "--channel", &url], "work"), LIMIT), 4, "redis");
    is_empty(&server);
    // Packs, and the list of a configuration.
    let mut packs = fmi_run(&["-n", "5", "--packs", "2"], "work");
    packs.env("FMI_CHANNELS", format!("local,{url}"));
    worked(&finish(packs, LIMIT), 5, "local and redis");
    is_empty(&server);
}

#[test]
fn a_server_is_the_rendezvous_of_others() {
    let Some(server) = Server::start(&[]) else { return };
    let options = ["-n", "3", "--rendezvous", &server.url(), "--channel", "tcp"];
    worked(&finish(fmi_run(&options, "work"), LIMIT), 3, "tcp");
    is_empty(&server);
}

#[test]
fn links_are_preferred_to_a_store() {
    let Some(server) = Server::start(&[]) else { return };
    let mut both = fmi_run(&["-n", "3"], "work");
    both.env("FMI_CHANNELS", format!("tcp,{}", server.url()));
    worked(&finish(both, LIMIT), 3, "tcp");
    is_empty(&server);
}

#[test]
fn two_jobs_at_once_do_not_meet() {
    let Some(server) = Server::start(&[]) else { return };
    let run = |ranks| fmi_run(&["-n", ranks, "--channel", &server.url()], "hello");
    let mut other = Running::start(run("2"));
    let ran = finish(run("3"), LIMIT);
    assert_eq!(ran.stdout.matches("of 3 met 3").count(), 3, "{ran:?}");
    assert!(other.line("rank ").contains("of 2 met 2"));
    assert_eq!(other.end(LIMIT).0, Some(0));
    is_empty(&server);
}

#[test]
fn failures_are_told() {
    let Some(server) = Server::start(&[]) else { return };
    let url = server.url();
    let ran = finish(fmi_run(&["-n", "3", "--channel", &url], "panic"), LIMIT);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("rank one gives up"), "{ran:?}");
    let ran = finish(fmi_run(&["-n", "3", "--channel", &url], "killed"), LIMIT);
    assert_eq!(ran.code, Some(128 + libc::SIGABRT), "{ran:?}");
}

#[test]
fn a_password_is_on_no_command_line_and_in_no_log() {
    let Some(server) = Server::start(&ALL) else { return };
    let url = server.url().replace("redis://", "redis://me:hunter2@");
    let with = |mut command: Command| {
        command.env("FMI_CHANNELS", &url).env("FMI_LOG", "trace");
        command
    };
    let ran = finish(with(fmi_run(&["-n", "2"], "work")), LIMIT);
    worked(&ran, 2, "redis");
    assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");

    // Given to `fmi run` itself it is not handed on to where others see it.
    let mut job = Running::start(fmi_run(&["-n", "2", "--channel", &url], "wait"));
    for _ in 0..2 {
        let process = job.line("waiting ");
        let line = fs::read(format!("/proc/{process}/cmdline")).unwrap();
        let line = String::from_utf8_lossy(&line).into_owned();
        assert!(line.contains("ranks::program") && !line.contains("hunter2"), "{line}");
    }
    job.signal(libc::SIGTERM);
    assert_eq!(job.end(LIMIT).0, Some(128 + libc::SIGTERM));
    let bench = ["bench", "--op", "barrier", "--channel", &url, "--iters", "2", "--json"];
    let ran = finish(fmi(&bench), LIMIT);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let row: Value = serde_json::from_str(ran.stdout.trim()).unwrap_or_else(|_| panic!("{ran:?}"));
    assert_eq!(row["channel"], "redis");
}

#[test]
fn what_is_wrong_is_told_at_once() {
    let Some(server) = Server::start(&ALL) else { return };
    for (channel, text) in [
        ("redis", "the channel redis needs an address: write redis://HOST:PORT"),
        ("redis://", "names no host"),
        ("redis://h/first", "database is no number"),
        ("reddis://h", "did you mean \"redis\"?"),
    ] {
        let ran = finish(fmi_run(&["-n", "2", "--channel", channel], "hello"), LIMIT);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains(text), "{ran:?}");
    }
    let wrong = server.url().replace("redis://", "redis://me:hunter3@");
    let ran = finish(fmi_run(&["-n", "2", "--channel", &wrong], "hello"), LIMIT);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("password") && !ran.stderr.contains("hunter3"), "{ran:?}");
    assert!(ran.took < Duration::from_secs(20), "{ran:?}");
}

/// The file of a program that was written for FMI (C++), as it is there.
fn fmi_json(redis: u16, direct: bool) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let text = format!(
        r#"{{
    "backends": {{
        "S3": {{
            "enabled": "false", "bucket_name": "romanboe-test", "s3_region": "eu-central-1",
            "timeout": "200", "max_timeout": "30000"
        }},
        "Redis": {{
            "enabled": "true", "host": "127.0.0.1", "port": "{redis}",
            "timeout": "1", "max_timeout": "30000"
        }},
        "Direct": {{
            "enabled": "{direct}", "host": "127.0.0.1", "port": "1", "max_timeout": "30000",
            "resolve_host_dns": "false"
        }}
    }},
    "model": {{ "FaaS": {{ "gib_second_price": "0.0000166667", "provider": "aws" }} }}
}}"#
    );
    fs::write(directory.path().join("fmi.json"), text).unwrap();
    directory
}

#[test]
fn a_file_of_fmi_with_redis_works_unchanged() {
    let Some(server) = Server::start(&[]) else { return };
    for (direct, way) in [(false, "redis"), (true, "tcp")] {
        let directory = fmi_json(server.port(), direct);
        let mut command = fmi_run(&["-n", "3"], "work");
        command.current_dir(directory.path());
        worked(&finish(command, LIMIT), 3, way);
        is_empty(&server);
    }
}

fn doctor(arguments: &[&str]) -> (Value, Ran) {
    let ran = finish(fmi(&[&["doctor", "redis", "--json"], arguments].concat()), LIMIT);
    (serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}")), ran)
}

fn found(report: &Value, status: &str, text: &str) -> bool {
    let all = report["checks"].as_array().unwrap();
    all.iter().any(|f| f["status"] == status && f.to_string().contains(text))
}

#[test]
fn the_doctor_looks_at_a_server() {
    let Some(server) = Server::start(&["--maxmemory", "64mb"]) else { return };
    let (report, ran) = doctor(&[&server.url()]);
    assert_eq!((ran.code, &report["ok"]), (Some(0), &Value::Bool(true)), "{ran:?}");
    for text in ["round trip", "MB/s to it", "all that is needed", "noeviction", "two ranks met"] {
        assert!(found(&report, "ok", text), "{text}: {ran:?}");
    }
    is_empty(&server);
    server.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    server.ask(&["CONFIG", "SET", "client-output-buffer-limit", "pubsub 100000 0 0"]);
    let (report, ran) = doctor(&[&server.url()]);
    assert!(found(&report, "note", "set maxmemory-policy noeviction"), "{ran:?}");
    assert!(found(&report, "note", "lag 97.7 KiB behind"), "{ran:?}");

    // By the configuration, in text, and as a part of all that the doctor looks at.
    for arguments in [&["doctor", "redis"][..], &["doctor"]] {
        let mut command = fmi(arguments);
        command.env("FMI_CHANNELS", server.url());
        let ran = finish(command, LIMIT);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stdout.contains("ok       redis       two ranks met there"), "{ran:?}");
    }
}

#[test]
fn the_doctor_says_what_a_user_lacks() {
    let rights = "~fmi:* &fmi:* +@all -eval -xadd -config -info".split(' ');
    let user: Vec<_> = ["--user", "me", "on", ">hunter2"].into_iter().chain(rights).collect();
    let Some(server) = Server::start(&user) else { return };
    let (report, ran) = doctor(&[&server.url().replace("redis://", "redis://me:hunter2@")]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(found(&report, "problem", "may not use xadd, eval"), "{ran:?}");
    assert!(found(&report, "problem", "~fmi:* &fmi:* +xadd +eval"), "{ran:?}");
    let (report, ran) = doctor(&[&server.url().replace("redis://", "redis://me:hunter3@")]);
    assert!(found(&report, "problem", "password") && !ran.stdout.contains("hunter3"), "{ran:?}");
    // Nobody listens there.
    let (report, ran) = doctor(&["redis://127.0.0.1:1"]);
    assert!(found(&report, "problem", "127.0.0.1:1"), "{ran:?}");
    let ran = finish(fmi(&["doctor", "redis"]), LIMIT);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("no redis is configured"), "{ran:?}");
}
