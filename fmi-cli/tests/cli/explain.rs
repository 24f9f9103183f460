//! `fmi explain`.

use crate::support::{Ran, finish, fmi, json_line};
use serde_json::Value;
use std::{fs, path::Path, time::Duration};

const LIMIT: Duration = Duration::from_secs(30);

fn explain(options: &str) -> Ran {
    let arguments: Vec<_> = ["explain"].into_iter().chain(options.split_whitespace()).collect();
    finish(fmi(&arguments), LIMIT)
}

fn text(options: &str) -> String {
    let ran = explain(options);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.stdout
}

fn json(options: &str) -> Value {
    json_line(&text(&format!("{options} --json")))
}

/// The picture that a call gives.
fn svg(options: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("plan.svg");
    text(&format!("{options} --svg {}", file.display()));
    fs::read_to_string(file).unwrap()
}

/// Fails unless every element ends, in order, and nothing else is amiss that XML forbids.
fn assert_well_formed(svg: &str) {
    let mut open = Vec::new();
    let mut rest = svg;
    while let Some((before, after)) = rest.split_once('<') {
        assert!(!before.contains('>') || open.last() == Some(&"style"), "{before}");
        for entity in before.split('&').skip(1) {
            assert!(["amp;", "lt;", "gt;", "quot;"].iter().any(|it| entity.starts_with(it)));
        }
        let (tag, later) = after.split_once('>').expect("a tag ends");
        assert!(tag.matches('"').count().is_multiple_of(2), "{tag}");
        let name = tag.split([' ', '/']).next().unwrap_or_default();
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed));
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        rest = later;
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn what_goes_between_packs_is_told_from_what_stays() {
    let call = "alltoall -n 8 --packs 2 --bytes 20kB";
    let packed = json(call);
    assert_eq!(
        (&packed["algorithm"], &packed["processes"]),
        (&"alltoall/packed".into(), &2.into())
    );
    let remote = |call: &Value| call["traffic"]["remote"].clone();
    // Sixteen values each way.
    assert_eq!(remote(&packed), serde_json::json!({ "messages": 2, "bytes": 2 * 16 * 2500 }));
    let flat = json(&format!("{call} --algorithm pairwise"));
    assert_eq!(remote(&flat), serde_json::json!({ "messages": 32, "bytes": 2 * 16 * 2500 }));
    assert_eq!(flat["traffic"]["process"]["messages"], 24);
    let machine = json(&format!("{call} --machines 1"));
    assert_eq!(remote(&machine)["messages"], 0);
    assert_eq!(machine["traffic"]["machine"]["messages"], 2);
    let words = text(call);
    assert!(words.contains("8 ranks in 2 processes: alltoall/packed"), "{words}");
    assert!(words.contains("inside processes (") && words.contains(", 2 remote ("), "{words}");
    let picture = svg(call);
    assert_well_formed(&picture);
    assert!(picture.contains("2 remote ("));
    for wrong in
        ["bcast -n 2 --packs 3", "bcast -n 4 --packs 2 --machines 3", "bcast --algorithm packed"]
    {
        assert_eq!(explain(wrong).code, Some(2), "{wrong}");
    }
}

#[test]
fn a_small_plan_in_words() {
    let expected = "\
reduce of 1.0 KiB on 3 ranks, root 1: reduce/contiguous_tree
  why     rule 97: any ranks, any bytes, associative operations
          not rule 11, shared: it needs ranks that share memory or a store
          not rule 12, shared_tree: it needs ranks that share memory or a store
          not rule 25, shared: it needs ranks that share memory or a store
          not rule 31, contiguous_tree: the rule is for ranks that reach each other in another way
          not rule 40, shared: it needs ranks that share memory or a store
          not rule 41, shared_tree: it needs ranks that share memory or a store
          not rule 42, shared: it needs ranks that share memory or a store
          not rule 57, packed: it needs several ranks in one of several processes that links join
          not rule 73, linear: the rule is for ranks that reach each other in another way
  costs   2 rounds, 2 messages, the busiest rank sends 1.0 KiB
  blocks  1 of 1.0 KiB on each rank

round 1
  0 → 1  block 0          1.0 KiB  combine: received · here

round 2
  2 → 1  block 0          1.0 KiB  combine: here · received (sent in round 1)

  rank    sends       bytes   receives       bytes
     0        1     1.0 KiB          0         0 B
     1        0         0 B          2     2.0 KiB
     2        1     1.0 KiB          0         0 B
";
    assert_eq!(text("reduce -n 3 --root 1 --op-kind associative"), expected);
    let chain = "\
scan of 8 B on 3 ranks: scan/chain
  why     it is asked for
  costs   2 rounds, 2 messages, the busiest rank sends 8 B
  blocks  1 of 8 B on each rank

round 1
  0 → 1  block 0              8 B  combine: received · here

round 2
  1 → 2  block 0              8 B  combine: received · here

  rank    sends       bytes   receives       bytes
     0        1         8 B          0         0 B
     1        1         8 B          1         8 B
     2        0         0 B          1         8 B
";
    assert_eq!(text("scan -n 3 --bytes 8 --algorithm chain"), chain);
}

