//! Tests of `fmi.json`.

use serde_json::json;

use super::super::told;
use super::*;

/// All that FMI's format has, with every back end on.
const ALL: &str = r#"{
  "backends": {
    "S3": {
      "enabled": true,
      "bucket_name": "bucket",
      "s3_region": "eu-central-1",
      "timeout": 100,
      "max_timeout": 1000
    },
    "Redis": {
      "enabled": true,
      "host": "127.0.0.1",
      "port": 6379,
      "timeout": 1,
      "max_timeout": 1000
    },
    "Direct": {
      "enabled": true,
      "host": "192.0.2.7",
      "port": 10000,
      "max_timeout": 2000
    }
  },
  "model": {
    "FaaS": { "gib_second_price": 0.0000166667 },
    "Direct": { "bandwidth": 400.0, "resolve_host_dns": true }
  }
}
"#;

const DIRECT: &str = r#"{"backends": {"Direct": {"host": "h", "port": 1}}}"#;

fn refused(text: &str, place: &str, message: &str) {
    let wrong = read("fmi.json", text).expect_err(text);
    assert_eq!(wrong, told(format!("fmi.json:{place}"), message), "{text}");
}

fn names(config: &Config) -> Vec<String> {
    config.channels.iter().map(ToString::to_string).collect()
}

#[test]
fn reads_the_format_unchanged() {
    let config = read("fmi.json", ALL).unwrap();
    assert_eq!(
        names(&config),
        ["tcp", "redis://127.0.0.1:6379", "s3://bucket?region=eu-central-1"]
    );
    assert_eq!(config.deadlines.operation, Duration::from_secs(2));
    assert_eq!(config.deadlines.join, Config::default().deadlines.join);
    let model = json!({
        "FaaS": { "gib_second_price": 0.0000166667 },
        "Direct": { "bandwidth": 400.0, "resolve_host_dns": true }
    });
    assert_eq!(config.model, Some(model));
    assert_eq!(config.rendezvous.unwrap().address(), "192.0.2.7:10000");
}

#[cfg(feature = "tcp")]
#[test]
fn reports_what_is_left_out() {
    let reported = |text| -> Vec<_> {
        let config = read("fmi.json", text).unwrap();
        config.unavailable().iter().map(ToString::to_string).collect()
    };
    let mut left_out = Vec::new();
    if cfg!(not(feature = "redis")) {
        left_out.push("redis://127.0.0.1:6379: built without the feature \"redis\"");
    }
    if cfg!(not(feature = "s3")) {
        left_out.push("s3://bucket?region=eu-central-1: built without the feature \"s3\"");
    }
    assert_eq!(reported(ALL), left_out);
    assert_eq!(reported(DIRECT), [""; 0]);
}

#[test]
fn values_in_quotes_are_the_same() {
    let mut text = ALL.to_owned();
    for value in ["true", "100", "1000", "6379", "10000", "2000"] {
        text = text.replace(&format!(": {value},"), &format!(": \"{value}\","));
        text = text.replace(&format!(": {value}\n"), &format!(": \"{value}\"\n"));
    }
    assert!(text.contains("\"port\": \"6379\"") && text.contains("\"max_timeout\": \"2000\""));
    assert_eq!(read("fmi.json", &text), read("fmi.json", ALL));
}

#[test]
fn a_disabled_back_end_is_left_out() {
    let text = ALL.replacen("\"enabled\": true", "\"enabled\": false", 1);
    let text = text.replacen("\"enabled\": true", "\"enabled\": \"false\"", 1);
    assert_eq!(names(&read("fmi.json", &text).unwrap()), ["tcp"]);
}

#[test]
fn a_back_end_that_does_not_say_is_enabled() {
    let config = read("fmi.json", DIRECT).unwrap();
    assert_eq!(names(&config), ["tcp"]);
    assert_eq!(config.deadlines, Config::default().deadlines);
}

#[test]
fn no_time_out_keeps_the_default() {
    let text = DIRECT.replace("1}", "1, \"max_timeout\": 0}");
    assert_eq!(read("fmi.json", &text), read("fmi.json", DIRECT));
}

