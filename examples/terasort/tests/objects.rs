//! Input and output in a bucket, as users have it: `terasort gen s3://…`, `fmi run … terasort sort s3://… s3://…`.
#![cfg(feature = "s3")]

use app_report::testing::{Ran, finish, launch};
use hyper::Method;
use std::{fs, process::Command};
use test_servers::s3::{Fault, KEY, Own, SECRET};

const TERASORT: &str = env!("CARGO_BIN_EXE_terasort");
const PACKS: [&str; 4] = ["-n", "4", "--packs", "2"];

/// With the credentials of the tests' server, and none of the machine's.
fn with(command: &mut Command) -> Ran {
    command.env("AWS_ACCESS_KEY_ID", KEY).env("AWS_SECRET_ACCESS_KEY", SECRET);
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    for name in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL"] {
        command.env_remove(name);
    }
    let ran = finish(command);
    assert!(!format!("{ran:?}").contains(SECRET), "{ran:?}");
    ran
}

fn alone(arguments: &[&str]) -> Ran {
    with(Command::new(TERASORT).args(arguments))
}

/// Makes so many records there; their checksum.
fn generate(server: &Own, records: usize) -> String {
    let ran = alone(&["gen", &records.to_string(), &server.url("in"), "--checksum"]);
    assert!(ran.ok, "{ran:?}");
    ran.stdout.trim().to_owned()
}

fn sort(server: &Own, options: &[&str], more: &[&str]) -> Ran {
    let (input, output) = (server.url("in"), server.url("out/sorted"));
    let arguments = [&["sort", &input, &output, "--check", "--json"], more].concat();
    with(&mut launch(options, TERASORT, &arguments))
}

fn validate(server: &Own, records: usize, checksum: &str) {
    let (output, records) = (server.url("out/sorted"), records.to_string());
    let ran = alone(&["validate", &output, "--records", &records, "--checksum", checksum]);
    assert!(ran.ok && ran.stdout.contains("SUCCESS"), "{ran:?}");
}

#[test]
fn any_sizes_ranks_and_parts() {
    // 65,536 records are a part: none, one that all ranks have a piece of, three and a piece.
    for (records, options) in [
        (0, &["-n", "2"][..]),
        (3, &["-n", "7", "--packs", "3"]),
        (50_000, &PACKS),
        (65_536, &["-n", "1"]),
        (200_003, &PACKS),
    ] {
        let server = Own::start();
        let checksum = generate(&server, records);
        let json = sort(&server, options, &[]).json();
        assert_eq!(json["facts"]["records"], records, "{options:?}");
        assert_eq!(json["facts"]["check"], "in order, same records and checksum: ok");
        validate(&server, records, &checksum);
        let mut keys = server.keys("");
        keys.sort();
        assert_eq!(keys, ["in", "out/sorted"]);
        assert_eq!(server.uploads(), [""; 0]);
    }
}

#[test]
fn objects_and_files_are_the_same_records() {
    let server = Own::start();
    generate(&server, 100_000);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    assert!(alone(&["gen", "100000", &file("in")]).ok);
    assert!(fs::read(file("in")).unwrap() == fs::read(server.file("in")).unwrap());
    // From a file into the bucket by one process, from the bucket into a file by several.
    assert!(alone(&["serial", &file("in"), &server.url("alone")]).ok);
    let arguments = ["sort", &server.url("in"), &file("out")];
    assert!(with(&mut launch(&PACKS, TERASORT, &arguments)).ok);
    assert!(sort(&server, &PACKS, &[]).ok);
    let sorted = fs::read(file("out")).unwrap();
    assert!(sorted == fs::read(server.file("alone")).unwrap());
    assert!(sorted == fs::read(server.file("out/sorted")).unwrap());
    assert_eq!(server.uploads(), [""; 0]);
}