#[test]
fn what_is_chosen_depends_on_the_call() {
    for (options, algorithm) in [
        ("allreduce -n 4 --bytes 4MiB", "allreduce/ring"),
        ("allreduce -n 4 --bytes 4MiB --opaque", "allreduce/recursive_doubling"),
        ("allreduce -n 4 --bytes 4MiB --op-kind ordered", "allreduce/reduce_bcast"),
        ("allreduce -n 4 --bytes 4MiB --together", "allreduce/shared"),
        ("bcast -n 4 --bytes 4MiB", "bcast/chain"),
        ("bcast -n 4 --bytes 4MiB --together", "bcast/shared"),
        ("reduce -n 5 --root 4 --op-kind ordered", "reduce/chain"),
        ("alltoall -n 5 --algorithm bruck", "alltoall/bruck"),
        ("alltoall -n 5 --algorithm alltoall/bruck", "alltoall/bruck"),
        ("barrier -n 1", "barrier/dissemination"),
    ] {
        assert_eq!(json(options)["algorithm"], algorithm, "{options}");
    }
}

#[test]
fn json_has_the_whole_plan() {
    let found = json("allreduce -n 4 --bytes 4MiB");
    assert_eq!((&found["rounds"], &found["messages"]), (&6.into(), &24.into()));
    assert_eq!(found["busiest_bytes"], 6 << 20);
    assert_eq!(found["why"]["by"], "rule");
    assert_eq!(found["plan"].as_array().unwrap().len(), 24);
    let first = &found["plan"][0];
    assert_eq!((&first["round"], &first["from"], &first["to"]), (&1.into(), &0.into(), &1.into()));
    assert_eq!((&first["kind"], &first["received"]), (&"combine".into(), &"left".into()));
    assert_eq!(first["bytes"], 1 << 20);
    assert_eq!(found["totals"][3]["bytes_sent"], 6 << 20);
    assert!(json("")[0]["algorithm"].is_string());
    assert!(json("--list -n 1000").as_array().unwrap().len() > 30);
}

#[test]
fn every_algorithm_is_told_and_drawn() {
    for row in json("--list").as_array().unwrap() {
        let name = row["algorithm"].as_str().unwrap();
        let op = name.split('/').next().unwrap();
        // Plans among packs are for several of them.
        let packed = name.contains("packed");
        for n in if packed { [3, 4, 5] } else { [1, 2, 5] } {
            let place = if packed { "--packs 2" } else { "--together" };
            let options = format!("{op} -n {n} --algorithm {name} {place} --bytes 100");
            assert_eq!(json(&options)["algorithm"], name);
            assert_well_formed(&svg(&options));
        }
    }
}

#[test]
fn large_plans_are_cut_short() {
    let found = text("alltoall -n 100");
    assert!(found.contains("  … 36 more\n") && found.contains("more: --json has all"), "{found}");
    assert!(found.lines().count() < 300);
    assert!(found.contains("\n  most "), "{found}");
    let found = text("allreduce -n 100000 --bytes 4MiB");
    assert!(found.contains("199,998 rounds") && found.contains("too long to be shown"), "{found}");
}

#[test]
fn pictures() {
    let picture = svg("allreduce -n 4 --bytes 4MiB");
    assert_well_formed(&picture);
    assert_eq!(picture.matches("<title>").count(), 25);
    assert!(picture.contains("prefers-color-scheme:dark"));
    assert_well_formed(&svg("allgather -n 64 --bytes 1MiB"));
    let ran = explain("bcast -n 65 --svg /tmp/never.svg");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("up to 64 ranks, not 65"), "{ran:?}");
    let ran = explain("bcast --svg /no/such/place.svg");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("/no/such/place.svg: No such file"), "{ran:?}");
}

