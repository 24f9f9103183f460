//! The whole set of collectives against what one rank alone computes: every size, every root,
//! types of all shapes, every kind of reduce operation, and every algorithm.

#![cfg(feature = "tcp")]

#[path = "../common/mod.rs"]
mod common;

mod algorithms;
mod arguments;
mod kinds;
mod packs;
mod run;
mod sequences;
mod values;

use common::{Wire, World, bounded};
use fmi::{Buf, op, plan::Collective};
use kinds::{OPERATIONS, TYPES, all_reductions, bracket, zip};
use run::{Run, same_everywhere};
use values::Value;

on_every!(
    every_size_and_root,
    vectors_longer_than_any_buffer,
    vectors_as_a_whole_may_differ_in_length,
    nobody_changes_what_others_hold,
    the_same_bits_on_every_run,
    ranks_of_a_split_count_for_themselves,
);

const SIZES: std::ops::RangeInclusive<usize> = 1..=9;

/// Every collective with every root; lengths 0 and 1 included. Types and operations take turns.
async fn every_size_and_root(wire: Wire) {
    for size in SIZES {
        let world = World::new(wire, size).await;
        for root in 0..size {
            let seed = (root * 100 + size) as u64;
            let len = [0, 1, 3, 40][(root + size) % 4];
            let ends = world
                .each(|comm| async move {
                    let run = Run::new(&comm, root, seed, len);
                    run.barrier().await;
                    for turn in 0..4 {
                        kinds::moves(&run, (size * 5 + root * 4 + turn) % TYPES).await;
                    }
                    let mut outcomes = Vec::new();
                    for turn in 0..8 {
                        let operation = (size * 3 + root * 8 + turn) % OPERATIONS;
                        outcomes.push(kinds::reductions(&run, operation).await);
                    }
                    outcomes
                })
                .await;
            same_everywhere(&ends);
        }
        world.close().await;
    }
}

/// Longer than flat workspaces, eager limit and chunk; the last also than window and outbox.
async fn vectors_longer_than_any_buffer(wire: Wire) {
    for size in [2, 3] {
        let world = World::new(wire, size).await;
        for (root, len) in [(0, 2100), (size - 1, 50_000)] {
            let ends = world.each(|comm| async move {
                let run = Run::new(&comm, root, 1, len);
                run.moves::<Vec<f64>>().await;
                vec![kinds::reductions(&run, 14).await, kinds::reductions(&run, 11).await]
            });
            same_everywhere(&ends.await);
        }
        let ends = world.each(|comm| async move {
            let run = Run::new(&comm, 1, 1, 600_001);
            Run { only: Some(Collective::Bcast), ..run }.moves::<Vec<f64>>().await;
            Run { only: Some(Collective::Gather), ..run }.moves::<Vec<f64>>().await;
            vec![kinds::reductions(&Run { only: Some(Collective::Allreduce), ..run }, 11).await]
        });
        same_everywhere(&ends.await);
        world.close().await;
    }
}

/// What an operation takes as a whole need not be of one length, and is never cut.
async fn vectors_as_a_whole_may_differ_in_length(wire: Wire) {
    for (size, long) in [(2, 1), (4, 1), (5, 1), (3, 10_000)] {
        let world = World::new(wire, size).await;
        world
            .each(|comm| async move {
                let rank = comm.rank();
                let value = |rank: usize| vec![rank as u32; (rank * 7 % 4) * long];
                let fold = |ranks: usize| (0..ranks).flat_map(value).collect::<Vec<_>>();
                let concat = || op::associative(|a: Vec<u32>, b: Vec<u32>| [a, b].concat());
                let whole = || op::whole(concat());
                assert_eq!(comm.allreduce(value(rank), whole()).await.unwrap(), fold(size));
                assert_eq!(comm.allreduce(value(rank), concat()).await.unwrap(), fold(size));
                let got = comm.reduce(value(rank), whole(), 1).await.unwrap();
                assert_eq!(got, (rank == 1).then(|| fold(size)));
                assert_eq!(comm.scan(value(rank), whole()).await.unwrap(), fold(rank + 1));
                let got = comm.exscan(value(rank), whole()).await.unwrap();
                assert_eq!(got, (rank > 0).then(|| fold(rank)));
                let values = vec![value(rank); size];
                assert_eq!(comm.reduce_scatter(values, whole()).await.unwrap(), fold(size));
            })
            .await;
        world.close().await;
    }
}

