//! Ranks on any runtime, and on the library's own.

#![cfg(feature = "tcp")]

mod common;

use common::{Rendezvous, Wire, World, bounded, bounded_thread, child::cpu_of};
use fmi::{Communicator, Config, Error, op};
use futures::executor::block_on;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// What each rank does: a bit of everything.
async fn life(comm: &Communicator) {
    let (rank, size) = (comm.rank(), comm.size());
    for round in 0..50 {
        let sum = comm.allreduce(rank + round, op::sum()).await.unwrap();
        assert_eq!(sum, size * (size - 1) / 2 + round * size);
        let (next, last) = ((rank + 1) % size, (rank + size - 1) % size);
        let got: Vec<usize> = comm.sendrecv(vec![rank; 3000], next, 1, last, 1).await.unwrap();
        assert_eq!(got, vec![last; 3000]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn local_on_a_multi_threaded_runtime() {
    spawned(Wire::Local).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tcp_on_a_multi_threaded_runtime() {
    spawned(Wire::Tcp).await;
}

/// Each rank on a task of its own, which moves between threads; and several tasks of a rank.
async fn spawned(wire: Wire) {
    let world = World::new(wire, 4).await;
    let tasks: Vec<_> = world
        .ranks
        .iter()
        .cloned()
        .map(|comm| {
            tokio::spawn(async move {
                life(&comm).await;
                let tasks: Vec<_> = (0..5)
                    .map(|_| {
                        let comm = comm.dup();
                        tokio::spawn(async move { life(&comm).await })
                    })
                    .collect();
                for task in tasks {
                    task.await.unwrap();
                }
                comm.close().await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        bounded("a rank", task).await.unwrap();
    }
}

/// A thread for each rank and an executor that knows neither sockets nor timers.
#[test]
fn tcp_without_tokio() {
    bounded_thread("a rank without tokio", || {
        let rendezvous = Rendezvous::start();
        let threads: Vec<_> = (0..3)
            .map(|rank| {
                let config = rendezvous.config("test", 3, rank);
                thread::spawn(move || {
                    block_on(async {
                        let comm = config.join().await.unwrap();
                        life(&comm).await;
                        let never = comm.recv::<u8>(0, 99).deadline(Duration::from_millis(50));
                        assert!(matches!(never.await, Err(Error::Timeout { .. })));
                        comm.barrier().await.unwrap();
                        comm.close().await.unwrap();
                    });
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn local_without_tokio() {
    bounded_thread("a rank without tokio", || {
        let ranks = block_on(Config::default().size(3).join_all()).unwrap();
        let threads: Vec<_> = ranks
            .into_iter()
            .map(|comm| {
                thread::spawn(move || {
                    block_on(async {
                        life(&comm).await;
                        comm.close().await.unwrap();
                    });
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// `fmi::run`: fewer threads than ranks, as many, and more.
#[test]
fn run_with_any_number_of_threads() {
    for (size, threads) in [(1, 1), (4, 1), (4, 2), (3, 8)] {
        let ends = bounded_thread("run", move || {
            let ends = Arc::new(AtomicUsize::new(0));
            let config = Config::default().size(size).threads(threads);
            let seen = Arc::clone(&ends);
            let result = fmi::run_with(config, move |ctx| {
                let seen = Arc::clone(&seen);
                async move {
                    life(&ctx).await;
                    seen.fetch_add(1, Ordering::Relaxed);
                }
            });
            assert_eq!(result, Ok(()));
            ends.load(Ordering::Relaxed)
        });
        assert_eq!(ends, size, "{threads} threads");
    }
}

/// Packs of ranks as actors, several "processes", TCP between them.
#[test]
fn packs_over_tcp() {
    let rendezvous = Rendezvous::start();
    let packs: [&[usize]; 3] = [&[0, 3], &[1], &[2, 4, 5]];
    let runs: Vec<_> = packs
        .iter()
        .map(|ranks| {
            let config = rendezvous.reach(Config::default().job("packs").size(6));
            let config = config.ranks(ranks.iter().copied());
            thread::spawn(move || {
                fmi::run_with(config, |ctx| async move {
                    life(&ctx).await;
                    let all = ctx.gather(ctx.rank(), 4).await?;
                    assert_eq!(all, (ctx.rank() == 4).then(|| vec![0, 1, 2, 3, 4, 5]));
                    Ok::<(), Error>(())
                })
            })
        })
        .collect();
    bounded_thread("packs", move || {
        for run in runs {
            assert_eq!(run.join().unwrap(), Ok(()));
        }
    });
}

/// Without numbers of their own, ranks get some from the rendezvous.
#[tokio::test]
async fn numbers_from_the_rendezvous() {
    let rendezvous = Rendezvous::start();
    let config = rendezvous.reach(Config::default().job("any").size(4));
    let joins = (0..4).map(|_| config.clone().join());
    let ranks = bounded("joining", futures::future::join_all(joins)).await;
    let ranks: Vec<_> = ranks.into_iter().map(Result::unwrap).collect();
    let mut numbers: Vec<_> = ranks.iter().map(Communicator::rank).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2, 3]);
    common::each(&ranks, |comm| async move {
        life(&comm).await;
        comm.close().await.unwrap();
    })
    .await;
}

/// A job that is over leaves nothing behind that works or grows.
#[test]
fn a_job_that_is_over_costs_nothing() {
    let run = || {
        bounded_thread("run", || {
            let result = fmi::run_with(Config::default().size(2).threads(2), |ctx| async move {
                ctx.barrier().await
            });
            assert_eq!(result, Ok(()));
        });
    };
    run();
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    (0..20).for_each(|_| run());
    common::until("the end of the threads", || threads() <= before + 2);

    let rendezvous = Rendezvous::start();
    let ranks: Vec<_> = bounded_thread("join", move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let joins = (0..2).map(|rank| rendezvous.config("test", 2, rank).join());
            let ranks = futures::future::join_all(joins).await;
            let ranks: Vec<_> = ranks.into_iter().map(Result::unwrap).collect();
            common::each(&ranks, |comm| async move {
                life(&comm).await;
                comm.close().await.unwrap();
                // Tried after the end.
                assert!(comm.send(1u8, 1 - comm.rank(), 0).await.is_err());
            })
            .await;
            ranks
        })
    });
    // Communicators that are closed and not dropped: nobody dials or polls.
    thread::sleep(Duration::from_millis(300));
    let start = cpu_of("self");
    thread::sleep(Duration::from_secs(1));
    let spent = cpu_of("self") - start;
    assert!(spent < Duration::from_millis(10), "{spent:?} in an idle second");
    drop(ranks);
}

/// Ranks whose time is over are given up, in all processes, whatever they wait for.
#[test]
fn the_time_of_a_process_ends_its_ranks() {
    let rendezvous = Rendezvous::start();
    let limited = rendezvous.config("test", 2, 0);
    let other = rendezvous.config("test", 2, 1);
    let waits =
        |ctx: fmi::Context| async move { ctx.recv::<u8>(1 - ctx.rank(), 9).await.map(drop) };
    let other = thread::spawn(move || {
        fmi::run_with(other, move |ctx| async move {
            assert_eq!(ctx.remaining(), None);
            waits(ctx).await
        })
    });
    let run = move || {
        let end = std::time::SystemTime::now() + Duration::from_secs(2);
        fmi::run_with(limited.until(end), move |ctx| async move {
            let left = ctx.remaining().expect("there is an end");
            assert!(left <= Duration::from_secs(2), "{left:?}");
            waits(ctx).await
        })
    };
    let ended = bounded_thread("a process whose time is over", run);
    assert_eq!(ended, Err(Error::RankLost { rank: 0, reason: fmi::Reason::Deadline }));
    let other = bounded_thread("a peer of it", move || other.join().unwrap());
    // The first cause is the other's.
    let Err(Error::RankLost { rank: 1, reason: fmi::Reason::Failed(why) }) = other else {
        panic!("{other:?}")
    };
    assert!(why.contains("rank 0 is lost: its deadline passed"), "{why}");
}
