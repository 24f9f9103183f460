//! What a job has cost.

use crate::support::{finish, fmi, fmi_run};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn plain_jobs_say_nothing_of_money() {
    let ran = finish(fmi_run(&["-n", "2"], "hello"), LIMIT);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!ran.stderr.contains("fmi run:"), "{ran:?}");
}

#[test]
fn a_bill_is_of_all_processes() {
    let options = ["-n", "4", "--packs", "2", "--channel", "tcp", "--bill"];
    let ran = finish(fmi_run(&options, "hello"), LIMIT);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let table = ran.stderr.split("fmi run: ").nth(1).expect("a bill");
    assert!(table.starts_with("4 ranks, ") && table.contains(" s, $0\n"), "{ran:?}");
    assert!(table.lines().any(|line| line.starts_with("collectives  tcp ")), "{ran:?}");
    assert!(table.contains("\n2 processes, "), "{ran:?}");
    assert!(!table.contains("without"), "{ran:?}");
}

#[test]
fn bills_of_jobs_with_a_model_say_what_was_foretold() {
    let options = ["-n", "2", "--channel", "tcp", "--bill=json"];
    let mut command = fmi_run(&options, "hello");
    command.env("FMI_PROFILE", "loopback");
    let ran = finish(command, LIMIT);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!ran.stderr.contains("fmi run:"), "{ran:?}");
    let json = ran.stdout.lines().rfind(|line| line.starts_with('{')).expect("a line of JSON");
    let bill: serde_json::Value = serde_json::from_str(json).unwrap();
    let lines = bill["lines"].as_array().unwrap();
    let called = |line: &&serde_json::Value| line["calls"].as_u64() > Some(0);
    let called: Vec<_> = lines.iter().filter(called).collect();
    assert!(!called.is_empty(), "{json}");
    for line in called {
        assert_eq!((&line["channel"], &line["tier"]), (&"tcp".into(), &"machine".into()), "{line}");
        assert!(line["time"].as_f64() > Some(0.0) && line["gib_seconds"].as_f64() > Some(0.0));
        assert_eq!(line["calls"], line["predicted_calls"], "{line}");
        assert!(line["predicted"].as_f64() > Some(0.0), "{line}");
        assert!(line["predicted_cost"].as_f64() > Some(0.0), "{line}");
    }
}

#[test]
fn bills_go_to_files_and_to_prometheus() {
    let folder = tempfile::tempdir().unwrap();
    let run = |options: &[&str]| {
        let mut all = vec!["-n", "2", "--channel", "tcp"];
        all.extend(options);
        let ran = finish(fmi_run(&all, "hello"), LIMIT);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran
    };
    let file = |name: &str| folder.path().join(name);
    let at = |name: &str| file(name).to_str().unwrap().to_owned();
    let ran = run(&["--bill-file", &at("job.prom")]);
    assert!(!ran.stderr.contains("fmi run:"), "{ran:?}");
    let text = std::fs::read_to_string(file("job.prom")).unwrap();
    assert!(text.contains("\nfmi_processes 2\n"), "{text}");
    let sent = "fmi_messages_total{operation=\"collectives\",channel=\"tcp\",tier=\"machine\"}";
    assert!(text.lines().any(|line| line.starts_with(sent)), "{text}");
    run(&["--bill-file", &at("job.json")]);
    let text = std::fs::read_to_string(file("job.json")).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap()["processes"], 2);
    run(&["--bill=table", "--bill-file", &at("job")]);
    assert!(std::fs::read_to_string(file("job")).unwrap().starts_with("fmi run: 2 ranks, "));
    let ran = run(&["--bill=prometheus"]);
    assert!(ran.stdout.contains("# TYPE fmi_messages_total counter\n"), "{ran:?}");
    let ran = finish(fmi_run(&["-n", "1", "--bill=xml"], "hello"), LIMIT);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    let nowhere = file("none").join("job.prom");
    let options = ["-n", "1", "--bill-file", nowhere.to_str().unwrap()];
    let ran = finish(fmi_run(&options, "hello"), LIMIT);
    assert_ne!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("the bill cannot be written to "), "{ran:?}");
}

#[test]
fn functions_cost_what_the_file_of_prices_says() {
    let folder = tempfile::tempdir().unwrap();
    let prices = folder.path().join("prices.toml");
    // An invocation is all that costs anything.
    std::fs::write(&prices, "[function]\ngib_second = 0\nrequest = 0.25\n").unwrap();
    let mut command = fmi_run(&["-n", "3", "--channel", "tcp", "--bill", "--json"], "hello");
    command.env("FMI_PRICES", &prices);
    let ran = finish(command, LIMIT);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("as functions, waiting or not: $0.75"), "{ran:?}");
    let json = ran.stdout.lines().rfind(|line| line.starts_with('{')).expect("a line of JSON");
    let summary: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(summary["bill"]["processes"], 3, "{json}");
    assert_eq!(summary["bill"]["function"], 0.75, "{json}");
    let messages = summary["bill"]["lines"].as_array().unwrap().iter();
    assert!(messages.filter_map(|line| line["messages"].as_u64()).sum::<u64>() >= 4, "{json}");
}

#[test]
fn who_was_killed_leaves_no_bill() {
    let ran = finish(fmi_run(&["-n", "3", "--channel", "tcp", "--bill"], "killed"), LIMIT);
    assert_ne!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("without 1 of 3 processes, which left no bill"), "{ran:?}");
}

