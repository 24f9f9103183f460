//! The program as users run it.

use app_report::testing::{alone, run};
use std::fs;

const PAGERANK: &str = env!("CARGO_BIN_EXE_pagerank");
const PACKAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/packages.edges");

#[test]
fn every_layout_finds_what_a_serial_run_finds() {
    let mut tops = Vec::new();
    for options in [
        &["-n", "1"][..],
        &["-n", "5", "--packs", "2"],
        &["-n", "4"],
        &["-n", "16", "--packs", "2"],
    ] {
        for exchange in ["slices", "whole"] {
            let arguments = ["rank", PACKAGES, "--check", "--exchange", exchange, "--json"];
            let json = run(options, PAGERANK, &arguments).json();
            assert_eq!(json["facts"]["check"], "equal to a serial run: ok", "{options:?}");
            tops.push(json["facts"]["top"].as_str().unwrap().to_owned());
        }
    }
    assert!(tops[0].starts_with("libc6 "), "{tops:?}");
    assert!(tops.iter().all(|top| *top == tops[0]), "{tops:?}");
}

#[test]
fn fewer_packs_send_less() {
    let outside = |packs: &str| {
        let options = ["-n", "8", "--packs", packs];
        let arguments = ["rank", PACKAGES, "--iterations", "10", "--tolerance", "0", "--json"];
        let json = run(&options, PAGERANK, &arguments).json();
        assert_eq!(
            (&json["phases"][1]["name"], &json["facts"]["iterations"]),
            (&"iterate".into(), &10.into())
        );
        json["phases"][1]["outside"]["bytes"].as_u64().unwrap()
    };
    let [eight, two, one] = ["8", "2", "1"].map(outside);
    assert_eq!(one, 0);
    assert!(two * 3 < eight, "{two} {eight}");
}

#[test]
fn more_ranks_than_vertices_and_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("g"), "a b\nb a\nc a\n").unwrap();
    let svg = path("report.svg");
    let ran = run(
        &["-n", "6", "--packs", "3"],
        PAGERANK,
        &["rank", &path("g"), "--check", "--svg", &svg],
    );
    assert!(ran.ok && ran.stdout.contains("  a\n"), "{ran:?}");
    assert!(fs::read_to_string(svg).unwrap().contains("iterate"));
}

#[test]
fn a_graph_of_packages_from_their_descriptions() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("status");
    fs::write(&file, "Package: a\nDepends: b (>= 1) | c\n\nPackage: b\nProvides: d\n").unwrap();
    let ran = alone(PAGERANK, &["debian", "--from", file.to_str().unwrap()]);
    assert_eq!(ran.stdout, "a b\na c\nd b\n", "{ran:?}");
}

#[test]
fn mistakes_are_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("odd"), "a b\nc\n").unwrap();
    for (file, text) in [("none", "cannot read"), ("odd", ":2: \"c\" is no edge")] {
        let ran = run(&["-n", "4", "--packs", "2"], PAGERANK, &["rank", &path(file)]);
        assert!(!ran.ok && ran.stderr.matches(text).count() == 1, "{ran:?}");
    }
}
