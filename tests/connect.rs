//! `connect_all`: links to everybody, before there is anything to say.

#![cfg(feature = "tcp")]

mod common;

use common::{Rendezvous, Wire, World, bounded};
use fmi::{Communicator, Config, Error, Reason, Rung};
use futures::future::join_all;
use std::{
    collections::BTreeSet,
    net::TcpListener,
    sync::{Arc, Mutex},
    time::Duration,
};

on_every!(everybody_is_linked, one_call_is_enough, twice_and_side_by_side);

/// What links two ranks.
fn expected(wire: Wire, size: usize, [one, other]: [usize; 2]) -> (Option<Rung>, &'static str) {
    let together = wire.process(size, one) == wire.process(size, other);
    match wire {
        _ if together => (Some(Rung::Local), "local"),
        Wire::Local => unreachable!("ranks of one process"),
        Wire::Tcp | Wire::TcpPacks => (Some(Rung::Direct), "tcp"),
        Wire::Sim | Wire::SimPacks => (Some(Rung::Direct), "sim"),
        Wire::Store | Wire::StorePacks => (Some(Rung::Store), "depot"),
    }
}

fn assert_linked(comm: &Communicator, wire: Wire) {
    for other in (0..comm.size()).filter(|other| *other != comm.rank()) {
        let info = comm.peer(other).unwrap();
        let (rung, text) = expected(wire, comm.size(), [comm.rank(), other]);
        assert_eq!((info.rung, info.to_string()), (rung, text.to_owned()), "{info:?}");
    }
}

async fn everybody_is_linked(wire: Wire) {
    let size = 7;
    let world = World::new(wire, size).await;
    let ends = world.each(|comm| async move {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&seen);
        let progress = move |done, total| notes.lock().unwrap().push((done, total));
        comm.connect_all().progress(progress).await.unwrap();
        assert_linked(&comm, wire);
        // Processes, not ranks.
        let processes = (0..size).map(|rank| wire.process(size, rank));
        let others = processes.collect::<BTreeSet<_>>().len() - 1;
        let right: Vec<_> = (0..=others).map(|done| (done, others)).collect();
        assert_eq!(*seen.lock().unwrap(), right);
        comm.barrier().await.unwrap();
    });
    ends.await;
    world.close().await;
}

async fn one_call_is_enough(wire: Wire) {
    let world = World::new(wire, 4).await;
    let ends = world.each(|comm| async move {
        // The highest, which leaves dialling to the others at first.
        if comm.rank() == 3 {
            comm.connect_all().await.unwrap();
            assert_linked(&comm, wire);
        }
        comm.barrier().await.unwrap();
    });
    ends.await;
    world.close().await;
}

async fn twice_and_side_by_side(wire: Wire) {
    let world = World::new(wire, 3).await;
    let ends = world.each(|comm| async move {
        let (one, two) = futures::join!(comm.connect_all(), comm.connect_all());
        one.and(two).unwrap();
        comm.connect_all().await.unwrap();
        // Given up at once, it takes nothing away.
        drop(comm.connect_all());
        let half = comm.split(Some(comm.rank() as u64 % 2), 0).await.unwrap().unwrap();
        half.connect_all().await.unwrap();
        comm.barrier().await.unwrap();
    });
    ends.await;
    world.close().await;
}

/// Ranks of one process share a link, and a process counts once.
#[tokio::test]
async fn packs_count_once() {
    let rendezvous = Rendezvous::start();
    let joins = [0..3, 3..5].map(|ranks| rendezvous.config("packs", 5, 0).ranks(ranks).join_all());
    let packs = bounded("joining", join_all(joins)).await;
    let ranks: Vec<_> = packs.into_iter().flat_map(Result::unwrap).collect();
    common::each(&ranks, |comm| async move {
        let last = Arc::new(Mutex::new((0, 0)));
        let note = Arc::clone(&last);
        let progress = move |done, total| *note.lock().unwrap() = (done, total);
        comm.connect_all().progress(progress).await.unwrap();
        assert_eq!(*last.lock().unwrap(), (1, 1));
        let other = comm.peer(4 - comm.rank()).unwrap();
        assert_eq!(other.channel, Some(if comm.rank() == 2 { "local" } else { "tcp" }));
        comm.barrier().await.unwrap();
    })
    .await;
    common::each(&ranks, |comm| async move { comm.close().await.unwrap() }).await;
}

