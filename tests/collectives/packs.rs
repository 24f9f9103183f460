//! Ranks that give up in packs: on the board and over links, everybody learns of it.

use crate::common::{Wire, World};
use fmi::{
    Communicator, Error, op,
    plan::{Algorithm, Collective, Medium},
};

#[tokio::test]
async fn tcp_who_gives_up_ends_it_for_all_packs() {
    give_up(Wire::TcpPacks).await;
}

#[tokio::test]
async fn sim_who_gives_up_ends_it_for_all_packs() {
    give_up(Wire::SimPacks).await;
}

/// One rank drops its part of each algorithm for packs.
async fn give_up(wire: Wire) {
    let packed = Algorithm::all().filter(|it| matches!(it.medium, Medium::Packs { .. }));
    for algorithm in packed {
        for size in [6, 8] {
            let world = World::new(wire, size).await;
            for quitter in 0..size {
                let ends = world
                    .each(|comm| async move {
                        let comm = comm.dup().using(algorithm);
                        let call = call(&comm, algorithm.collective);
                        if comm.rank() == quitter {
                            drop(call);
                            return None;
                        }
                        Some(call.await)
                    })
                    .await;
                for (rank, end) in ends.into_iter().enumerate() {
                    let fine = match &end {
                        // Not everybody needs everybody.
                        None | Some(Ok(())) => true,
                        Some(Err(Error::Abandoned { rank, .. })) => *rank == quitter,
                        Some(Err(_)) => false,
                    };
                    assert!(fine, "{algorithm}: rank {rank} when {quitter} gave up: {end:?}");
                    let all = [
                        Collective::Barrier,
                        Collective::Allgather,
                        Collective::Alltoall,
                        Collective::Allreduce,
                        Collective::ReduceScatter,
                    ];
                    let waits = all.contains(&algorithm.collective) && rank != quitter;
                    assert!(
                        !waits || matches!(end, Some(Err(_))),
                        "{algorithm}: {rank} did not wait"
                    );
                }
            }
            let notes = world.ranks.iter().map(Communicator::notes_on_board).sum::<usize>();
            assert_eq!(notes, 0, "{algorithm}");
            // Nobody leaves while news of failures is on its way.
            world.each(|comm| async move { comm.barrier().await.unwrap() }).await;
            world.close().await;
        }
    }
}

/// Each of 50 numbers, so that values can be cut.
fn call(
    comm: &Communicator,
    collective: Collective,
) -> std::pin::Pin<Box<dyn Future<Output = fmi::Result<()>>>> {
    let (value, size) = (vec![1u32; 50], comm.size());
    match collective {
        Collective::Barrier => Box::pin(comm.barrier()),
        Collective::Bcast => done(comm.bcast(Some(value), 1)),
        Collective::Gather => done(comm.gather(value, 1)),
        Collective::Scatter => done(comm.scatter(Some(vec![value; size]), 1)),
        Collective::Allgather => done(comm.allgather(value)),
        Collective::Alltoall => done(comm.alltoall(vec![value; size])),
        Collective::Reduce => done(comm.reduce(value, op::sum(), 1)),
        Collective::Allreduce => done(comm.allreduce(value, op::sum())),
        Collective::ReduceScatter => done(comm.reduce_scatter(vec![value; size], op::sum())),
        Collective::Scan => done(comm.scan(value, op::sum())),
        Collective::Exscan => done(comm.exscan(value, op::sum())),
        other => unreachable!("{other} is new"),
    }
}

fn done<T: 'static>(
    call: impl Future<Output = fmi::Result<T>> + 'static,
) -> std::pin::Pin<Box<dyn Future<Output = fmi::Result<()>>>> {
    Box::pin(async move { call.await.map(drop) })
}
