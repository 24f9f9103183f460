//! Rule 5: what all must agree on is compared, and both sides are named, also where no frame
//! goes from one to the other.

use crate::job::{local, soon, tcp};
use fmi::{
    Communicator, Error, Result, op,
    plan::{Algorithm, Rule, Shape, Step, Table, allgather, allreduce, bcast, gather},
};
use futures::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use std::time::{Duration, Instant};

/// Calls something, at once; what it gives does not matter.
type Call = fn(&Communicator) -> BoxFuture<'static, Result<()>>;

/// What one rank calls and all others do, as errors name it.
struct Quarrel(Call, &'static str, Call, &'static str);

fn boxed<T>(
    operation: impl Future<Output = Result<T>> + Send + 'static,
) -> BoxFuture<'static, Result<()>>
where
    T: 'static,
{
    operation.map(|end| end.map(drop)).boxed()
}

const SUM: Call = |comm| boxed(comm.allreduce(1u64, op::sum()));

const QUARRELS: &[Quarrel] = &[
    // Another operation.
    Quarrel(|comm| boxed(comm.barrier()), "barrier", SUM, "allreduce(sum) of u64 (8 bytes)"),
    Quarrel(
        |comm| boxed(comm.gather(1u8, 0)),
        "gather of u8 (1 bytes) with root 0",
        |comm| boxed(comm.allgather(1u8)),
        "allgather of u8 (1 bytes)",
    ),
    // Another root.
    Quarrel(
        |comm| boxed(comm.reduce(1u8, op::max(), 1)),
        "reduce(max) of u8 (1 bytes) with root 1",
        |comm| boxed(comm.reduce(1u8, op::max(), 0)),
        "reduce(max) of u8 (1 bytes) with root 0",
    ),
    // Another type.
    Quarrel(
        |comm| boxed(comm.allreduce(1i64, op::sum())),
        "allreduce(sum) of i64 (8 bytes)",
        SUM,
        "allreduce(sum) of u64 (8 bytes)",
    ),
    Quarrel(
        |comm| boxed(comm.allgather("a".to_owned())),
        "allgather of String",
        |comm| boxed(comm.allgatherv(vec![b'a'])),
        "allgather of u8",
    ),
    // Another length.
    Quarrel(
        |comm| boxed(comm.scan(vec![0u16; 70_000], op::sum())),
        "scan(sum) of u16 (140000 bytes)",
        |comm| boxed(comm.scan(vec![0u16; 3], op::sum())),
        "scan(sum) of u16 (6 bytes)",
    ),
    Quarrel(
        |comm| boxed(comm.alltoall(vec![[0u8; 0].to_vec(); comm.size()])),
        "alltoall of u8 (0 bytes)",
        |comm| boxed(comm.alltoall(vec![vec![1u8]; comm.size()])),
        "alltoall of u8 (1 bytes)",
    ),
    // Another reduce operation.
    Quarrel(
        |comm| boxed(comm.allreduce(1u64, op::max())),
        "allreduce(max) of u64 (8 bytes)",
        SUM,
        "allreduce(sum) of u64 (8 bytes)",
    ),
    Quarrel(
        |comm| boxed(comm.reduce_scatter(vec![1u64; comm.size()], op::ordered(|a, b| a - b))),
        "reduce_scatter(a function) of u64 (8 bytes)",
        |comm| boxed(comm.reduce_scatter(vec![1u64; comm.size()], op::prod())),
        "reduce_scatter(prod) of u64 (8 bytes)",
    ),
    // Another algorithm.
    Quarrel(
        |comm| {
            let comm = comm.using(&allreduce::reduce_bcast::ALGORITHM);
            boxed(comm.allreduce(1u64, op::sum()))
        },
        "allreduce(sum) of u64 (8 bytes) by reduce_bcast",
        |comm| {
            let comm = comm.using(&allreduce::recursive_doubling::ALGORITHM);
            boxed(comm.allreduce(1u64, op::sum()))
        },
        "allreduce(sum) of u64 (8 bytes) by recursive_doubling",
    ),
    Quarrel(
        |comm| boxed(comm.using(&allgather::recursive_doubling::ALGORITHM).allgather(1u64)),
        "allgather of u64 (8 bytes) by recursive_doubling",
        |comm| boxed(comm.using(&allgather::ring::ALGORITHM).allgather(1u64)),
        "allgather of u64 (8 bytes) by ring",
    ),
    // A communicator is made.
    Quarrel(
        |comm| {
            drop(comm.dup());
            std::future::ready(Ok(())).boxed()
        },
        "dup",
        SUM,
        "allreduce(sum) of u64 (8 bytes)",
    ),
];

