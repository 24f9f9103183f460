//! `fmi run`: a job as one thing: its description, output, results, beginning and end.

use crate::support::{Running, finish, fmi, fmi_run, is_gone};
use serde_json::Value;
use std::{fs, time::Duration};

const LIMIT: Duration = Duration::from_secs(30);

/// A shell script as the program of each rank.
fn script<'a>(options: &[&'a str], script: &'a str) -> std::process::Command {
    fmi(&[&["run"], options, &["--", "sh", "-c", script]].concat())
}

#[test]
fn lines_have_their_ranks_before_them() {
    let ran =
        finish(script(&["-n", "12", "--output", "prefixed"], "echo a $FMI_RANK; printf b"), LIMIT);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let mut lines: Vec<_> = ran.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines.len(), 24, "{ran:?}");
    assert!(lines.contains(&"[ 3] a 3") && lines.contains(&"[11] b"), "{ran:?}");
    let packs = ["-n", "4", "--packs", "2", "--output", "prefixed"];
    let ran = finish(script(&packs, "echo x >&2"), LIMIT);
    assert!(ran.stderr.contains("[0-1] x\n") && ran.stderr.contains("[2-3] x\n"), "{ran:?}");
}

#[test]
fn json_lines_are_json() {
    let ran = finish(
        script(
            &["-n", "2", "--output", "json", "--json"],
            r#"printf 'a "b"\n\377\n' >&2; exit $FMI_RANK"#,
        ),
        LIMIT,
    );
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let lines: Vec<Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let said = |line: &&Value| line["stream"] == "stderr" && line["ranks"] == "1";
    let texts: Vec<_> = lines.iter().filter(said).map(|line| line["line"].as_str()).collect();
    assert_eq!(texts, [Some("a \"b\""), Some("\u{fffd}")]);
    assert!(lines.iter().any(|line| line["failed"] == "rank 1 ended with exit code 1"), "{ran:?}");
    assert_eq!(lines.last().unwrap()["exit_code"], 1);
}

#[test]
fn the_first_cause_is_shown_first() {
    // The other one says what came of it at once, the culprit a moment later.
    let text = "case $FMI_RANK in 1) sleep 0.05; echo the cause >&2; exit 3;; \
                *) echo a consequence >&2; exit 1;; esac";
    let ran = finish(script(&["-n", "2", "--output", "prefixed"], text), LIMIT);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let lines: Vec<_> = ran.stderr.lines().collect();
    let expected = ["[1] the cause", "fmi run: rank 1 ended with exit code 3", "[0] a consequence"];
    assert_eq!(lines, expected);
}

#[test]
fn output_without_end_neither_fills_memory_nor_delays_the_end() {
    let mut job =
        Running::start(script(&["-n", "2", "--output", "prefixed"], "echo waiting $$; yes"));
    let processes: Vec<_> = (0..2).map(|_| job.line("waiting ")).collect();
    // Nobody reads on.
    job.signal(libc::SIGINT);
    let (code, took) = job.end(LIMIT);
    assert_eq!(code, Some(130));
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert!(processes.iter().all(|id| is_gone(id, LIMIT)), "{processes:?}");
}

#[test]
fn a_child_that_keeps_the_output_open_delays_nothing() {
    let ran = finish(script(&["-n", "1", "--output", "prefixed"], "sleep 20 & echo done"), LIMIT);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "[0] done\n"), "{ran:?}");
    assert!(ran.took < Duration::from_secs(10), "{ran:?}");
}

#[test]
fn others_go_on_if_they_are_to() {
    let text = "[ $FMI_RANK = 1 ] && exit 3; sleep 3; echo rank $FMI_RANK is done";
    let ran = finish(script(&["-n", "3", "--keep-going"], text), LIMIT);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert_eq!(ran.stdout.matches("is done").count(), 2, "{ran:?}");
    let ran = finish(script(&["-n", "3"], text), LIMIT);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), ""), "{ran:?}");
}

