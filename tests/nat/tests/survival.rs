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

/// A cut that outlasts the deadline: each side names the other.
fn names_who_is_missing(kinds: (Kind, Kind), job: &Job, how: How) {
    let Some(world) = World::new(Lab::pair(kinds.0, kinds.1)) else { return };
    let processes = world.start(job, &["--silent", "2", "wait"]);
    for process in &processes {
        process.until(linked);
    }
    let _cut = world.lab.cut(0, 1, how);
    for (rank, process) in processes.iter().enumerate() {
        let (error, names) = process.until(failed);
        assert_eq!(names, Some(1 - rank), "rank {rank} says: {error}");
    }
}

#[test]
fn a_long_silence_is_an_error_that_names_the_peer() {
    let job = Job::pair(PEER, "tcp").with("FMI_LADDER", "direct,punched");
    names_who_is_missing((Kind::None, Kind::None), &job, How::Silently);
}

#[test]
fn a_long_refusal_is_an_error_that_names_the_peer() {
    let job = Job::pair(PEER, "tcp").with("FMI_LADDER", "direct,punched");
    names_who_is_missing((Kind::None, Kind::None), &job, How::Reset);
}