/// Rank 1 says that it is reached where nobody listens.
async fn astray(silent: Duration) -> (Rendezvous, Vec<Communicator>) {
    let rendezvous = Rendezvous::start();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = |rank| -> Config {
        let config = rendezvous.config("astray", 2, rank).silent_deadline(silent);
        // Punching and the relay would find a way.
        let config = config.ladder("direct").unwrap();
        if rank == 1 { config.advertise(&nobody.to_string()).unwrap() } else { config }
    };
    let ranks = bounded("joining", join_all((0..2).map(|rank| config(rank).join()))).await;
    (rendezvous, ranks.into_iter().map(Result::unwrap).collect())
}

#[tokio::test]
async fn who_cannot_be_reached_is_named() {
    let (_rendezvous, ranks) = astray(Duration::from_millis(300)).await;
    let lost = bounded("connecting", ranks[0].connect_all()).await.unwrap_err();
    let Error::RankLost { rank: 1, reason: Reason::Unreachable(tried) } = &lost else {
        panic!("{lost:?}")
    };
    assert!(tried.contains("refused"), "{tried}");
    let info = ranks[0].peer(1).unwrap();
    assert_eq!((info.rung, info.channel, info.climbing), (None, None, false));
    let [attempt] = &info.attempts[..] else { panic!("{info:?}") };
    assert_eq!(attempt.rung, Rung::Direct);
    assert!(attempt.to_string().contains("refused"), "{attempt}");
    // Later calls fail alike.
    assert_eq!(ranks[0].connect_all().await, Err(lost));
}

#[tokio::test]
async fn a_deadline_names_who_is_missing() {
    let (_rendezvous, ranks) = astray(Duration::from_secs(20)).await;
    let after = Duration::from_millis(200);
    let late = bounded("connecting", ranks[0].connect_all().deadline(after)).await;
    let operation = "connect_all";
    assert_eq!(late, Err(Error::Timeout { rank: 0, operation, peer: Some(1), after }));
    // The other way round there is a way.
    bounded("connecting", ranks[1].connect_all()).await.unwrap();
    bounded("connecting", ranks[0].connect_all()).await.unwrap();
    for (comm, other) in [(&ranks[0], 1), (&ranks[1], 0)] {
        assert_eq!(comm.peer(other).unwrap().rung, Some(Rung::Direct));
    }
    common::each(&ranks, |comm| async move { comm.close().await.unwrap() }).await;
}

/// One process has a profile, and all ranks choose by it; who joins alone, by its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_of_one_is_that_of_all() {
    let rendezvous = Rendezvous::start();
    let config = |rank| rendezvous.config("model", 3, rank);
    let joins = [config(0), config(1).profile("aws-lambda"), config(2)].map(Config::join);
    let ranks = bounded("joining", join_all(joins)).await;
    let ranks: Vec<Communicator> = ranks.into_iter().map(Result::unwrap).collect();
    for comm in &ranks {
        let model = comm.model().expect("it was told");
        assert_eq!(model.market.profile.name, "aws-lambda");
        assert_eq!(model.market.channels.network, "tcp");
        assert_eq!(model.topology, ranks[0].model().unwrap().topology);
    }
    let sums = ranks.iter().map(|comm| comm.allreduce(1_u64, fmi::op::sum()));
    assert_eq!(join_all(sums).await.into_iter().collect::<fmi::Result<Vec<_>>>(), Ok(vec![3; 3]));
    let ends = ranks.into_iter().map(|comm| async move { comm.close().await.unwrap() });
    bounded("leaving", join_all(ends)).await;

    let alone = Config::default().profile("lan").join().await.unwrap();
    assert_eq!(alone.model().unwrap().market.profile.name, "lan");
    let error = Config::default().profile("mars").join().await.unwrap_err().to_string();
    assert!(error.contains("one of aws-lambda, lan, loopback"), "{error}");
}