#[test]
fn a_deadline_ends_a_job() {
    for (options, text) in [
        (&["-n", "2", "--deadline", "300 ms"][..], "exec sleep 600"),
        (
            &["-n", "2", "--deadline", "300ms", "--output", "json"],
            "trap '' TERM; while :; do sleep 0.1; done",
        ),
    ] {
        let ran = finish(script(options, text), LIMIT);
        assert_eq!(ran.code, Some(124), "{ran:?}");
        assert!(ran.took < Duration::from_secs(6), "{ran:?}");
        let told = format!("{}{}", ran.stdout, ran.stderr);
        assert!(told.contains("the job has not ended within 300ms"), "{ran:?}");
    }
    let ran = finish(script(&["-n", "1", "--deadline", "soon"], "true"), LIMIT);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("--deadline: \"soon\" is no duration"), "{ran:?}");
}

/// They give up at the same moment as the launcher; still it is the job that was late.
#[test]
fn ranks_know_the_deadline() {
    for output in ["raw", "prefixed", "json"] {
        let options = ["-n", "3", "--packs", "2", "--deadline", "800 ms", "--output", output];
        let ran = finish(fmi_run(&options, "until"), LIMIT);
        assert_eq!(ran.code, Some(124), "{ran:?}");
        let told = format!("{}{}", ran.stdout, ran.stderr);
        assert_eq!(told.matches("the job has not ended within 800ms").count(), 1, "{ran:?}");
        assert!(!told.contains("ended with exit code"), "{ran:?}");
        let left: Vec<u64> = told
            .split(" has ")
            .skip(1)
            .filter_map(|rest| rest.split_once(" ms")?.0.parse().ok())
            .collect();
        assert_eq!(left.len(), 3, "{ran:?}");
        assert!(left.iter().all(|left| (1..=800).contains(left)), "{ran:?}");
    }
    // Who looks at it ends in time.
    let ran = finish(fmi_run(&["-n", "3", "--deadline", "3 s", "--results"], "in time"), LIMIT);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stdout.matches("\"result\":").count(), 3, "{ran:?}");
    // An earlier end counts.
    let mut command = fmi_run(&["-n", "2", "--deadline", "10 min"], "until");
    command.env("FMI_UNTIL", "1000");
    let ran = finish(command, LIMIT);
    assert_eq!(ran.code, Some(1), "{ran:?}");
}

#[test]
fn none_starts_if_one_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("started");
    let text = format!("touch {}", mark.display());
    let ran = finish(fmi(&["run", "-n", "4", "--", "/no/such/shell", "-c", &text]), LIMIT);
    assert_eq!(ran.code, Some(127), "{ran:?}");
    assert!(!mark.exists());
}

#[test]
fn results_come_in_the_order_of_ranks() {
    for packs in ["1", "2", "5"] {
        let ran = finish(fmi_run(&["-n", "5", "--packs", packs, "--results"], "result"), LIMIT);
        let lines: Vec<_> =
            ran.stdout.lines().filter(|line| line.starts_with("{\"rank\"")).collect();
        let expected: Vec<_> =
            (0..5).map(|rank| format!("{{\"rank\":{rank},\"result\":{}}}", rank * rank)).collect();
        assert_eq!(lines, expected, "{ran:?}");
    }
    let ran = finish(fmi_run(&["-n", "3", "--json"], "result"), LIMIT);
    let line: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(line["results"], serde_json::json!([0, 1, 4]), "{ran:?}");
}

#[test]
fn the_beginning_is_reported() {
    let ran = finish(fmi_run(&["-n", "6", "--packs", "2", "--json"], "hello"), LIMIT);
    let line: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    let start = |name: &str| line["start"][name].as_f64().expect(name);
    assert!(start("first_ms") > 0.0 && start("last_ms") >= start("first_ms"), "{line}");
    assert!((start("last_ms") - start("first_ms") - start("spread_ms")).abs() < 0.1, "{line}");
    // Programs of others do not say when they begin.
    let ran = finish(script(&["-n", "1", "--json"], "true"), LIMIT);
    assert!(!ran.stdout.contains("start"), "{ran:?}");
}