/// All ranks that did not finish name both; nobody gets something else.
fn both_named(ends: &[Result<()>], calls: &[&str]) {
    for (own, end) in ends.iter().enumerate() {
        let Err(error) = end else { continue };
        let Error::Mismatch { rank, ours, peer, theirs } = error else {
            panic!("{calls:?}: rank {own} got {error:?}")
        };
        assert_eq!((calls[*rank], calls[*peer]), (ours.as_str(), theirs.as_str()), "rank {own}");
        assert_ne!(ours, theirs, "rank {own}");
    }
}

/// After each the communicator goes on.
async fn go_on(ranks: &[Communicator]) {
    let sums = join_all(ranks.iter().map(|comm| comm.allreduce(1u64, op::sum())));
    assert_eq!(soon(sums).await, vec![Ok(ranks.len() as u64); ranks.len()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_5_who_calls_something_else_is_named_on_both_sides() {
    for size in [2, 4] {
        for ranks in [local(size).await, tcp(size).await] {
            for Quarrel(odd, odd_name, call, name) in QUARRELS {
                for other in 0..size {
                    let calls = ranks
                        .iter()
                        .map(|comm| if comm.rank() == other { odd(comm) } else { call(comm) });
                    let ends = soon(join_all(calls.collect::<Vec<_>>())).await;
                    let mut calls = vec![*name; size];
                    calls[other] = odd_name;
                    both_named(&ends, &calls);
                    // Of two that only send, neither waits, and neither learns of the other.
                    let rootless = other == 0 && odd_name.contains("root 1");
                    assert!(rootless || ends.iter().any(Result::is_err), "{calls:?}: unnoticed");
                    go_on(&ranks).await;
                }
            }
        }
    }
}

/// A pair of calls in which each waits for the other, so that nobody sends anything; in the words
/// of those who call.
struct Silence([Call; 2], [&'static str; 2]);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_5_also_where_no_frame_goes_between_them() {
    let silences = [
        Silence(
            [|comm| boxed(comm.bcast(None::<u64>, 1)), |comm| boxed(comm.bcast(None::<u64>, 0))],
            ["bcast of u64 with root 1", "bcast of u64 with root 0"],
        ),
        Silence(
            [|comm| boxed(comm.scatter(None::<Vec<u64>>, 1)), |comm| boxed(comm.gather(1u64, 1))],
            ["scatter of u64 (8 bytes) with root 1", "gather of u64 (8 bytes) with root 1"],
        ),
        Silence(
            [|comm| boxed(comm.bcast(None::<u8>, 1)), |comm| boxed(comm.reduce(1u8, op::sum(), 1))],
            ["bcast of u8 with root 1", "reduce(sum) of u8 (1 bytes) with root 1"],
        ),
    ];
    for ranks in [local(2).await, tcp(2).await] {
        for Silence([zero, one], calls) in &silences {
            let start = Instant::now();
            let ends = soon(join_all([zero(&ranks[0]), one(&ranks[1])])).await;
            assert!(ends.iter().all(Result::is_err), "{ends:?}");
            both_named(&ends, calls);
            assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
            go_on(&ranks).await;
        }
    }
    // Four ranks, each waiting for another.
    for ranks in [local(4).await, tcp(4).await] {
        let start = Instant::now();
        let roots = [1, 0, 3, 2];
        let calls =
            ranks.iter().zip(roots).map(|(comm, root)| boxed(comm.bcast(None::<u64>, root)));
        let ends = soon(join_all(calls.collect::<Vec<_>>())).await;
        assert!(ends.iter().all(Result::is_err), "{ends:?}");
        both_named(
            &ends,
            &roots.map(|root| {
                [
                    "bcast of u64 with root 0",
                    "bcast of u64 with root 1",
                    "bcast of u64 with root 2",
                    "bcast of u64 with root 3",
                ][root]
            }),
        );
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        go_on(&ranks).await;
    }
}

/// One rank's table says something else of a bcast: what the root says holds, or it is told; a
/// rank that would wait for a frame where the others publish included.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_5_a_bcast_by_another_algorithm() {
    let bcast = |comm: &Communicator, algorithm: Option<&'static Algorithm>| {
        let comm = algorithm.map_or_else(|| comm.clone(), |algorithm| comm.using(algorithm));
        comm.bcast((comm.rank() == 1).then_some(5u64), 1)
    };
    for (ranks, published) in [(local(4).await, true), (tcp(4).await, false)] {
        for algorithm in [&bcast::binomial::ALGORITHM, &bcast::chain::ALGORITHM] {
            for odd in 0..4 {
                let calls =
                    ranks.iter().map(|comm| bcast(comm, (comm.rank() == odd).then_some(algorithm)));
                let start = Instant::now();
                let ends = soon(join_all(calls.collect::<Vec<_>>())).await;
                if published {
                    assert!(ends.iter().any(Result::is_err), "{odd}: nobody noticed");
                    for error in ends.into_iter().filter_map(Result::err) {
                        let text = error.to_string();
                        assert!(matches!(error, Error::Mismatch { .. }), "{text}");
                        assert!(text.contains("by shared"), "{text}");
                    }
                } else {
                    assert_eq!(ends, vec![Ok(5); 4], "{odd}");
                }
                assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
                go_on(&ranks).await;
            }
        }
    }
}

/// Where no error is seen on the way, since the one who differs has finished long ago.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_5_who_has_finished_is_named_too() {
    for ranks in [local(4).await, tcp(4).await] {
        // Its part ends when it has sent.
        let gather = gather::linear::ALGORITHM;
        assert_eq!(gather.name, "linear");
        let comm = ranks[3].using(&gather::linear::ALGORITHM);
        let early = soon(comm.gather(1u64, 0)).await;
        let waiting = ranks[..3].iter().map(|comm| comm.allreduce(1u64, op::sum()));
        let ends = soon(join_all(waiting)).await;
        for end in ends {
            let error = end.unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, Error::Mismatch { .. }) && text.contains("gather"), "{text}");
        }
        assert!(early.is_ok() || matches!(early, Err(Error::Mismatch { .. })), "{early:?}");
        go_on(&ranks).await;
    }
}

