//! `fmi run`.

use crate::support::{Ran, Running, finish, fmi, fmi_run, is_gone};
use serde_json::Value;
use std::{collections::BTreeSet, net::TcpListener, time::Duration};

/// Far more than anything here takes, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// The ranks that said hello, and how many processes they were in.
fn hellos(ran: &Ran) -> (Vec<String>, usize) {
    let mut ranks = Vec::new();
    let mut processes = BTreeSet::new();
    for line in ran.stdout.lines() {
        let Some((hello, place)) = line.split_once(" in process ") else { continue };
        ranks.push(hello.to_owned());
        processes.insert(place.split(' ').next().expect("a number").to_owned());
    }
    ranks.sort();
    (ranks, processes.len())
}

fn all(size: usize) -> Vec<String> {
    (0..size).map(|rank| format!("rank {rank} of {size} met {size}")).collect()
}

#[test]
fn four_processes_meet() {
    for options in [&["-n", "4"][..], &["-n", "4", "--channel", "tcp"]] {
        let ran = finish(fmi_run(options, "hello"), LIMIT);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(hellos(&ran), (all(4), 4), "{ran:?}");
    }
}

/// Both sides dial at once, and leave as soon as they have met: what is on its way then must count.
#[test]
fn jobs_that_end_as_soon_as_they_began() {
    for round in 0..30 {
        let ran = finish(fmi_run(&["-n", "4", "--channel", "tcp"], "hello"), LIMIT);
        assert_eq!(ran.code, Some(0), "round {round}: {ran:?}");
    }
}

#[test]
fn packs_host_ranges_of_ranks() {
    for (packs, channel, processes) in [("2", "tcp", 2), ("1", "tcp", 1), ("1", "local", 1)] {
        let options = ["-n", "5", "--packs", packs, "--channel", channel];
        let ran = finish(fmi_run(&options, "hello"), LIMIT);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(hellos(&ran), (all(5), processes), "{ran:?}");
    }
}

#[test]
fn local_is_one_process() {
    let mut command = fmi_run(&["-n", "3", "--channel", "local"], "hello");
    // What is left of another job changes nothing.
    command.env("FMI_RENDEZVOUS", "tcp://127.0.0.1:1").env("FMI_RANK", "7");
    let ran = finish(command, LIMIT);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(hellos(&ran), (all(3), 1), "{ran:?}");
}

#[test]
fn json_is_the_last_line() {
    let ran = finish(fmi_run(&["-n", "3", "--packs", "2", "--json"], "hello"), LIMIT);
    let line: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(line["ranks"], 3);
    assert_eq!(line["processes"], 2);
    assert_eq!(line["exit_code"], 0);
    assert!(line["seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(line.as_object().unwrap().len(), 5, "and start: {line}");
}

#[test]
fn a_job_has_the_name_it_is_given() {
    let mut command = fmi_run(&["-n", "2"], "hello");
    command.env("FMI_JOB", "scoring-42");
    let ran = finish(command, LIMIT);
    assert_eq!(ran.stdout.matches("of scoring-42").count(), 2, "{ran:?}");
}

#[test]
fn a_panic_ends_all_and_is_shown() {
    let ran = finish(fmi_run(&["-n", "4"], "panic"), LIMIT);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("rank one gives up"), "{ran:?}");
    assert!(ran.took < Duration::from_secs(10), "{ran:?}");
}

#[test]
fn the_first_exit_code_is_that_of_the_job() {
    let ran = finish(fmi_run(&["-n", "4", "--json"], "exit"), LIMIT);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("fmi run: rank 1 ended with exit code 3"), "{ran:?}");
    // The others heard of it and ended by themselves.
    assert!(ran.stderr.contains("rank 1 is lost"), "{ran:?}");
    assert!(ran.stdout.contains("\"exit_code\":3"), "{ran:?}");
}

#[test]
fn a_signal_is_named() {
    let ran = finish(fmi_run(&["-n", "2"], "killed"), LIMIT);
    assert_eq!(ran.code, Some(128 + libc::SIGABRT), "{ran:?}");
    assert!(ran.stderr.contains("rank 1 was killed by signal 6 (SIGABRT)"), "{ran:?}");
}

