//! `fmi model show` and `fmi model simulate`.

use crate::support::{Ran, finish, fmi};
use serde_json::Value;
use std::{fs, time::Duration};

const LIMIT: Duration = Duration::from_secs(60);

fn model(options: &str) -> Ran {
    let arguments: Vec<_> = ["model"].into_iter().chain(options.split_whitespace()).collect();
    finish(fmi(&arguments), LIMIT)
}

fn text(options: &str) -> String {
    let ran = model(options);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.stdout
}

fn lines(options: &str) -> Vec<Value> {
    let text = text(&format!("{options} --json"));
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// Fails unless the command line is refused with all these words.
fn refused(options: &str, words: &[&str]) {
    let ran = model(options);
    assert_eq!(ran.code, Some(2), "{options}: {ran:?}");
    assert!(ran.stdout.is_empty(), "{options}: {ran:?}");
    for word in words {
        assert!(ran.stderr.contains(word), "{options}: no {word:?} in {}", ran.stderr);
    }
}

#[test]
fn profiles_are_listed_and_shown() {
    let list = text("show");
    assert!(["aws-lambda", "lan", "loopback"].iter().all(|name| list.contains(name)), "{list}");
    let lambda = text("show --profile aws-lambda");
    for part in ["stragglers", "t2.micro, $0.0116 an hour", "one way", "16 MiB", "407 µs"] {
        assert!(lambda.contains(part), "{part}: {lambda}");
    }
    let json = &lines("show --profile lan")[0];
    assert_eq!((&json["name"], &json["messages"][0]["bytes"]), (&"lan".into(), &1.into()));
    assert!(json["channels"]["tcp"]["latency"].is_number(), "{json}");
    assert_eq!(lines("show")[0].as_array().map(Vec::len), Some(3));
}

#[test]
fn a_profile_can_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    let changed = text("show --profile lan --toml").replace("name = \"lan\"", "name = \"mine\"");
    fs::write(&file, changed.replacen("latency = 2.5e-5", "latency = 1.0", 1)).unwrap();
    let file = file.display();
    let row = &lines(&format!("simulate barrier -n 2 --profile {file}"))[0];
    assert_eq!((&row["profile"], &row["rounds"]), (&"mine".into(), &1.into()), "{row}");
    assert!(row["median_us"].as_f64().is_some_and(|us| us > 1e6), "{row}");
    assert!(text(&format!("show --profile {file} --toml")).contains("mine"));
}

#[test]
fn collectives_are_simulated() {
    let rows = lines("simulate -n 2..8x4 --rounds 3 --seed 5");
    let cases: Vec<_> =
        rows.iter().map(|row| (row["op"].as_str(), row["ranks"].as_u64())).collect();
    let case = |op, ranks| (Some(op), Some(ranks));
    let expected = ["allreduce", "bcast", "barrier"].map(|op| [case(op, 2), case(op, 8)]);
    assert_eq!(cases, expected.concat());
    for row in &rows {
        let number = |name: &str| row[name].as_f64().expect(name);
        assert!(number("median_us") > 400.0 && number("p95_us") >= number("median_us"), "{row}");
        assert!(number("dollars") > 0.0 && number("gib_seconds") > 0.0, "{row}");
        assert_eq!((number("puts"), number("rounds")), (0.0, 3.0), "{row}");
    }
    assert_eq!(rows[3]["messages"], 7, "a bcast to 7 others");
    assert_eq!(rows, lines("simulate -n 2..8x4 --rounds 3 --seed 5"));
    assert_ne!(rows, lines("simulate -n 2..8x4 --rounds 3 --seed 6"));
}

#[test]
fn every_collective_is_simulated_on_every_channel() {
    let all = "barrier bcast gather scatter allgather alltoall reduce allreduce reduce_scatter scan exscan";
    for channel in ["tcp", "redis", "s3"] {
        let rows = lines(&format!("simulate {all} -n 5 --bytes 43 --rounds 1 --channel {channel}"));
        assert_eq!(rows.len(), 11);
        let paid = rows.iter().all(|row| row["request_dollars"].as_f64() > Some(0.0));
        assert_eq!(paid, channel == "s3", "{rows:?}");
    }
}

