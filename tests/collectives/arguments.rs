//! What a collective refuses, and what the other ranks learn of it; values that nobody expects.

use crate::{
    common::{Wire, World, each},
    on_both,
};
use fmi::{Communicator, Error, Reason, op};
use std::{fmt::Debug, future::Future};

on_both!(
    too_few_or_too_many_values,
    lengths_that_must_be_equal,
    a_root_without_a_value,
    a_root_that_does_not_exist,
    an_operation_that_meets_other_lengths,
);

/// Rank 1 gets this, the others that it gave up, for that reason; then all go on.
async fn refused<T: Debug, F: Future<Output = fmi::Result<T>>>(
    world: &World,
    operation: &'static str,
    message: &str,
    call: impl Fn(Communicator) -> F,
) {
    let ends = world.each(|comm| async { call(comm).await.map(drop) }).await;
    let error = Error::Argument { operation, message: message.to_owned() };
    given_up(ends, operation, error);
    still_usable(&world.ranks).await;
}

fn given_up(ends: Vec<fmi::Result<()>>, operation: &'static str, error: Error) {
    let reason = Reason::Error(error.to_string());
    for (rank, end) in ends.into_iter().enumerate() {
        let given_up = Error::Abandoned { rank: 1, operation, reason: reason.clone() };
        assert_eq!(end, Err(if rank == 1 { error.clone() } else { given_up }), "rank {rank}");
    }
}

async fn still_usable(ranks: &[Communicator]) {
    let sum = |comm: Communicator| async move { comm.allreduce(1u64, op::sum()).await };
    assert_eq!(each(ranks, sum).await, vec![Ok(ranks.len() as u64); ranks.len()]);
}

async fn too_few_or_too_many_values(wire: Wire) {
    let world = World::new(wire, 3).await;
    for wrong in [0, 2, 4] {
        let count = |comm: &Communicator| if comm.rank() == 1 { wrong } else { 3 };
        let text = format!("{wrong} values for 3 ranks");
        refused(&world, "alltoall", &text, |comm| comm.alltoall(vec![1u64; count(&comm)])).await;
        refused(&world, "alltoallv", &text, |comm| {
            comm.alltoallv(vec![vec![1u8; 2]; count(&comm)])
        })
        .await;
        refused(&world, "reduce_scatter", &text, |comm| {
            comm.reduce_scatter(vec![1u64; count(&comm)], op::sum())
        })
        .await;
        refused(&world, "reduce_scatter", &text, |comm| {
            comm.reduce_scatter(vec!["a".to_owned(); count(&comm)], op::associative(concat))
        })
        .await;
        let text = format!("the root has {wrong} values for 3 ranks");
        refused(&world, "scatter", &text, |comm| {
            comm.scatter((comm.rank() == 1).then(|| vec![1u64; wrong]), 1)
        })
        .await;
    }
    refused(&world, "scatter", "the root has 0 values for 3 ranks", |comm| {
        comm.scatter(None::<Vec<String>>, 1)
    })
    .await;
    world.close().await;
}

fn concat(a: String, b: String) -> String {
    a + &b
}

async fn lengths_that_must_be_equal(wire: Wire) {
    let world = World::new(wire, 3).await;
    let text = "the vectors differ in length: alltoallv takes any";
    refused(&world, "alltoall", text, |comm| {
        let odd = if comm.rank() == 1 { 3 } else { 2 };
        comm.alltoall(vec![vec![1u16; 2], vec![1; 2], vec![1; odd]])
    })
    .await;
    // Between ranks: rank 1 has one element more than the others.
    let len = |comm: &Communicator| if comm.rank() == 1 { 3 } else { 2 };
    let ends = [
        world.each(|comm| ended(comm.alltoall(vec![vec![1u16; len(&comm)]; 3]))).await,
        world.each(|comm| ended(comm.allgather(vec![1u16; len(&comm)]))).await,
        world.each(|comm| ended(comm.allreduce(vec![1u16; len(&comm)], op::sum()))).await,
        world.each(|comm| ended(comm.scan(vec![1u16; len(&comm)], op::sum()))).await,
        world.each(|comm| ended(comm.exscan(vec![1u16; len(&comm)], op::sum()))).await,
        world.each(|comm| ended(comm.reduce(vec![1u16; len(&comm)], op::sum(), 1))).await,
        world.each(|comm| ended(comm.gather(vec![1u16; len(&comm)], 1))).await,
        world
            .each(|comm| ended(comm.reduce_scatter(vec![vec![1u16; len(&comm)]; 3], op::sum())))
            .await,
    ];
    for ends in ends {
        // Who only sends may have its result before.
        assert!(ends.iter().any(Result::is_err), "{ends:?}");
        for error in ends.into_iter().filter_map(Result::err) {
            let text = error.to_string();
            assert!(text.contains("(4 bytes)") && text.contains("(6 bytes)"), "{text}");
            assert!(matches!(error, Error::Mismatch { .. }), "{text}");
        }
    }
    still_usable(&world.ranks).await;
    world.close().await;
}

async fn ended<T>(operation: impl Future<Output = fmi::Result<T>>) -> fmi::Result<()> {
    operation.await.map(drop)
}

async fn a_root_without_a_value(wire: Wire) {
    let world = World::new(wire, 4).await;
    refused(&world, "bcast", "the root has no value", |comm| comm.bcast(None::<u64>, 1)).await;
    refused(&world, "bcast", "the root has no value", |comm| {
        comm.bcast((comm.rank() != 1).then(String::new), 1)
    })
    .await;
    world.close().await;
}

async fn a_root_that_does_not_exist(wire: Wire) {
    let world = World::new(wire, 3).await;
    let root = |comm: &Communicator| if comm.rank() == 1 { 3 } else { 0 };
    let ends = [
        ("gather", world.each(|comm| ended(comm.gather(1u64, root(&comm)))).await),
        ("gatherv", world.each(|comm| ended(comm.gatherv(1u64, root(&comm)))).await),
        ("reduce", world.each(|comm| ended(comm.reduce(1u64, op::sum(), root(&comm)))).await),
        ("bcast", world.each(|comm| ended(comm.bcast(None::<u8>, root(&comm).max(1)))).await),
    ];
    for (operation, ends) in ends {
        let error = Error::RankOutOfRange { operation, rank: 3, size: 3 };
        assert_eq!(ends[1], Err(error.clone()), "{operation}");
        // Who has not finished learns of it, or that the others called something else.
        assert!(ends.iter().any(|end| matches!(
            end,
            Err(Error::Abandoned { rank: 1, .. } | Error::Mismatch { .. })
        )));
    }
    still_usable(&world.ranks).await;
    world.close().await;
}

/// Lengths that no signature compares: inside values of the user's, and place by place.
async fn an_operation_that_meets_other_lengths(wire: Wire) {
    let world = World::new(wire, 3).await;
    let ends = world
        .each(|comm| {
            let odd = usize::from(comm.rank() == 1);
            let lengths = [2 + odd, 3 - odd, 1];
            ended(comm.reduce_scatter(lengths.map(|len| vec![1u64; len]).to_vec(), op::sum()))
        })
        .await;
    assert!(ends[0].is_err() && ends[1].is_err(), "{ends:?}");
    let reason = "reduce: cannot combine";
    assert!(
        ends.iter()
            .filter_map(|end| end.as_ref().err())
            .all(|error| error.to_string().contains(reason)),
        "{ends:?}"
    );
    still_usable(&world.ranks).await;
    world.close().await;
}