#[test]
fn a_file_describes_a_job() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"
        [job]
        name = "described"
        program = "sh"
        arguments = ["-c", "echo rank $FMI_RANK of $FMI_SIZE in $FMI_JOB, $COLOUR, $FMI_MEMORY"]
        ranks = 4
        ranks_per_pack = 3
        memory = "1 GiB"
        env = { COLOUR = "red" }
    "#;
    fs::write(folder.path().join("fmi.toml"), text).unwrap();
    let run = |options: &[&str]| {
        let mut command = fmi(&[&["run"], options].concat());
        command.current_dir(folder.path());
        finish(command, LIMIT)
    };
    let ran = run(&[]);
    let mut lines: Vec<_> = ran.stdout.lines().collect();
    lines.sort_unstable();
    let expected = |rank: &str| format!("rank {rank} of 4 in described, red, 1073741824 B");
    assert_eq!(lines, [expected("0-1"), expected("2-3")], "{ran:?}");
    // Flags override it.
    let ran = run(&["-n", "2", "--packs", "2", "--env", "COLOUR=blue", "--memory", "1KiB"]);
    assert_eq!(ran.stdout.matches("of 2 in described, blue, 1024 B").count(), 2, "{ran:?}");
    let ran = run(&["--dry-run", "-n", "1"]);
    assert!(ran.stdout.starts_with("FMI_RANK=0 FMI_SIZE=1 sh -c 'echo rank"), "{ran:?}");
}

#[test]
fn each_rank_has_arguments_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("arguments");
    fs::write(&file, "--seed 1\n\n--seed 3 x\n").unwrap();
    let file = file.to_str().unwrap();
    let ran =
        finish(fmi_run(&["-n", "3", "--packs", "2", "--rank-args", file], "arguments"), LIMIT);
    for line in ["rank 0 has --seed 1.", "rank 1 has .", "rank 2 has --seed 3 x."] {
        assert!(ran.stdout.contains(line), "{ran:?}");
    }
    let ran = finish(fmi_run(&["-n", "2", "--rank-args", file], "arguments"), LIMIT);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("arguments for 3 ranks, and the job has 2"), "{ran:?}");
}

#[test]
fn what_is_missing_is_told() {
    for (arguments, text) in [
        (&["run", "-n", "2"][..], "there is nothing to start"),
        (&["run", "true"], "how many ranks? Write -n N"),
        (&["run", "-n", "2", "--env", "X", "true"], "--env X: write NAME=VALUE"),
        (&["run", "-n", "2", "--env", "FMI_TOKEN=x", "true"], "export FMI_TOKEN instead"),
        (
            &["run", "-n", "2", "--on", "kubernetes", "--dry-run", "x"],
            "which image has the program?",
        ),
    ] {
        let ran = finish(fmi(arguments), LIMIT);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains(text), "{ran:?}");
    }
}

#[test]
fn kubernetes_gets_a_manifest() {
    let options = ["run", "--on", "kubernetes", "-n", "4", "--packs", "2", "--image", "train:1"];
    let mut command = fmi(&[&options[..], &["--dry-run", "--", "/train", "--yes", "no"]].concat());
    command.env("FMI_JOB", "Train_1").env("FMI_TOKEN", "hunter2");
    let ran = finish(command, LIMIT);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for text in ["kind: Secret", "kind: Service", "kind: Job", "completions: 2", "name: train-1"] {
        assert!(ran.stdout.contains(text), "{text}: {ran:?}");
    }
    // What YAML 1.1, which kubectl reads, would take for something else.
    assert!(ran.stdout.contains("- \"no\""), "{ran:?}");
    assert_eq!(ran.stdout.matches("hunter2").count(), 1, "{ran:?}");
}