/// A rule of the table that only the root could apply must not part it from the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_5_a_root_that_knows_more_still_does_what_the_others_await() {
    let table = Table::default()
        .prefer(Rule::always(&bcast::binomial::ALGORITHM))
        .prefer(Rule::always(&bcast::shared::ALGORITHM).from_bytes(1000));
    let ranks: Vec<_> = local(3).await.iter().map(|comm| comm.with_table(table.clone())).collect();
    for length in [10, 100_000] {
        let calls =
            ranks.iter().map(|comm| comm.bcast((comm.rank() == 0).then(|| vec![1_u64; length]), 0));
        for value in soon(join_all(calls)).await {
            assert_eq!(value.unwrap().len(), length);
        }
    }
}

/// A bcast of one's own that has the name of one of the library's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_5_an_algorithm_of_ones_own_may_have_any_name() {
    static MINE: Algorithm = Algorithm {
        steps: |rank, shape| {
            // From the root to each, one after the other.
            let others = (0..shape.size).filter(move |other| *other != shape.root);
            if rank == shape.root {
                Box::new(others.map(|to| Step::send(to, 0)))
            } else {
                Box::new(std::iter::once(Step::recv(shape.root, 0)))
            }
        },
        rounds: |shape| shape.size - 1,
        sent: |shape| shape.size - 1,
        ..bcast::binomial::ALGORITHM
    };
    MINE.check(Shape::of(5).rooted(2)).unwrap();
    for ranks in [local(5).await, tcp(5).await] {
        let calls = ranks.iter().map(|comm| {
            let comm = comm.using(&MINE);
            comm.bcast((comm.rank() == 2).then(|| "mine".to_owned()), 2)
        });
        assert_eq!(soon(join_all(calls)).await, vec![Ok("mine".to_owned()); 5]);
    }
}

/// What a dup met, its operations say; nobody else is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_5_a_dup_that_met_something_else_says_so_here_too() {
    let ranks = local(2).await;
    let waiting = ranks[1].barrier();
    let dup = ranks[0].dup();
    let named = |error: Error| matches!(error, Error::Mismatch { .. });
    assert!(named(soon(waiting).await.unwrap_err()));
    assert!(named(soon(dup.barrier()).await.unwrap_err()));
    assert!(named(soon(dup.send(1_u8, 1, 0)).await.unwrap_err()));
}
