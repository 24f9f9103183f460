//! Which rung two processes reach, for each pair of ways to be connected: a test for each, named
//! `CHANNEL::KIND_OF_RANK_0::KIND_OF_RANK_1`. Rank 0 speaks first.

mod common;

use common::{PEER, World, leave, linked};
use nat_tests::{
    job::Job,
    lab::{Family, Kind, Lab},
};

/// A row of tests: one kind at rank 0, and the rung that is reached with each at rank 1.
macro_rules! row {
    ($channels:literal $one:ident: $($other:ident $rung:literal)*) => {
        mod $one {
            $(#[test] fn $other() {
                $crate::reaches($channels, stringify!($one), stringify!($other), $rung);
            })*
        }
    };
}

mod tcp {
    row!("tcp" none: none "direct");
}

/// Two processes behind boxes of these kinds get a link on this rung, and messages pass.
fn reaches(channels: &str, one: &str, other: &str, rung: &str) {
    let kind = |name: &str| Kind::ALL.into_iter().find(|kind| kind.name() == name).unwrap();
    check(Lab::pair(kind(one), kind(other)), &Job::pair(PEER, channels), rung);
}

fn check(lab: nat_tests::lab::Builder, job: &Job, rung: &str) {
    let Some(world) = World::new(lab) else { return };
    let processes = world.start(job, &["link", "--rung", rung]);
    for process in &processes {
        let linked = process.until(linked);
        let last = linked.last().map(|link| link.rung.as_str());
        assert_eq!(last, Some(rung), "{linked:#?}\n{}", process.log());
    }
    leave(processes);
}

#[test]
fn ipv6_none() {
    check(Lab::pair(Kind::None, Kind::None).family(Family::V6), &Job::pair(PEER, "tcp"), "direct");
}