#[test]
fn the_pictures_in_the_docs_are_those_that_are_drawn() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pictures");
    for (file, options) in [
        ("allreduce-ring.svg", "allreduce -n 4 --bytes 4MiB --algorithm ring"),
        ("bcast-binomial.svg", "bcast -n 8 --bytes 64KiB --algorithm binomial"),
    ] {
        let kept = fs::read_to_string(docs.join(file)).unwrap();
        assert!(kept == svg(options), "fmi explain {options} --svg docs/pictures/{file}");
    }
}

#[test]
fn the_table_in_the_docs_is_that_of_the_library() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/collectives.md");
    let page = fs::read_to_string(page).unwrap();
    for line in text("").lines().take_while(|line| !line.is_empty()) {
        assert!(page.contains(&format!("\n{}\n", line.trim_end())), "{line}");
    }
}

#[test]
fn the_jobs_own_table_counts() {
    let mut command = fmi(&["explain", "allreduce", "-n", "3", "--bytes", "4"]);
    command.env("FMI_ALGORITHMS", "allreduce/ring");
    let ran = finish(command, LIMIT);
    assert!(ran.stdout.contains(": allreduce/ring\n  why     rule 1: any ranks"), "{ran:?}");
    let directory = tempfile::tempdir().unwrap();
    let text = "[algorithms]\nscan = { algorithm = \"chain\", max_ranks = 4 }\n";
    fs::write(directory.path().join("fmi.toml"), text).unwrap();
    let mut command = fmi(&["explain"]);
    command.current_dir(directory.path());
    let ran = finish(command, LIMIT);
    assert!(ran.stdout.starts_with("  1  scan/chain  ") && ran.stdout.contains("ranks < 5"));
}

#[test]
fn a_profile_has_all_plans_weighed() {
    let options = "allreduce -n 8 --bytes 4MiB --profile aws-lambda";
    let found = text(options);
    assert!(found.contains("\n  why     rabenseifner: "), "{found}");
    assert!(found.contains(" % less than recursive_doubling; "), "{found}");
    assert!(found.contains("\n        → rabenseifner ") && found.contains("\n          ring "));
    assert!(found.contains("          not shared: it needs ranks that share memory"), "{found}");
    let found = json(options);
    assert_eq!(found["why"]["by"], "model");
    let candidates = found["model"]["candidates"].as_array().unwrap();
    assert_eq!(candidates[0]["algorithm"], "rabenseifner");
    assert!(candidates.len() > 3 && candidates[0]["median_us"].is_f64());
    assert!(json("allreduce -n 8 --bytes 4MiB")["model"].is_null());
    // What is asked for, or preferred, runs; the model says what it thinks of it.
    let asked = text(&format!("{options} --algorithm ring"));
    assert!(asked.contains("it is asked for\n  model   ring: "), "{asked}");
    assert!(asked.contains(" % more than rabenseifner\n"), "{asked}");
    let arguments: Vec<_> = ["explain"].into_iter().chain(options.split(' ')).collect();
    let mut command = fmi(&arguments);
    command.env("FMI_ALGORITHMS", "allreduce/ring");
    let ran = finish(command, LIMIT);
    assert!(ran.stdout.contains("allreduce/ring\n  why     rule 1: "), "{ran:?}");
    // Through a store, beside links, in one process.
    for (options, algorithm) in [
        ("barrier -n 100 --profile aws-lambda --store alone", "barrier/shared"),
        ("bcast -n 256 --bytes 32MiB --profile aws-lambda --channel tcp+s3", "bcast/stored"),
        ("bcast -n 8 --profile loopback --together", "bcast/shared"),
    ] {
        assert_eq!(json(options)["algorithm"], algorithm, "{options}");
    }
}

#[test]
fn names_that_are_wrong_are_told() {
    for (options, text) in [
        ("alreduce", "allreduce"),
        ("allreduce --algorithm rign", "did you mean \"ring\"?"),
        ("allreduce --algorithm bcast/chian", "did you mean \"chain\"?"),
        ("allreduce --algorithm bcast/chain", "it is for another collective"),
        ("allreduce --algorithm shared", "add --together"),
        ("allreduce --algorithm ring --opaque", "leave --opaque out"),
        ("allreduce --algorithm ring --op-kind ordered", "it suits --op-kind commutative"),
        ("bcast -n 4 --root 4", "is not one of the 4 ranks: give 0 to 3"),
        ("allreduce --root 1", "allreduce has no root"),
        ("--algorithm ring", "required"),
        ("bcast --profile mars", "known are aws-lambda, lan, loopback"),
        ("bcast --profile lan --channel tpc", "no such channel"),
        ("bcast --objective cheap", "--profile"),
        ("--profile lan", "required"),
    ] {
        let ran = explain(options);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains(text), "{ran:?}");
    }
}
