//! The program as users run it: `terasort gen`, `fmi run … terasort sort`, `terasort validate`.

use app_report::testing::{Ran, alone, run};
use std::{fs, path::Path};

const TERASORT: &str = env!("CARGO_BIN_EXE_terasort");
const RECORD: usize = 100;

/// A folder with an input of so many records.
struct Place {
    folder: tempfile::TempDir,
    checksum: String,
}

impl Place {
    fn new(records: &str, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("in");
        let arguments = [&["gen", records, input.to_str().unwrap(), "--checksum"], more].concat();
        let ran = alone(TERASORT, &arguments);
        assert!(ran.ok, "{ran:?}");
        Self { folder, checksum: ran.stdout.trim().to_owned() }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn sort(&self, options: &[&str], more: &[&str]) -> Ran {
        let (input, output) = (self.path("in"), self.path("out"));
        let arguments = [&["sort", &input, &output, "--check", "--json"], more].concat();
        run(options, TERASORT, &arguments)
    }

    /// What valsort would say of the output.
    fn validate(&self, records: usize) -> Ran {
        let (output, records) = (self.path("out"), records.to_string());
        alone(TERASORT, &["validate", &output, "--records", &records, "--checksum", &self.checksum])
    }

    /// The files here.
    fn files(&self) -> Vec<String> {
        let entries = self.folder.path().read_dir().unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn any_ranks_packs_and_sizes() {
    for (records, options) in [
        (10_000, &["-n", "4", "--packs", "2"][..]),
        (10_007, &["-n", "5", "--packs", "2"]),
        (3, &["-n", "7", "--packs", "3"]),
        (0, &["-n", "2"]),
        (1_000, &["-n", "1"]),
        (5_001, &["-n", "3", "--channel", "local"]),
    ] {
        let place = Place::new(&records.to_string(), &["--first", "77"]);
        let json = place.sort(options, &[]).json();
        assert_eq!(json["facts"]["records"], records, "{options:?}");
        assert_eq!(json["facts"]["check"], "in order, same records and checksum: ok");
        let valid = place.validate(records);
        assert!(valid.ok && valid.stdout.contains("SUCCESS"), "{options:?}: {valid:?}");
        assert_eq!(place.files(), ["in", "out"]);
    }
}

#[test]
fn ranks_write_what_one_process_writes() {
    let place = Place::new("20000", &["--ascii"]);
    let alone = alone(TERASORT, &["serial", &place.path("in"), &place.path("serial"), "--json"]);
    assert_eq!(alone.json()["facts"]["records"], 20_000);
    assert!(place.sort(&["-n", "4", "--packs", "2"], &[]).ok);
    assert!(fs::read(place.path("serial")).unwrap() == fs::read(place.path("out")).unwrap());
}

#[test]
fn what_does_not_fit_is_spilled_and_nothing_is_left() {
    let place = Place::new("600000", &[]);
    let spill = tempfile::tempdir().unwrap();
    let more = ["--memory", "128MiB", "--spill", spill.path().to_str().unwrap()];
    let json = place.sort(&["-n", "4", "--packs", "2"], &more).json();
    assert!(json["facts"]["bytes spilled"].as_u64().unwrap() > 30_000_000, "{json}");
    assert!(json["peak_memory_bytes"].as_u64().unwrap() < 128 << 20, "{json}");
    assert!(place.validate(600_000).ok);
    assert_eq!(spill.path().read_dir().unwrap().count(), 0);
}

#[test]
fn all_keys_the_same() {
    let place = Place::new("100000", &[]);
    let mut records = fs::read(place.path("in")).unwrap();
    records.chunks_mut(RECORD).for_each(|record| record[..10].fill(b'k'));
    fs::write(place.path("in"), records).unwrap();
    // One rank gets everything, and its process has no more memory than the other.
    let json = place.sort(&["-n", "4", "--packs", "2"], &["--memory", "128MiB"]).json();
    assert_eq!(json["facts"]["largest share / mean"], 4.0);
    assert!(json["facts"]["bytes spilled"].as_u64().unwrap() > 0, "{json}");
    let valid = alone(TERASORT, &["validate", &place.path("out")]);
    assert!(valid.stdout.contains("Duplicate keys: 99999"), "{valid:?}");
}

#[test]
fn a_process_sends_no_faster_than_it_may() {
    let place = Place::new("20000", &[]);
    let json = place.sort(&["-n", "4", "--packs", "2"], &["--throttle", "1MB/s"]).json();
    // Half of 2 MB leaves two processes.
    let shuffle = &json["phases"][1];
    assert_eq!(shuffle["name"], "read and shuffle");
    assert!(shuffle["outside"]["bytes"].as_u64().unwrap() > 950_000, "{json}");
    assert!(shuffle["slowest_seconds"].as_f64().unwrap() > 0.45, "{json}");
}

#[test]
fn a_changed_output_is_noticed() {
    let place = Place::new("1000", &[]);
    assert!(place.sort(&["-n", "2"], &["--svg", &place.path("report.svg")]).ok);
    assert!(fs::read_to_string(place.path("report.svg")).unwrap().contains("read and shuffle"));
    let good = fs::read(place.path("out")).unwrap();
    let said = |bad: &[u8]| {
        fs::write(place.path("out"), bad).unwrap();
        let ran = place.validate(1000);
        assert!(!ran.ok && !ran.stdout.contains("SUCCESS"), "{ran:?}");
        ran.stderr
    };
    let mut swapped = good.clone();
    swapped[..2 * RECORD].rotate_left(RECORD);
    assert!(said(&swapped).contains("there are 1 unordered records, the first is record 1"));
    let mut flipped = good.clone();
    flipped[50 * RECORD + 60] ^= 1;
    assert!(said(&flipped).contains("the checksum is"));
    assert!(said(&good[..999 * RECORD]).contains("there are 999 records"));
    assert!(said(&good[..good.len() - 1]).contains("no whole number of 100-byte records"));
    let mut doubled = good.clone();
    doubled.copy_within(0..RECORD, RECORD);
    assert!(said(&doubled).contains("the checksum is"));
}

#[test]
fn mistakes_are_told_once_and_leave_nothing() {
    let place = Place::new("1000", &[]);
    let options = ["-n", "4", "--packs", "2"];
    let once = |ran: Ran, text: &str| {
        assert!(!ran.ok, "{ran:?}");
        assert_eq!(ran.stderr.matches(text).count(), 1, "{text}: {ran:?}");
    };
    let sort = |input: &str, output: &str, more: &[&str]| {
        let (input, output) = (place.path(input), place.path(output));
        run(&options, TERASORT, &[&["sort", &input, &output], more].concat())
    };
    once(sort("none", "out", &[]), "cannot read");
    once(sort("in", "no/out", &[]), "cannot write");
    once(sort("in", "out", &["--memory", "1MiB"]), "--memory is too small for these ranks");
    once(sort("in", "out", &["--memory", "much"]), "is no length");
    once(sort("in", ".", &[]), "is no file");
    fs::write(place.path("torn"), [0; 150]).unwrap();
    once(sort("torn", "out", &[]), "150 bytes are no whole number of 100-byte records");
    assert_eq!(place.files(), ["in", "torn"]);
    let huge = alone(TERASORT, &["gen", "18446744073709551615", &place.path("out")]);
    assert!(huge.stderr.contains("cannot be numbered"), "{huge:?}");
    assert!(!Path::new(&place.path("out")).exists());
}
