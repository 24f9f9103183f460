//! Jobs over a bucket, and what the doctor says of one.

use crate::support::{Ran, finish, fmi, fmi_run};
use hyper::Method;
use serde_json::Value;
use std::{fs, process::Command, time::Duration};
use test_servers::s3::{Fault, KEY, Own, SECRET};

const LIMIT: Duration = Duration::from_secs(120);

/// With the credentials of the tests' server, and none of the machine's.
pub(crate) fn with(mut command: Command, secret: &str) -> Command {
    command.env("AWS_ACCESS_KEY_ID", KEY).env("AWS_SECRET_ACCESS_KEY", secret);
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    for name in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL"] {
        command.env_remove(name);
    }
    command
}

fn worked(ran: &Ran, ranks: usize, way: &str) {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stdout.matches(&format!("worked over {way}\n")).count(), ranks, "{ran:?}");
    assert!(!format!("{ran:?}").contains(SECRET), "{ran:?}");
}

#[test]
fn processes_meet_and_work_over_a_bucket_alone() {
    let server = Own::start();
    let url = server.url("jobs/a");
    let command = fmi_run(&["-n", "3", "--channel", &url], "work");
    let mut command = with(command, SECRET);
    command.env("FMI_HINT", "fast");
    worked(&finish(command, LIMIT), 3, "s3");
    server.wait_until_empty("");
}

#[test]
fn a_file_of_fmi_with_s3_works_unchanged() {
    let server = Own::start();
    let directory = tempfile::tempdir().unwrap();
    // FMI has no setting for another server than AWS; the SDK has.
    let text = r#"{"backends": {"S3": {"enabled": "true", "bucket_name": "fmi-test",
        "s3_region": "eu-central-1", "timeout": "20", "max_timeout": "30000"}}}"#;
    fs::write(directory.path().join("fmi.json"), text).unwrap();
    let mut command = with(fmi_run(&["-n", "2"], "work"), SECRET);
    command
        .current_dir(directory.path())
        .env("AWS_ENDPOINT_URL", server.endpoint())
        .env("FMI_HINT", "fast");
    worked(&finish(command, LIMIT), 2, "s3");
    server.wait_until_empty("");
}

#[test]
fn what_is_wrong_is_told() {
    let server = Own::start();
    for (channel, text) in [
        ("s3", "the channel s3 needs a bucket: write s3://BUCKET/PREFIX"),
        ("s3://bucket?regoin=x", "\"regoin\" is unknown"),
    ] {
        let ran = finish(fmi_run(&["-n", "2", "--channel", channel], "hello"), LIMIT);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains(text), "{ran:?}");
    }
    let url = server.url("a");
    let command = fmi_run(&["-n", "2", "--channel", &url], "hello");
    let ran = finish(with(command, "another"), LIMIT);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("the secret key is wrong"), "{ran:?}");
}

fn doctor(arguments: &[&str], secret: &str) -> (Value, Ran) {
    let command = fmi(&[&["doctor", "s3", "--json"], arguments].concat());
    let ran = finish(with(command, secret), LIMIT);
    (serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}")), ran)
}

fn found(report: &Value, status: &str, text: &str) -> bool {
    let all = report["checks"].as_array().unwrap();
    all.iter().any(|f| f["status"] == status && f.to_string().contains(text))
}

#[test]
fn the_doctor_looks_at_a_bucket() {
    let server = Own::start();
    let url = server.url("jobs");
    let (report, ran) = doctor(&[&url], SECRET);
    assert_eq!((ran.code, &report["ok"]), (Some(0), &Value::Bool(true)), "{ran:?}");
    for text in ["look ", "MB/s to it", "all that is needed", "can meet there", "two ranks met"] {
        assert!(found(&report, "ok", text), "{text}: {ran:?}");
    }
    assert!(found(&report, "note", "cleans up after crashes"), "{ran:?}");
    server.wait_until_empty("");

    server.faults.add(Method::DELETE, "", Fault::Denied, usize::MAX);
    let (report, ran) = doctor(&[&url], SECRET);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        found(&report, "problem", "allow s3:DeleteObject on arn:aws:s3:::fmi-test/"),
        "{ran:?}"
    );
    let (report, ran) = doctor(&[&url], "another");
    assert!(found(&report, "problem", "the secret key is wrong"), "{ran:?}");
}

#[test]
fn the_doctor_writes_policy_and_rule() {
    let print = |what| {
        let ran = finish(fmi(&["doctor", "s3", what, "s3://bucket/jobs"]), LIMIT);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        serde_json::from_str::<Value>(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"))
    };
    let policy = print("--policy");
    assert_eq!(policy["Statement"][0]["Resource"], "arn:aws:s3:::bucket/jobs/*");
    assert_eq!(policy["Statement"][1]["Action"], "s3:ListBucket");
    let rule = print("--lifecycle");
    assert_eq!(rule["Rules"][0]["Filter"]["Prefix"], "jobs/");
    assert_eq!(rule["Rules"][0]["Expiration"]["Days"], 1);
}