/// What a rank sends stays as it is on that rank, and what it does with a result does not show
/// on others.
async fn nobody_changes_what_others_hold(wire: Wire) {
    for len in [1, 3, 100, 60_000] {
        let world = World::new(wire, 5).await;
        world
            .each(|comm| async move {
                let rank = comm.rank();
                let sent = Buf::from(Vec::<f64>::make(rank, 1, len));
                let add = || {
                    op::whole(op::associative(|a: Buf<f64>, b: Buf<f64>| {
                        zip(a.into_vec(), b.into_vec(), |a, b| a + b).into()
                    }))
                };
                for root in 0..5 {
                    comm.reduce(sent.clone(), add(), root).await.unwrap();
                    comm.allreduce(sent.clone(), add()).await.unwrap();
                    comm.scan(sent.clone(), add()).await.unwrap();
                    let gathered = comm.gather(sent.clone(), root).await.unwrap();
                    let parts = gathered.clone();
                    let back = comm.scatter(parts, root).await.unwrap();
                    assert_eq!(back, sent);
                    let mut mine = comm.bcast(Some(sent.clone()), root).await.unwrap().into_vec();
                    // The others may read the same buffer.
                    mine.fill(f64::from(rank as u32));
                    comm.barrier().await.unwrap();
                    let mut sum = comm.allreduce(sent.to_vec(), op::sum()).await.unwrap();
                    sum.fill(0.0);
                    let again = comm.bcast(Some(sent.clone()), root).await.unwrap();
                    comm.barrier().await.unwrap();
                    assert_eq!(again.bits(), Vec::<f64>::make(root, 1, len).bits());
                    for (from, part) in gathered.into_iter().flatten().enumerate() {
                        assert_eq!(part.bits(), Vec::<f64>::make(from, 1, len).bits());
                    }
                }
                assert_eq!(sent.bits(), Vec::<f64>::make(rank, 1, len).bits());
            })
            .await;
        world.close().await;
    }
}

/// Same size, same values, same bits: in another job, too, and whatever comes first.
async fn the_same_bits_on_every_run(wire: Wire) {
    for size in [2, 5, 8] {
        let mut runs = Vec::new();
        for run in 0..3u64 {
            let world = World::new(wire, size).await;
            let ends = world
                .each(|comm| async move {
                    // Ranks come in another order in each run.
                    for _ in 0..(comm.rank() as u64 * 7 + run * 3) % 5 {
                        let span = std::time::Duration::from_millis(1);
                        match wire {
                            wire if wire.is_simulated() => fmi::sim::sleep(span).await,
                            _ => tokio::time::sleep(span).await,
                        }
                    }
                    all_reductions(&Run::new(&comm, size / 2, 5, 33)).await
                })
                .await;
            same_everywhere(&ends);
            runs.push(ends);
            world.close().await;
        }
        assert!(runs.iter().all(|run| *run == runs[0]), "runs of {size} ranks differ");
    }
}

/// Communicators made by split and dup have ranks, orders and collectives of their own.
async fn ranks_of_a_split_count_for_themselves(wire: Wire) {
    let world = World::new(wire, 7).await;
    let run = world.each(|comm| async move {
        let rank = comm.rank();
        // Odd and even, in reverse; rank 3 in neither.
        let color = (rank != 3).then_some(rank as u64 % 2);
        let part = comm.split(color, -(rank as i64)).await.unwrap();
        assert_eq!(part.is_none(), rank == 3);
        let whole = comm.allreduce(rank as u64, op::sum());
        let part = async {
            let Some(part) = part else { return };
            let members: &[usize] = if rank % 2 == 0 { &[6, 4, 2, 0] } else { &[5, 1] };
            assert_eq!((members[part.rank()], part.size()), (rank, members.len()));
            for root in 0..part.size() {
                Run::new(&part, root, 1, 3).moves::<String>().await;
                Run::new(&part, root, 2, 3).moves::<u64>().await;
                let text = part.reduce(rank.to_string(), op::ordered(bracket), root).await.unwrap();
                let expected = members.iter().map(usize::to_string).reduce(bracket);
                assert_eq!(text, expected.filter(|_| part.rank() == root));
            }
            // A split of the split, all in one, by key and then rank.
            let same = part.split(Some(9), 0).await.unwrap().unwrap();
            assert_eq!((same.rank(), same.size()), (part.rank(), part.size()));
            all_reductions(&Run::new(&same, same.size() - 1, 8, 5)).await;
        };
        let (whole, ()) = futures::join!(whole, part);
        assert_eq!(whole.unwrap(), 21);
        assert_eq!(comm.dup().allreduce(1u8, op::sum()).await.unwrap(), 7);
    });
    bounded("splits", run).await;
    world.close().await;
}
