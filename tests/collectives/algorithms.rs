//! Every algorithm, not only those that are chosen: wherever it can run, it gives the same.

use crate::{
    common::{Wire, World},
    kinds::{self, ON_VECTORS, OPERATIONS, TYPES},
    on_every,
    run::{By, Run, same_everywhere},
    values::Value,
};
use fmi::{
    Communicator,
    plan::{Algorithm, CHUNK, Collective, Medium, Rule, Table, bcast},
};
use std::{collections::BTreeSet, sync::Mutex};

on_every!(
    every_algorithm_gives_the_same,
    pipelines_of_many_chunks,
    only_the_root_of_a_bcast_knows_its_algorithm,
);

/// Sizes around powers of two, several roots, some lengths, on each wire.
async fn every_algorithm_gives_the_same(wire: Wire) {
    let ran = Mutex::default();
    for size in (1..=9).chain([16]) {
        let world = World::new(wire, size).await;
        for algorithm in Algorithm::all() {
            let by = By { algorithm, wire, ran: &ran };
            let rooted = algorithm.collective.is_rooted();
            let roots = match size {
                _ if !rooted => BTreeSet::from([0]),
                0..=5 => (0..size).collect(),
                _ => BTreeSet::from([0, size / 2, size - 1]),
            };
            for root in roots {
                let ends = world
                    .each(|comm| async move {
                        let len = [0, 1, 3, 40][(root + size) % 4];
                        let run = Run::new(&comm, root, 7, len);
                        everything(Run { by: Some(by), ..run }).await
                    })
                    .await;
                same_everywhere(&ends);
            }
        }
        world.close().await;
    }
    // Nothing was left out.
    let all = Algorithm::all().filter(|algorithm| match algorithm.medium {
        Medium::Links | Medium::Relay { .. } => true,
        // One rank alone is together, whatever the packs.
        Medium::Shared => wire != Wire::Tcp && wire != Wire::Sim,
        Medium::Packs { .. } => matches!(wire, Wire::TcpPacks | Wire::SimPacks),
    });
    assert_eq!(ran.into_inner().unwrap(), all.map(ToString::to_string).collect::<BTreeSet<_>>());
}

async fn everything(run: Run<'_>) -> Vec<crate::run::Outcomes> {
    run.barrier().await;
    for number in 0..TYPES {
        kinds::moves(&run, number).await;
    }
    let mut outcomes = Vec::new();
    for number in 0..OPERATIONS {
        outcomes.push(kinds::reductions(&run, number).await);
    }
    outcomes
}

/// Vectors of some MiB, by those that cut them.
async fn pipelines_of_many_chunks(wire: Wire) {
    let ran = Mutex::default();
    for (size, len) in [(2, 300_001), (3, 150_000), (5, 40_003)] {
        let world = World::new(wire, size).await;
        assert!((len * size_of::<f64>()) as u64 > 2 * CHUNK);
        for algorithm in Algorithm::all().filter(|algorithm| algorithm.cut.is_some()) {
            let by = By { algorithm, wire, ran: &ran };
            let ends = world
                .each(|comm| async move {
                    let run = Run { by: Some(by), ..Run::new(&comm, size - 1, 3, len) };
                    run.moves::<Vec<f64>>().await;
                    let mut outcomes = Vec::new();
                    for number in ON_VECTORS.filter(|number| number % 3 == 2) {
                        outcomes.push(kinds::reductions(&run, number).await);
                    }
                    outcomes
                })
                .await;
            same_everywhere(&ends);
        }
        world.close().await;
    }
    let ran = ran.into_inner().unwrap();
    assert!(ran.contains("bcast/chain") && ran.contains("exscan/chain"));
}

/// Rule 5: the others take from the first frame how long the value is and how it comes.
async fn only_the_root_of_a_bcast_knows_its_algorithm(wire: Wire) {
    // Within a process, too: what is published there would need no first frame.
    let frames = || Table::default().prefer(Rule::always(&bcast::binomial::ALGORITHM));
    for size in 1..=9 {
        let world = World::new(wire, size).await;
        let messages = Collective::Bcast.algorithms().iter().filter(|one| !one.is_shared());
        for (turn, algorithm) in messages.enumerate() {
            for len in [0, 1, 77, 20_000 + 17_000 * (turn + size) % 3] {
                let root = (turn + len) % size;
                world
                    .each(|comm| async move {
                        let comm = comm.with_table(frames());
                        let at_root = comm.rank() == root;
                        let comm = if at_root { comm.using(algorithm) } else { comm };
                        bcast_of::<Vec<f64>>(&comm, root, len).await;
                        bcast_of::<String>(&comm, root, len).await;
                        bcast_of::<u64>(&comm, root, len).await;
                    })
                    .await;
            }
        }
        world.close().await;
    }
}

async fn bcast_of<T: Value>(comm: &Communicator, root: usize, len: usize) {
    let value = (comm.rank() == root).then(|| T::make(root, 5, len));
    let got = comm.bcast(value, root).await.unwrap();
    assert_eq!(got.bits(), T::make(root, 5, len).bits(), "{comm:?}, root {root}, length {len}");
}
