//! `fmi bench`.

use crate::support::{Ran, finish, fmi};
use serde_json::Value;
use std::time::Duration;

/// A bench of all operations takes seconds on a busy machine, not minutes.
const LIMIT: Duration = Duration::from_secs(60);
const FIELDS: [&str; 11] = [
    "op",
    "channel",
    "layout",
    "ranks",
    "threads",
    "cores",
    "bytes",
    "iters",
    "median_us",
    "p99_us",
    "mb_per_s",
];
const OPS: [&str; 12] = [
    "pingpong",
    "barrier",
    "bcast",
    "gather",
    "scatter",
    "allgather",
    "alltoall",
    "reduce",
    "allreduce",
    "reduce_scatter",
    "scan",
    "exscan",
];

fn bench(options: &str) -> Ran {
    let arguments: Vec<_> = ["bench"].into_iter().chain(options.split_whitespace()).collect();
    finish(fmi(&arguments), LIMIT)
}

/// The lines of a bench that succeeds.
fn rows(options: &str) -> Vec<Value> {
    let ran = bench(&format!("{options} --json"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

#[test]
fn packs_share_the_ranks() {
    let options = "--channel tcp --ranks 5 --packs 2 --iters 4 --warmup 2 --bytes 4,1kB";
    let rows = rows(&format!("--op alltoall,allreduce --algorithm packed {options}"));
    assert_eq!(rows.len(), 4);
    for row in &rows {
        assert_eq!((&row["packs"], &row["algorithm"]), (&2.into(), &"packed".into()), "{row}");
    }
    for (wrong, why) in [
        ("--channel tcp --ranks 2 --packs 3", "there are only 2 ranks"),
        ("--channel local --packs 2", "--packs is for --layout processes"),
        ("--channel tcp --ranks 4 --op bcast --algorithm packed", "give --packs"),
    ] {
        let ran = bench(wrong);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains(why), "{ran:?}");
    }
}

/// All operations at three ranks, with every field in its place.
fn every_op(channel: &str, layout: &str, threads: impl Fn(u64) -> bool) {
    let options = format!("--channel {channel} --layout {layout} --ranks 3 --iters 4 --warmup 2");
    let rows = rows(&format!("--op all --bytes 4,1,999,1KiB {options}"));
    let ops: Vec<_> = rows.iter().map(|row| row["op"].as_str().unwrap()).collect();
    // A barrier has no length, and so one case.
    let expected: Vec<_> =
        OPS.iter().flat_map(|op| vec![*op; if *op == "barrier" { 1 } else { 4 }]).collect();
    assert_eq!(ops, expected);
    for row in &rows {
        let object = row.as_object().unwrap();
        assert_eq!(object.len(), FIELDS.len(), "{row}");
        assert!(FIELDS.iter().all(|field| object.contains_key(*field)), "{row}");
        assert_eq!((&row["channel"], &row["layout"]), (&channel.into(), &layout.into()));
        assert_eq!((&row["ranks"], &row["iters"]), (&3.into(), &4.into()));
        assert!(threads(row["threads"].as_u64().unwrap()), "{row}");
        let (median, p99) = (row["median_us"].as_f64().unwrap(), row["p99_us"].as_f64().unwrap());
        assert!(0.0 < median && median <= p99, "{row}");
        let (bytes, speed) = (row["bytes"].as_f64().unwrap(), row["mb_per_s"].as_f64().unwrap());
        let expected = bytes / median;
        assert!((speed - expected).abs() <= 0.001 + expected * 0.01, "{row}");
    }
    let bytes: Vec<_> = rows[..5].iter().map(|row| row["bytes"].as_u64().unwrap()).collect();
    assert_eq!(bytes, [4, 1, 999, 1024, 0]);
}

#[test]
fn every_op_over_local() {
    every_op("local", "threads", |threads| (1..=3).contains(&threads));
}

#[test]
fn every_op_over_tcp_in_one_process() {
    every_op("tcp", "threads", |threads| threads == 3);
}

#[test]
fn every_op_over_tcp_between_processes() {
    every_op("tcp", "processes", |threads| threads == 1);
}

#[test]
fn fields_are_in_order() {
    let ran = bench("--op barrier --iters 1 --json");
    let places: Vec<_> = FIELDS.iter().map(|f| ran.stdout.find(&format!("\"{f}\":"))).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{ran:?}");
}

#[test]
fn iterations_are_as_many_as_the_time_allows() {
    let [row] = &rows("--op pingpong --bytes 4")[..] else { panic!("one row") };
    let iters = row["iters"].as_u64().unwrap();
    assert!((10..=100_000).contains(&iters), "{row}");
    assert_eq!(row["layout"], "threads");
    let [row] = &rows("--op barrier --iters 3 --warmup 0 --ranks 1")[..] else { panic!("one row") };
    assert_eq!((&row["iters"], &row["ranks"]), (&3.into(), &1.into()));
}

#[test]
fn a_hundred_ranks_share_the_cores() {
    let [row] = &rows("--op allreduce --ranks 100 --bytes 4 --iters 10")[..] else {
        panic!("one row")
    };
    assert_eq!(row["ranks"], 100);
}

#[test]
fn people_get_a_table() {
    let ran = bench("--op pingpong,bcast --bytes 64KiB --iters 5");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{ran:?}");
    assert!(lines[0].starts_with("2 ranks over local, one process"), "{ran:?}");
    assert!(lines[2].starts_with("pingpong") && lines[2].contains("65536"), "{ran:?}");
}

#[test]
fn algorithms_are_compared_in_one_run() {
    let compared = rows(
        "--op allreduce,bcast --algorithm ring,allreduce/rabenseifner,chain --bytes 4,64KiB \
         --channel tcp --layout threads --ranks 3 --iters 3",
    );
    let names: Vec<_> = compared
        .iter()
        .map(|row| (row["op"].as_str().unwrap(), row["algorithm"].as_str().unwrap()))
        .collect();
    let expected = [
        ("allreduce", "ring"),
        ("allreduce", "rabenseifner"),
        ("allreduce", "chain"),
        ("bcast", "chain"),
    ];
    assert_eq!(names, expected.iter().flat_map(|name| [*name; 2]).collect::<Vec<_>>());
    let ran = bench("--op allreduce --algorithm ring --bytes 64 --iters 3");
    assert!(ran.stdout.contains("\nallreduce/ring  "), "{ran:?}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (options, text) in [
        ("--channel local --layout processes", "--channel local joins ranks of one process"),
        ("--op pingpong --ranks 1", "takes two ranks"),
        ("--op sort", "possible values"),
        ("--bytes 4,many", "is no length"),
        ("--ranks 0", "0 is not in 1..="),
        ("--op allreduce --algorithm rign", "did you mean \"ring\"?"),
        ("--op allreduce --algorithm bcast/chain", "is of none of the operations"),
        ("--op pingpong --algorithm ring", "--algorithm"),
        ("--op allreduce --algorithm shared --channel tcp", "take --channel local"),
    ] {
        let ran = bench(options);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains(text), "{ran:?}");
    }
}

#[test]
fn help_has_examples() {
    for command in ["run", "rendezvous", "bench", "explain", "doctor"] {
        let ran = finish(fmi(&[command, "--help"]), LIMIT);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stdout.contains("Examples:\n  "), "{ran:?}");
        assert!(ran.stdout.contains("--json"), "{ran:?}");
    }
    let ran = finish(fmi(&["--help"]), LIMIT);
    assert!(ran.stdout.contains("Examples:") && !ran.stdout.contains("bench-rank"), "{ran:?}");
}