#[test]
fn memory_is_capped() {
    let server = Own::start();
    let checksum = generate(&server, 600_000);
    let spill = tempfile::tempdir().unwrap();
    let more = ["--memory", "192MiB", "--spill", spill.path().to_str().unwrap()];
    let json = sort(&server, &PACKS, &more).json();
    assert!(json["facts"]["bytes spilled"].as_u64().unwrap() > 30_000_000, "{json}");
    assert!(json["peak_memory_bytes"].as_u64().unwrap() < 192 << 20, "{json}");
    validate(&server, 600_000, &checksum);
    assert_eq!(spill.path().read_dir().unwrap().count(), 0);
}

#[test]
fn a_rank_that_cannot_write_leaves_nothing_and_what_was_there() {
    let server = Own::start();
    generate(&server, 200_000);
    fs::create_dir(server.file("out")).unwrap();
    fs::write(server.file("out/sorted"), "what was there").unwrap();
    // A part in the middle, the object of all parts, and its beginning.
    for (method, part, parts) in [
        (Method::PUT, "partNumber=3", 1),
        (Method::POST, "uploadId=", 4),
        (Method::POST, "uploads", 0),
    ] {
        server.faults.add(method, part, Fault::Denied, 1);
        let puts = server.faults.requests(&Method::PUT);
        let ran = sort(&server, &PACKS, &[]);
        assert!(!ran.ok, "{part}: {ran:?}");
        assert_eq!(ran.stderr.matches("access denied: allow s3:PutObject").count(), 1, "{ran:?}");
        assert!(server.faults.requests(&Method::PUT) - puts >= parts, "{part}: {ran:?}");
        assert_eq!(server.uploads(), [""; 0], "{part}");
        assert_eq!(fs::read_to_string(server.file("out/sorted")).unwrap(), "what was there");
    }
    assert!(sort(&server, &PACKS, &[]).ok);
    assert_eq!(fs::read(server.file("out/sorted")).unwrap().len(), 20_000_000);
}

#[test]
fn what_passes_is_tried_again() {
    let server = Own::start();
    let checksum = generate(&server, 200_000);
    server.faults.often(Method::PUT, "partNumber", Fault::Busy, 3);
    server.faults.often(Method::PUT, "partNumber", Fault::DoneButFailed, 4);
    server.faults.often(Method::GET, "in", Fault::Cut, 5);
    // Who asks again hears that there is no such upload.
    server.faults.add(Method::POST, "uploadId=", Fault::DoneButReset, 1);
    let ran = sort(&server, &PACKS, &[]);
    assert!(ran.ok, "{ran:?}");
    assert!(server.faults.hit() > 10);
    server.faults.clear();
    validate(&server, 200_000, &checksum);
    assert_eq!(server.uploads(), [""; 0]);
}

#[test]
fn mistakes_are_told_once() {
    let server = Own::start();
    generate(&server, 1_000);
    let once = |ran: &Ran, text: &str| {
        assert!(!ran.ok, "{ran:?}");
        assert_eq!(ran.stderr.matches(text).count(), 1, "{text}: {ran:?}");
    };
    let sort = |input: &str, output: &str, more: &[&str]| {
        let arguments = [&["sort", input, output], more].concat();
        with(&mut launch(&PACKS, TERASORT, &arguments))
    };
    let (input, output) = (server.url("in"), server.url("out"));
    once(&sort(&server.url("none"), &output, &[]), "there is no object s3://fmi-test/none");
    once(&sort("s3://fmi-test?endpoint=http://x", &output, &[]), "it names a bucket and no object");
    once(&sort(&input, "s3://b?regoin=x", &[]), "is no bucket's name");
    once(&sort(&input, &output, &["--memory", "130MiB"]), "--memory is too small");
    let torn = server.file("torn");
    fs::write(torn, [0; 150]).unwrap();
    once(&sort(&server.url("torn"), &output, &[]), "150 bytes are no whole number");
    assert_eq!(server.keys("").len(), 2);
    assert_eq!(server.uploads(), [""; 0]);
}
