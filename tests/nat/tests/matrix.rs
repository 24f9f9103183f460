//! Which rung two processes reach, for each pair of ways to be connected: a test for each, named
//! `CHANNEL::KIND_OF_RANK_0::KIND_OF_RANK_1`. Rank 0 speaks first.

mod common;

use common::{PEER, World, leave, linked};
use nat_tests::{
    job::Job,
    lab::{Family, Kind, Lab},
};

/// The tests of a table: the rung that is reached from the kind of the row to that of the column.
macro_rules! table {
    ($channels:literal: $($one:ident [$($rung:literal)*])*) => {
        $(mod $one { $crate::row!($channels $one $($rung)*); })*
    };
}

/// The tests of a row.
macro_rules! row {
    ($channels:literal $one:ident $none:literal $full:literal $restricted:literal $symmetric:literal
     $no_udp:literal $no_inbound:literal) => {
        $crate::row! { $channels, $one: none $none, full_cone $full, restricted $restricted,
            symmetric $symmetric, no_udp $no_udp, no_inbound $no_inbound }
    };
    ($channels:literal, $one:ident: $($other:ident $rung:literal),*) => {
        $(#[test]
        fn $other() {
            $crate::reaches($channels, stringify!($one), stringify!($other), $rung);
        })*
    };
}

use row;

mod tcp {
    table! { "tcp":
        //           none      full_cone restricted symmetric no_udp    no_inbound
        none       ["direct"  "punched" "punched"  "punched" "punched" "punched"]
        full_cone  ["direct"  "punched" "punched"  "punched" "punched" "punched"]
        restricted ["direct"  "punched" "punched"  "relay"   "punched" "punched"]
        symmetric  ["direct"  "punched" "relay"    "relay"   "relay"   "relay"]
        no_udp     ["direct"  "punched" "punched"  "relay"   "punched" "punched"]
        no_inbound ["direct"  "punched" "punched"  "relay"   "punched" "punched"]
    }
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