#[test]
fn bad_prices_are_an_error_before_anybody_waits() {
    let folder = tempfile::tempdir().unwrap();
    let prices = folder.path().join("prices.toml");
    for (text, says) in [
        ("store.get = -1", "the price store.get is negative or not a number"),
        ("store.got = 1", "not a list of prices"),
    ] {
        std::fs::write(&prices, text).unwrap();
        let mut command = fmi_run(&["-n", "2"], "hello");
        command.env("FMI_PRICES", &prices);
        let ran = finish(command, LIMIT);
        assert_ne!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stderr.contains(says) && ran.stderr.contains("prices.toml"), "{ran:?}");
    }
    let mut command = fmi_run(&["-n", "2"], "hello");
    command.env("FMI_MACHINES", "cray");
    let ran = finish(command, LIMIT);
    assert!(ran.stderr.contains("no price is known for \"cray\""), "{ran:?}");
}

#[test]
fn the_model_shows_its_prices_and_what_polling_costs() {
    let ran = finish(fmi(&["model", "prices"]), LIMIT);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for line in ["provider = \"AWS\"", "date = ", "source = ", "get = 0.0000004"] {
        assert!(ran.stdout.contains(line), "{line}: {ran:?}");
    }
    let ran = finish(fmi(&["model", "polling", "--waits", "30", "--json"]), LIMIT);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let rows: Vec<serde_json::Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 8, "{ran:?}");
    for row in rows {
        let money = |key: &str| row[key].as_f64().unwrap();
        assert!(money("oracle") <= money("fixed") && money("oracle") <= money("cheap"), "{row}");
    }
    let ran = finish(fmi(&["model", "polling", "--round-trip", "soon"]), LIMIT);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("is no round trip"), "{ran:?}");
}

/// The cells of the row of an operation on a channel, by the names of their columns. Empty cells are
/// not there: only the first two names and what stands below the same end of a word counts.
#[cfg(any(feature = "redis", feature = "s3"))]
fn cell<'a>(table: &'a str, operation: &str, channel: &str, column: &str) -> &'a str {
    let head = table.lines().find(|line| line.starts_with("operation")).expect("a head");
    let end = head.find(column).unwrap_or_else(|| panic!("no {column}: {table}")) + column.len();
    let is_it = |line: &&str| {
        let mut words = line.split("  ").filter(|word| !word.trim().is_empty()).map(str::trim);
        words.next() == Some(operation) && (channel.is_empty() || words.next() == Some(channel))
    };
    let row = table.lines().find(is_it).unwrap_or_else(|| panic!("no {operation}: {table}"));
    let upto = &row[..end.min(row.len())];
    upto.rsplit("  ").next().unwrap_or_default().trim()
}

#[cfg(feature = "redis")]
#[test]
fn jobs_over_redis_say_what_they_cost() {
    use test_servers::redis::Server;
    let Some(server) = Server::start(&[]) else { return };
    let mut command = fmi_run(&["-n", "3", "--channel", &server.url()], "hello");
    command.env("FMI_MACHINES", "cache.t3.micro");
    let ran = finish(command, LIMIT);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("fmi run: 3 ranks, "), "{ran:?}");
    let cell = |operation, channel, column| cell(&ran.stderr, operation, channel, column);
    assert!(cell("all", "", "command").parse::<u64>().unwrap() > 6, "{ran:?}");
    assert!(cell("allreduce", "redis", "messages").parse::<u64>().unwrap() >= 1, "{ran:?}");
    assert!(cell("machine", "cache.t3.micro", "money").starts_with('$'), "{ran:?}");
    assert_ne!(cell("all", "", "money"), "", "{ran:?}");
}

#[cfg(feature = "s3")]
#[test]
fn jobs_over_s3_say_what_they_cost() {
    use crate::s3::with;
    use test_servers::s3::{Own, SECRET};
    let server = Own::start();
    let command = fmi_run(&["-n", "2", "--channel", &server.url("bill"), "--json"], "hello");
    let ran = finish(with(command, SECRET), LIMIT);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("fmi run: 2 ranks, "), "{ran:?}");
    let json = ran.stdout.lines().rfind(|line| line.starts_with('{')).expect("a line of JSON");
    let bill: serde_json::Value = serde_json::from_str(json).unwrap();
    let lines = bill["bill"]["lines"].as_array().unwrap();
    let all = |key: &str| lines.iter().filter_map(|line| line[key].as_u64()).sum::<u64>();
    let (put, get, list) = (all("put"), all("get"), all("list"));
    // All that was asked, by anybody, is on the bill.
    assert_eq!(put, server.faults.requests(&hyper::Method::PUT), "{json}");
    assert_eq!(all("delete"), server.faults.requests(&hyper::Method::DELETE), "{json}");
    let asked = [hyper::Method::GET, hyper::Method::HEAD].map(|m| server.faults.requests(&m));
    assert_eq!(get + list, asked.iter().sum::<u64>(), "{json}");
    let requests = put as f64 * 5e-6 + get as f64 * 4e-7 + list as f64 * 5e-6;
    let money: f64 = lines
        .iter()
        .filter(|line| line["channel"] == "s3")
        .map(|line| line["money"].as_f64().unwrap())
        .sum();
    assert!((money - requests).abs() < 1e-12, "{money} {requests}: {json}");
    assert!(lines.iter().any(|l| l["operation"] == "allreduce" && l["channel"] == "s3"), "{json}");
}
