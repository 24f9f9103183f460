//! `fmi model predict` and `fmi model compare`.

use crate::support::{Ran, finish, fmi, json_line};
use serde_json::Value;
use std::{fs, path::Path, time::Duration};

const LIMIT: Duration = Duration::from_secs(60);

fn model(options: &str) -> Ran {
    finish(fmi(&[&["model"][..], &words(options)].concat()), LIMIT)
}

/// Split at spaces, but for what stands in quotes.
fn words(text: &str) -> Vec<&str> {
    let parts = text.split('"').enumerate();
    parts
        .flat_map(|(number, part)| match number % 2 {
            0 => part.split_whitespace().collect(),
            _ => vec![part],
        })
        .collect()
}

fn text(options: &str) -> String {
    let ran = model(options);
    assert_eq!(ran.code, Some(0), "{options}: {ran:?}");
    ran.stdout
}

fn json(options: &str) -> Value {
    json_line(&text(&format!("{options} --json")))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_prediction_has_its_time_and_its_money() {
    let found = json("predict allreduce -n 64 --bytes 1MiB --memory 2GiB --often 3600");
    assert_eq!((&found["op"], &found["ranks"]), (&"allreduce".into(), &64.into()));
    assert_eq!((&found["channel"], &found["profile"]), (&"tcp".into(), &"aws-lambda".into()));
    assert!(number(&found["median_us"]) < number(&found["p95_us"]));
    let parts = ["function_dollars", "request_dollars", "machine_dollars"];
    let sum: f64 = parts.iter().map(|part| number(&found[*part])).sum();
    assert!((sum / number(&found["dollars"]) - 1.0).abs() < 1e-9, "{found}");
    assert_eq!(number(&found["request_dollars"]), 0.0);
    assert!(number(&found["machine_dollars"]) > 0.0);
    let stored = json("predict barrier -n 64 --channel s3");
    assert!(number(&stored["request_dollars"]) > 0.0 && number(&stored["machine_dollars"]) == 0.0);
    let ring = json("predict allreduce -n 64 --bytes 1MiB --memory 2GiB --algorithm ring");
    assert_eq!(ring["algorithm"], "ring");
    assert!(number(&ring["median_us"]) > number(&found["median_us"]));
}

#[test]
fn everything_can_be_predicted() {
    let ops = "barrier bcast gather scatter allgather alltoall reduce allreduce reduce_scatter scan exscan";
    for op in ops.split(' ') {
        for options in [
            "-n 20 --bytes 64KiB",
            "-n 20 --channel s3 --opaque",
            "-n 12 --pack 4 --store redis",
            "-n 8 --pack 8 --profile loopback",
            "-n 8 --machine 2 --profile lan --channel shm --objective cheap",
        ] {
            let found = json(&format!("predict {op} {options}"));
            assert!(number(&found["median_us"]) > 0.0, "{op} {options}: {found}");
        }
    }
    for op in ["pingpong", "fanout -n 100"] {
        for channel in ["tcp", "redis", "s3"] {
            let found = json(&format!("predict {op} --channel {channel} --bytes 1MiB"));
            assert!(number(&found["dollars"]) > 0.0, "{found}");
        }
    }
    let told = text("predict bcast -n 1024 --bytes 32MiB --store s3");
    for part in ["bcast of 32 MiB on 1,024 ranks over tcp+s3", "plan ", "p95 ", "  requests "] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn a_comparison_of_one_call_has_all_plans() {
    let found = json("compare allreduce -n 16 --bytes 1MiB");
    let candidates = found["candidates"].as_array().unwrap();
    let times: Vec<f64> = candidates.iter().map(|row| number(&row["median_us"])).collect();
    assert!(times.is_sorted() && times.len() > 10);
    for channel in ["tcp", "redis", "s3"] {
        assert!(candidates.iter().any(|row| row["channel"] == channel), "{channel}");
    }
    let refused = found["refused"].as_array().unwrap();
    assert!(refused.iter().any(|row| row["channel"] == "tcp" && row["algorithm"] == "shared"));
    let cheap = json("compare allreduce -n 16 --bytes 1MiB --objective cheap --channels redis,s3");
    let money: Vec<f64> =
        cheap["candidates"].as_array().unwrap().iter().map(|row| number(&row["dollars"])).collect();
    assert!(money.is_sorted());
    let told = text("compare allreduce barrier -n 16 --bytes 1MiB");
    assert_eq!(told.matches("| → | tcp | ").count(), 2, "{told}");
    assert!(told.contains("- tcp: shared_small, shared, shared_tree: it needs ranks that share"));
}

#[test]
fn a_comparison_of_many_has_crossovers() {
    let options = "compare bcast -n 256 --bytes 1KiB..64MiBx4 --memory 2GiB";
    let found = json(options);
    assert_eq!((&found["over"], &found["ranks"]), (&"bytes".into(), &256.into()));
    let points = found["points"].as_array().unwrap();
    assert_eq!(points.len(), 9);
    assert_eq!((&points[0]["best"], &points[8]["best"]), (&"tcp".into(), &"s3".into()));
    let crossovers = found["crossovers"].as_array().unwrap();
    let to_s3 = crossovers.iter().find(|it| it["after"]["channel"] == "s3").unwrap();
    assert!((1 << 20..16 << 20).contains(&to_s3["at"].as_u64().unwrap()), "{to_s3}");
    assert_eq!(found, json(options), "the same each time");
    let told = text(options);
    assert!(told.contains("| 1 KiB | **binomial: "), "{told}");
    assert!(told.contains("on s3 shared instead of tcp "), "{told}");
    let ranks = json("compare allreduce -n 2..64x4 --bytes 64");
    assert_eq!((&ranks["over"], &ranks["bytes"]), (&"ranks".into(), &64.into()));
    // Where all ranks are in one process, no channel is needed.
    let packed = text("compare allreduce -n 8,16 --pack 8");
    assert!(packed.contains("| ranks | local | tcp | redis | s3 |"), "{packed}");
}

#[test]
fn what_makes_no_sense_is_told() {
    for (options, says) in [
        ("predict alreduce", "allreduce"),
        ("predict", "<OP>"),
        ("predict bcast --profile mars", "known are aws-lambda, lan, loopback"),
        ("predict bcast --profile /no/such/file.toml", "cannot be read"),
        ("predict bcast --channel carrier", "no such channel, but local, redis, s3, tcp"),
        ("predict bcast --store tcp", "write links, a store, or both"),
        ("predict bcast --channel s3 --store redis", "write links, a store, or both"),
        ("predict bcast -n 4 --pack 5", "--pack 5: a process cannot have 5 of 4 ranks"),
        ("predict bcast -n 4 --root 4", "give 0 to 3"),
        ("predict allreduce --root 1", "allreduce has no root"),
        ("predict allreduce --algorithm rign", "did you mean \"ring\"?"),
        ("predict allreduce --algorithm shared", "cannot run there: it needs ranks that share"),
        ("predict pingpong --algorithm ring", "pingpong has none"),
        ("predict pingpong -n 3", "pingpong is of 2 ranks"),
        ("predict fanout -n 1", "nobody to send to"),
        ("predict bcast --objective best", "is no objective"),
        ("predict bcast --often 0", "above 0"),
        ("predict bcast --memory 0", "nothing runs without any"),
        ("predict bcast -n 0", "0 is not in 1..="),
        ("predict bcast --machine 0", "0 is not in 1.."),
        ("compare alreduce", "allreduce"),
        ("compare bcast -n \"\"", "no number of ranks"),
        ("compare bcast -n 8..2", "write 2..8"),
        ("compare bcast --bytes \"\"", "no length"),
        ("compare bcast --bytes 0..8", "begin with 1"),
        ("compare bcast -n 2..8 --bytes 1..8", "both lists"),
        ("compare bcast -n 2..8 --pack 4", "a process cannot have 4 of 2 ranks"),
        ("compare bcast --channels tcp,s4", "--channels s4"),
        ("compare bcast --svg never.svg", "give a list of one of them"),
        ("compare bcast gather -n 2..4 --svg never.svg", "give one OP"),
    ] {
        let ran = model(options);
        assert_eq!(ran.code, Some(2), "{options}: {ran:?}");
        assert!(ran.stderr.contains(says), "{options}: {}", ran.stderr);
    }
    let ran = model("compare bcast -n 2..4 --svg /no/such/place.svg");
    assert_eq!(ran.code, Some(1), "{ran:?}");
}

/// Those of the section that are about this. The pictures are drawn again, everything is run.
#[test]
fn the_commands_in_the_docs_print_what_is_there() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let page = fs::read_to_string(docs.join("model.md")).unwrap();
    let commands: Vec<&str> = page
        .lines()
        .filter_map(|line| line.trim_start_matches("$ ").strip_prefix("fmi model "))
        .filter(|line| line.starts_with("predict ") || line.starts_with("compare "))
        .collect();
    assert!(commands.len() >= 4, "{commands:?}");
    for command in commands {
        let Some((options, file)) = command.split_once(" --svg docs/") else {
            let told = text(command);
            assert!(page.contains(told.trim()), "fmi model {command} prints\n{told}");
            continue;
        };
        let directory = tempfile::tempdir().unwrap();
        let drawn = directory.path().join("drawn.svg");
        text(&format!("{options} --svg {}", drawn.display()));
        let kept = fs::read_to_string(docs.join(file)).unwrap();
        assert!(kept == fs::read_to_string(drawn).unwrap(), "fmi model {command}");
    }
}