#[test]
fn packs_and_memory_count() {
    let gib = |options: &str| {
        let row = &lines(&format!("simulate barrier -n 16 --rounds 1 {options}"))[0];
        (row["messages"].as_u64().unwrap(), row["gib_seconds"].as_f64().unwrap())
    };
    let (messages, apart) = gib("");
    let (fewer, packed) = gib("--pack 4");
    assert!(fewer < messages && packed < apart);
    assert_eq!(gib("--pack 16").0, 0);
    let (_, large) = gib("--memory 3GiB");
    assert!((large / apart - 3.0).abs() < 1e-9);
}

#[test]
fn an_algorithm_can_be_asked_for() {
    let row = &lines("simulate allreduce -n 6 --bytes 1KiB --algorithm ring --rounds 1")[0];
    assert_eq!((&row["algorithm"], &row["messages"]), (&"ring".into(), &60.into()), "{row}");
    let table = text("simulate allreduce -n 6 --algorithm ring --rounds 1");
    assert!(table.contains("| allreduce/ring | 6 |"), "{table}");
}

#[test]
fn a_plot_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plot.svg");
    let draw = || {
        text(&format!("simulate bcast barrier -n 2..16 --rounds 1 --svg {}", file.display()));
        fs::read_to_string(&file).unwrap()
    };
    let svg = draw();
    assert!(
        ["time, median", "money a call", "bcast", "barrier", "16"]
            .iter()
            .all(|it| svg.contains(it))
    );
    assert_eq!(svg, draw());
    let ran = model("simulate -n 2 --rounds 1 --svg /nowhere/plot.svg");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("/nowhere/plot.svg"), "{ran:?}");
}

#[test]
fn bad_input_is_told() {
    refused("show --profile mars", &["\"mars\"", "aws-lambda, lan, loopback"]);
    refused("simulate --profile mars", &["\"mars\"", "fmi model show --toml"]);
    refused("simulate --profile ./mars.toml", &["./mars.toml", "cannot be read"]);
    refused("simulate --profile /proc/self/status", &["/proc/self/status", "not a profile"]);
    refused("simulate --channel pigeon", &["pigeon", "local, redis, s3, tcp"]);
    refused("simulate -n 8..2", &["write 2..8"]);
    refused("simulate -n none", &["no number of ranks"]);
    refused("simulate sort", &["allreduce"]);
    refused("simulate --bytes many", &["no length"]);
    refused("simulate allreduce --algorithm rong", &["--algorithm", "ring"]);
    refused("simulate allgather -n 100000 --bytes 1KiB", &["would hold", "--bytes"]);
    refused("simulate alltoall -n 4000", &["fewer than 2000"]);
    refused("simulate allreduce --algorithm shared", &["chosen by itself"]);
}

/// The commands in the docs are understood. They are run with few ranks.
#[test]
fn documented_commands_are_understood() {
    let docs = include_str!("../../../docs/model.md");
    let commands = docs.lines().map(|line| line.trim_start_matches("$ "));
    let commands: Vec<_> = commands.filter(|line| line.starts_with("fmi model s")).collect();
    assert!(commands.len() >= 3, "{commands:?}");
    let folder = tempfile::tempdir().unwrap();
    for command in commands {
        let command = command.split_once('#').map_or(command, |(command, _)| command);
        let mut words: Vec<String> =
            command.split_whitespace().skip(1).map(str::to_owned).collect();
        let after =
            |words: &[String], flag: &str| Some(words.iter().position(|it| it == flag)? + 1);
        if let Some(at) = after(&words, "-n") {
            words[at] = if words[at].contains("..") { "2..4".to_owned() } else { "4".to_owned() };
        }
        if let Some(at) = after(&words, "--svg") {
            words[at] = folder.path().join("plot.svg").display().to_string();
        }
        if let Some(at) = words.iter().position(|word| word == ">") {
            words.truncate(at);
        }
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let ran = finish(fmi(&words), LIMIT);
        assert_eq!(ran.code, Some(0), "{command}: {ran:?}");
    }
}
