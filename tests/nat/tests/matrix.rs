//! Which rung two processes reach, for each pair of ways to be connected: a test for each, named
//! `CHANNEL::KIND_OF_RANK_0::KIND_OF_RANK_1`. Rank 0 speaks first.

mod common;

use common::{PEER, World, leave, linked, mesh};
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

/// QUIC alone. Where no datagram passes, the relay remains.
#[cfg(feature = "quic")]
mod quic {
    table! { "quic":
        //           none      full_cone restricted symmetric no_udp  no_inbound
        none       ["direct"  "punched" "punched"  "punched" "relay" "punched"]
        full_cone  ["direct"  "punched" "punched"  "punched" "relay" "punched"]
        restricted ["direct"  "punched" "punched"  "relay"   "relay" "punched"]
        symmetric  ["direct"  "punched" "relay"    "relay"   "relay" "relay"]
        no_udp     ["relay"   "relay"   "relay"    "relay"   "relay" "relay"]
        no_inbound ["direct"  "punched" "punched"  "relay"   "relay" "punched"]
    }
}

/// QUIC is preferred, and TCP takes its place where no datagram passes.
#[cfg(feature = "quic")]
#[test]
fn both_no_udp_to_restricted() {
    reaches("quic,tcp", "no_udp", "restricted", "punched");
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
        assert_eq!(last, Some(rung), "{linked:#?}");
    }
    leave(processes);
}

#[test]
fn tcp_refusing_to_refusing() {
    reaches("tcp", "refusing", "refusing", "punched");
}

#[test]
fn tcp_refusing_to_restricted() {
    reaches("tcp", "refusing", "restricted", "punched");
}

#[test]
fn tcp_restricted_to_refusing() {
    reaches("tcp", "restricted", "refusing", "punched");
}

/// The same over IPv6, where boxes are firewalls mostly.
mod ipv6 {
    use super::{Family, Job, Kind, Lab, PEER, check};

    fn reaches(one: Kind, other: Kind, rung: &str) {
        check(Lab::pair(one, other).family(Family::V6), &Job::pair(PEER, "tcp"), rung);
    }

    #[test]
    fn tcp_none_to_none() {
        reaches(Kind::None, Kind::None, "direct");
    }

    #[test]
    fn tcp_no_inbound_to_no_inbound() {
        reaches(Kind::NoInbound, Kind::NoInbound, "punched");
    }

    #[test]
    fn tcp_restricted_to_restricted() {
        reaches(Kind::Restricted, Kind::Restricted, "punched");
    }
}

/// Behind the same box, and each behind one of its own with the same private addresses.
mod neighbours {
    use super::{Job, Kind, Lab, PEER, check};

    #[test]
    fn tcp_of_one_site_are_direct() {
        let lab = Lab::builder().site(Kind::Restricted, 2);
        check(lab, &Job::pair(PEER, "tcp"), "direct");
    }

    #[test]
    fn tcp_with_the_same_private_address_are_not_confused() {
        let lab = Lab::pair(Kind::Restricted, Kind::Restricted).alike();
        check(lab, &Job::pair(PEER, "tcp"), "punched");
    }
}

/// All ranks with all, a link each.
#[test]
fn tcp_full_mesh_behind_four_boxes() {
    let sites = |lab: nat_tests::lab::Builder| lab.site(Kind::Restricted, 3);
    let Some(world) = World::new((0..4).fold(Lab::builder(), |lab, _| sites(lab))) else { return };
    let mut job = Job::pair(PEER, "tcp");
    job.size = 12;
    // On a machine with much to do the relay may be faster than some of the punches, at first.
    let processes = world.start(&job, &["mesh", "--seconds", "30"]);
    for (rank, process) in processes.iter().enumerate() {
        let links = process.until(mesh);
        for link in &links {
            let rung = if link.rank / 3 == rank / 3 { "direct" } else { "punched" };
            assert_eq!(link.rung, rung, "{rank} to {}", link.rank);
        }
        assert_eq!(links.len(), 11, "{links:?}");
    }
    leave(processes);
}
