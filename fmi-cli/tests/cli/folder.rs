//! Jobs that meet in a folder, without a server.

use crate::support::{Running, finish, fmi, fmi_run};
use std::{process::Command, time::Duration};

const LIMIT: Duration = Duration::from_secs(30);

/// `fmi run` over a folder.
fn run(folder: &tempfile::TempDir, options: &[&str], mode: &str) -> Command {
    let url = format!("file://{}", folder.path().display());
    fmi_run(&[&["--rendezvous", &url], options].concat(), mode)
}

/// Files that are left.
fn left(folder: &tempfile::TempDir) -> usize {
    let inside = |path| std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    inside(folder.path().to_owned()).flat_map(inside).flat_map(inside).count()
}

#[test]
fn processes_meet_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let ran = finish(run(&folder, &["-n", "5", "--packs", "3"], "hello"), LIMIT);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(ran.stdout.matches("of 5 met 5").count(), 5, "{ran:?}");
        assert_eq!(left(&folder), 0);
    }
}

#[test]
fn two_jobs_in_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = Running::start(run(&folder, &["-n", "2"], "hello"));
    let ran = finish(run(&folder, &["-n", "3"], "hello"), LIMIT);
    assert_eq!(ran.stdout.matches("of 3 met 3").count(), 3, "{ran:?}");
    assert!(other.line("rank ").contains("of 2 met 2"));
    assert_eq!(other.end(LIMIT).0, Some(0));
}

#[test]
fn a_crash_is_noticed_by_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let ran = finish(run(&folder, &["-n", "3"], "killed"), LIMIT);
    assert_eq!(ran.code, Some(128 + libc::SIGABRT), "{ran:?}");
    let ran = finish(run(&folder, &["-n", "3"], "panic"), LIMIT);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("rank one gives up"), "{ran:?}");
}

#[test]
fn a_server_wants_a_token_and_a_folder_must_be_there() {
    let ran = finish(fmi(&["run", "-n", "2", "--rendezvous", "tcp://127.0.0.1:1", "true"]), LIMIT);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("set FMI_TOKEN"), "{ran:?}");
    let folder = tempfile::tempdir().unwrap();
    let mut command = run(&folder, &["-n", "2"], "hello");
    folder.close().unwrap();
    command.env("FMI_LOG", "off");
    let ran = finish(command, LIMIT);
    assert_ne!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("there is no such folder"), "{ran:?}");
}
