//! `fmi model fit` and `fmi model check`.

use crate::support::{Ran, finish, fmi};
use serde_json::Value;
use std::{fs, path::Path, time::Duration};

const LIMIT: Duration = Duration::from_secs(120);

fn run(arguments: &[&str]) -> Ran {
    finish(fmi(arguments), LIMIT)
}

/// What a small benchmark prints, in a file.
fn measured(folder: &Path) -> String {
    let bench = "bench --op pingpong,bcast,allreduce --algorithm all --channel local -n 4 --bytes 8,32KiB --iters 20 --json";
    let ran = run(&bench.split_whitespace().collect::<Vec<_>>());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let plans = ran.stdout.lines().filter(|line| line.contains("\"allreduce\"")).count();
    assert!(plans >= 2 * 8, "{}", ran.stdout);
    let path = folder.join("rows.jsonl");
    fs::write(&path, &ran.stdout).unwrap();
    path.display().to_string()
}

#[test]
fn a_profile_is_made_of_a_benchmark() {
    let folder = tempfile::tempdir().unwrap();
    let rows = measured(folder.path());
    let file = folder.path().join("mine.toml").display().to_string();
    let ran = run(&["model", "fit", "--from", &rows, "-o", &file]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for part in [
        "local   allreduce",
        "good plan",
        "fitted 20 parameters",
        "noted by how much",
        "written to",
    ] {
        assert!(ran.stdout.contains(part), "no {part:?} in {}", ran.stdout);
    }
    // It is a profile like any other, and what it was made of is in it.
    let shown = run(&["model", "show", "--profile", &file, "--json"]);
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(shown["name"], "mine");
    assert!(shown["source"].as_str().unwrap().contains("measurements of local with 4 ranks"));
    // Whether it is good depends on the machine; that something is said of it does not.
    let checked = run(&["model", "check", "--from", &rows, "--profile", &file, "--all"]);
    assert!(matches!(checked.code, Some(0 | 1)), "{checked:?}");
    let last = checked.stdout.lines().last().unwrap();
    assert!(
        last.starts_with("local: median error ") && last.contains("cells (bound 90 %"),
        "{last}"
    );
    assert_eq!(checked.code == Some(0), !last.contains("missed"), "{last}");
    for part in ["allreduce/recursive_doubling", "local, by its parameters alone: median error "] {
        assert!(checked.stdout.contains(part), "no {part:?} in {}", checked.stdout);
    }
}

#[test]
fn a_profile_is_printed_where_no_file_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let rows = measured(folder.path());
    let ran = run(&["model", "fit", "--from", &rows, "--name", "printed", "--all"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.starts_with("name = \"printed\"\n"), "{}", ran.stdout);
    assert!(ran.stderr.contains("allreduce/ring"), "{}", ran.stderr);
}

#[test]
fn channels_are_measured() {
    let ran =
        run(&["model", "fit", "--channel", "local", "-n", "2", "--time", "0.001", "--rounds", "2"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("measurements of local with 2 ranks"), "{}", ran.stdout);
}

#[test]
fn bad_input_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let half = file("half.jsonl", "{\"op\":\"allreduce\"}\n");
    let table = file("table.csv", "op,bytes\nallreduce,8\n");
    let empty = file("empty.jsonl", "\n");
    for (arguments, words) in [
        (vec!["--from", "nowhere.jsonl"], vec!["--from", "nowhere.jsonl"]),
        (vec!["--from", &half], vec!["half.jsonl", "line 1", "channel"]),
        (vec!["--from", &table], vec!["table.csv", "line 2"]),
        (vec!["--from", &empty], vec!["no measurement"]),
        (vec!["--from", &half, "--channel", "tcp"], vec!["--channel", "cannot be used"]),
        (vec!["--channel", "pigeon"], vec!["--channel", "pigeon"]),
        (vec!["--time", "0"], vec!["--time", "0.001"]),
        (vec!["-n", "1"], vec!["1", "2..=1024"]),
        (vec!["--profile", "mars"], vec!["--profile", "mars"]),
    ] {
        for command in ["fit", "check"] {
            let all: Vec<&str> = ["model", command].into_iter().chain(arguments.clone()).collect();
            let ran = run(&all);
            assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{all:?}: {ran:?}");
            for word in &words {
                assert!(ran.stderr.contains(word), "{all:?}: no {word:?} in {}", ran.stderr);
            }
        }
    }
}
