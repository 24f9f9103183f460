//! Links that are cut while they carry something: nothing is lost, doubled or reordered, and if
//! they stay cut, both sides say who is missing.

mod common;

use std::{thread, time::Duration};

use common::{PEER, World, arrived, failed, leave, linked, transferred};
use nat_tests::{
    job::Job,
    lab::{How, Kind, Lab},
};

/// How long links are cut.
const CUT: Duration = Duration::from_secs(2);

/// Cuts the way while a task is at it, mends it, and waits until all has arrived.
fn survives(kinds: (Kind, Kind), job: &Job, how: How, task: &[&str]) {
    let Some(world) = World::new(Lab::pair(kinds.0, kinds.1)) else { return };
    let processes = world.start(job, task);
    processes[1].until(|report| arrived(report, 10));
    let cut = world.lab.cut(0, 1, how);
    thread::sleep(CUT);
    cut.mend();
    for process in &processes {
        let ms = process.until(transferred);
        // Else it was over before the cut, and this has tested nothing.
        assert!(ms >= CUT.as_secs_f64() * 1e3, "it took {ms} ms only");
    }
    leave(processes);
}

/// Large messages, and small ones by number, with each kind of cut.
macro_rules! survive {
    ($($name:ident: $channels:literal, $one:ident - $other:ident;)*) => {
        $(mod $name {
            use super::{How, Job, Kind, PEER, survives};

            const KINDS: (Kind, Kind) = (Kind::$one, Kind::$other);

            fn job() -> Job {
                // Not through the relay meanwhile: that is another test.
                Job::pair(PEER, $channels).with("FMI_LADDER", "direct,punched")
            }

            #[test]
            fn large_messages_through_silence() {
                survives(KINDS, &job(), How::Silently, &["stream", "--bytes", "200000000"]);
            }

            #[test]
            fn large_messages_through_resets() {
                survives(KINDS, &job(), How::Reset, &["stream", "--bytes", "200000000"]);
            }

            #[test]
            fn small_messages_through_silence() {
                survives(KINDS, &job(), How::Silently, &["messages", "--count", "100000"]);
            }

            #[test]
            fn small_messages_through_resets() {
                survives(KINDS, &job(), How::Reset, &["messages", "--count", "100000"]);
            }
        })*
    };
}

survive! {
    tcp_direct: "tcp", None - None;
    tcp_punched: "tcp", Restricted - Restricted;
}

#[cfg(feature = "quic")]
survive! {
    quic_direct: "quic", None - None;
    quic_punched: "quic", Restricted - Restricted;
}

/// Through the relay, whose own ways are cut.
#[test]
fn relayed_messages_through_silence() {
    let Some(world) = World::new(Lab::pair(Kind::Symmetric, Kind::Symmetric)) else { return };
    let processes = world.start(&Job::pair(PEER, "tcp"), &["messages", "--count", "100000"]);
    processes[1].until(|report| arrived(report, 10));
    let cut = world.lab.isolate(1, How::Silently);
    thread::sleep(CUT);
    cut.mend();
    for process in &processes {
        process.until(transferred);
    }
    leave(processes);
}

/// A way that stays cut, while another remains: the relay takes over what is under way.
fn falls_to_the_relay(channels: &str, how: How) {
    let Some(world) = World::new(Lab::pair(Kind::Restricted, Kind::Restricted)) else { return };
    let job = Job::pair(PEER, channels);
    let processes = world.start(&job, &["--silent", "3", "messages", "--count", "100000"]);
    processes[1].until(|report| arrived(report, 10));
    let _cut = world.lab.cut(0, 1, how);
    for process in &processes {
        process.until(transferred);
    }
    leave(processes);
}

#[test]
fn tcp_falls_to_the_relay_through_silence() {
    falls_to_the_relay("tcp", How::Silently);
}

#[test]
fn tcp_falls_to_the_relay_through_resets() {
    falls_to_the_relay("tcp", How::Reset);
}

#[cfg(feature = "quic")]
#[test]
fn quic_falls_to_the_relay_through_silence() {
    falls_to_the_relay("quic", How::Silently);
}

/// A cut that outlasts the deadline: each side names the other.
fn names_who_is_missing(kinds: (Kind, Kind), channels: &str, how: How) {
    let Some(world) = World::new(Lab::pair(kinds.0, kinds.1)) else { return };
    let job = Job::pair(PEER, channels).with("FMI_LADDER", "direct,punched");
    let processes = world.start(&job, &["--silent", "2", "wait"]);
    for process in &processes {
        process.until(linked);
    }
    let _cut = world.lab.cut(0, 1, how);
    for (rank, process) in processes.iter().enumerate() {
        let (error, names) = process.until(failed);
        assert_eq!(names, Some(1 - rank), "rank {rank} says: {error}");
    }
}

macro_rules! name {
    ($($name:ident: $channels:literal, $one:ident - $other:ident, $how:ident;)*) => {
        $(#[test]
        fn $name() {
            names_who_is_missing((Kind::$one, Kind::$other), $channels, How::$how);
        })*
    };
}

name! {
    tcp_silence_for_good_is_an_error_that_names_the_peer: "tcp", None - None, Silently;
    tcp_resets_for_good_are_an_error_that_names_the_peer: "tcp", None - None, Reset;
    tcp_punched_silence_for_good_is_an_error_that_names_the_peer:
        "tcp", Restricted - Restricted, Silently;
    tcp_punched_resets_for_good_are_an_error_that_names_the_peer:
        "tcp", Restricted - Restricted, Reset;
}

#[cfg(feature = "quic")]
name! {
    quic_silence_for_good_is_an_error_that_names_the_peer: "quic", None - None, Silently;
    quic_punched_silence_for_good_is_an_error_that_names_the_peer:
        "quic", Restricted - Restricted, Silently;
}