#[test]
fn ranks_that_do_not_listen_are_killed_after_two_seconds() {
    let ran = finish(fmi_run(&["-n", "3"], "exit, others compute"), LIMIT);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.took > Duration::from_secs(2), "{ran:?}");
}

#[test]
fn any_program_will_do() {
    let ran =
        finish(fmi(&["run", "-n", "3", "sh", "-c", "echo rank $FMI_RANK of $FMI_SIZE"]), LIMIT);
    let mut lines: Vec<_> = ran.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["rank 0 of 3", "rank 1 of 3", "rank 2 of 3"], "{ran:?}");
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn the_token_is_new_each_time() {
    let token = || finish(fmi(&["run", "-n", "2", "sh", "-c", "echo $FMI_TOKEN"]), LIMIT).stdout;
    let (one, other) = (token(), token());
    let (first, second) = one.trim().split_once('\n').unwrap();
    assert_eq!(first, second);
    assert_eq!(first.len(), 64);
    assert!(!other.contains(first));
}

#[test]
fn an_unknown_program_is_a_clear_error() {
    let ran = finish(fmi(&["run", "-n", "4", "--", "no-such-program"]), LIMIT);
    assert_eq!(ran.code, Some(127), "{ran:?}");
    assert!(ran.stderr.starts_with("fmi run: cannot start \"no-such-program\": "), "{ran:?}");
    assert!(ran.stderr.contains("it is not in PATH"), "{ran:?}");
    let ran = finish(fmi(&["run", "-n", "4", "--", "./no-such-program"]), LIMIT);
    assert!(ran.stderr.contains("check the path, or build it first"), "{ran:?}");
    let ran = finish(fmi(&["run", "-n", "1", "--", "/"]), LIMIT);
    assert_eq!(ran.code, Some(126), "{ran:?}");
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_starts() {
    for (options, text) in [
        (&["-n", "0"][..], "0 is not in 1..="),
        (&["-n", "2", "--packs", "3"], "--packs 3 are more than the 2 ranks"),
        (&["-n", "2", "--packs", "2", "--channel", "local"], "--channel local is one process"),
        (&["-n", "2", "--channel", "tpc"], "did you mean \"tcp\"?"),
    ] {
        let ran = finish(fmi_run(options, "hello"), LIMIT);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains(text), "{ran:?}");
        assert!(!ran.stdout.contains("rank"), "{ran:?}");
    }
}

#[test]
fn a_port_in_use_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = finish(fmi_run(&["-n", "2", "--listen", &address], "hello"), LIMIT);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains(&format!("cannot listen on {address}")), "{ran:?}");
}

#[test]
fn signals_end_all_processes() {
    for (signal, code) in [(libc::SIGINT, 130), (libc::SIGTERM, 143)] {
        let mut job = Running::start(fmi_run(&["-n", "3"], "wait"));
        let processes: Vec<_> = (0..3).map(|_| job.line("waiting ")).collect();
        job.signal(signal);
        let (ended, took) = job.end(LIMIT);
        assert_eq!(ended, Some(code));
        // A second, and room for a busy machine.
        assert!(took < Duration::from_secs(4), "{took:?}");
        assert!(processes.iter().all(|id| is_gone(id, Duration::ZERO)), "{processes:?}");
    }
}

#[test]
fn a_program_that_ignores_signals_is_killed() {
    let script = "trap '' INT TERM; echo waiting $$; while :; do sleep 0.1; done";
    let mut job = Running::start(fmi(&["run", "-n", "2", "sh", "-c", script]));
    let processes: Vec<_> = (0..2).map(|_| job.line("waiting ")).collect();
    job.signal(libc::SIGINT);
    let (ended, took) = job.end(LIMIT);
    assert_eq!(ended, Some(130));
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert!(processes.iter().all(|id| is_gone(id, Duration::ZERO)), "{processes:?}");
}

#[test]
fn processes_die_with_the_launcher() {
    let mut job = Running::start(fmi_run(&["-n", "2"], "wait"));
    let processes: Vec<_> = (0..2).map(|_| job.line("waiting ")).collect();
    job.signal(libc::SIGKILL);
    assert_eq!(job.end(LIMIT).0, None);
    assert!(processes.iter().all(|id| is_gone(id, LIMIT)), "{processes:?}");
}