#[test]
fn unknown_keys() {
    refused(
        "{\n  \"backends\": {\n    \"Direct\": {\"hots\": \"h\"}\n  }\n}",
        "3:16",
        "unknown key \"backends.Direct.hots\": did you mean \"backends.Direct.host\"?",
    );
    refused(
        r#"{"backends": {"direct": {}}}"#,
        "1:15",
        "unknown key \"backends.direct\": did you mean \"backends.Direct\"?",
    );
    refused(
        r#"{"fault_tolerance": {"enabled": false}}"#,
        "1:2",
        "unknown key \"fault_tolerance\": the keys here are backends, hint, model",
    );
    // A key with escapes has the place of the one above it.
    refused(
        r#"{"backends": {"Dir\u0065kt": {}}}"#,
        "1:2",
        "unknown key \"backends.Direkt\": did you mean \"backends.Direct\"?",
    );
}

#[test]
fn a_key_given_twice() {
    refused(
        r#"{"backends": {"Direct": {"host": "a", "host": "b"}}}"#,
        "1:39",
        "key \"backends.Direct.host\" is given twice",
    );
}

#[test]
fn incomplete_back_ends() {
    refused(
        r#"{"backends": {"Direct": {"port": 1}}}"#,
        "1:15",
        "backends.Direct: is enabled but has no \"host\": add it, or set \"enabled\" to false",
    );
    refused(
        r#"{"backends": {"S3": {"bucket_name": "b"}}}"#,
        "1:15",
        "backends.S3: is enabled but has no \"s3_region\": add it, or set \"enabled\" to false",
    );
    for text in ["{}", r#"{"backends": {}, "model": {}}"#] {
        let at = if text == "{}" { "1:1" } else { "1:2" };
        refused(text, at, "no back end is enabled: set \"enabled\" of backends.Direct to true");
    }
}

#[test]
fn wrong_values() {
    let with = |value: &str| DIRECT.replace("\"port\": 1", value);
    refused(
        &with("\"port\": \"x\""),
        "1:39",
        "backends.Direct.port: \"x\" is no port: write a number from 1 to 65535",
    );
    refused(
        &with("\"port\": 65536"),
        "1:39",
        "backends.Direct.port: \"65536\" is no port: write a number from 1 to 65535",
    );
    refused(&with("\"port\": 1.5"), "1:39", {
        "backends.Direct.port: must be one value, not a number with a point"
    });
    refused(&with("\"enabled\": \"yes\""), "1:39", {
        "backends.Direct.enabled: must be true or false, not a text"
    });
    refused(&with("\"max_timeout\": -1"), "1:39", {
        "backends.Direct.max_timeout: \"-1\" is no time: write a whole number of milliseconds"
    });
    refused(r#"{"backends": {"Direct": {"host": 7}}}"#, "1:26", {
        "backends.Direct.host: must be a text in quotes, not a whole number"
    });
    refused(r#"{"backends": {"Direct": {"host": "a b", "port": 1}}}"#, "1:15", {
        "backends.Direct: \"a b:1\" is no address: write HOST:PORT"
    });
    refused(r#"{"backends": []}"#, "1:2", "backends: must be a table, not a list");
    refused("[]", "1:1", "the file: must be a table, not a list");
}

#[test]
fn ipv6_hosts_get_their_brackets() {
    let config = read("fmi.json", &DIRECT.replace("\"h\"", "\"::1\"")).unwrap();
    assert_eq!(config.rendezvous.unwrap().address(), "[::1]:1");
}

#[test]
fn bad_json() {
    refused("{\n  \"backends\": {,\n}", "2:16", "not valid JSON: key must be a string");
    refused("{\"backends\": {}", "1:15", "not valid JSON: EOF while parsing an object");
    refused("", "1:1", "not valid JSON: EOF while parsing a value");
    refused("{} {}", "1:4", "not valid JSON: trailing characters");
    let deep = "[".repeat(200);
    refused(&deep, "1:128", "not valid JSON: recursion limit exceeded");
}
