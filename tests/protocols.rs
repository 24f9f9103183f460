//! Protocols that all ranks call: what they give, how they fail, and that they meet nobody else.

mod job;

use fmi::{Communicator, Error, Protocol, Reason, Result, op};
use futures::future::join_all;
use job::{both, local, soon, tcp};
use std::time::{Duration, Instant};

/// Mean over all ranks of one number each.
#[derive(fmi::Protocol)]
#[protocol(output = f64)]
struct Mean {
    x: f64,
}

impl Mean {
    async fn run(self, comm: &Communicator) -> Result<f64> {
        Ok(comm.allreduce(self.x, op::sum()).await? / comm.size() as f64)
    }
}

/// Borrowed, generic, and made of another protocol: the variance.
#[derive(fmi::Protocol)]
#[protocol(output = f64)]
struct Variance<'a, T: Copy + Into<f64> + Sync>(&'a [T])
where
    T: Send;

impl<T: Copy + Into<f64> + Sync + Send> Variance<'_, T> {
    async fn run(self, comm: &Communicator) -> Result<f64> {
        let x: f64 = self.0.iter().copied().map(Into::into).sum();
        let mean = comm.call(Mean { x }).await?;
        comm.call(Mean { x: (x - mean).powi(2) }).await
    }
}

/// Each rank's place among names that it does not send.
#[derive(fmi::Protocol)]
#[protocol(output = String, state = [&'static str])]
struct Names;

impl Names {
    async fn run(self, names: &[&'static str], comm: &Communicator) -> Result<String> {
        let concat = op::whole(op::ordered(|left: String, right: String| left + &right));
        comm.allreduce(names[comm.rank()].to_owned(), concat).await
    }
}

/// Says what the rank's own input says.
#[derive(fmi::Protocol)]
#[protocol(output = ())]
enum Do {
    Barrier,
    Fail,
    FailHolding,
    Panic,
    Wait,
    Drop,
    Nested(Box<Do>),
}

impl Do {
    async fn run(self, comm: &Communicator) -> Result<()> {
        match self {
            Self::Barrier => comm.barrier().await,
            Self::Fail => Err(Error::failed("out of paper")),
            Self::FailHolding => {
                let _held = comm.barrier();
                Err(Error::failed("out of paper"))
            }
            Self::Panic => panic!("out of ink"),
            Self::Wait => std::future::pending().await,
            Self::Drop => {
                drop(comm.barrier());
                std::future::pending().await
            }
            Self::Nested(inner) => Box::pin(comm.call(*inner)).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn protocols_nest_and_are_generic_and_have_states() {
    for size in [1, 2, 5] {
        for results in both(size, program).await {
            let n = size as f64;
            let expected = ((n - 1.0) / 2.0, (n * n - 1.0) / 12.0, "abcde"[..size].to_owned());
            assert_eq!(results, vec![Ok(expected); size]);
        }
    }
}

/// What a user has written once: with nested calls, a state and collectives of all kinds.
async fn program(comm: Communicator) -> Result<(f64, f64, String)> {
    let mean = comm.call(Mean { x: comm.rank() as f64 }).await?;
    let variance = comm.call(Variance(&[comm.rank() as u32, 1])).await?;
    let names = comm.call_with(Names, &["a", "b", "c", "d", "e"]).await?;
    Ok((mean, variance, names))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_protocol_runs_unchanged_on_local_and_tcp_and_in_the_simulator() {
    let expected = vec![Ok((2.0, 2.0, "abcde".to_owned())); 5];
    for results in both(5, program).await {
        assert_eq!(results, expected);
    }
    let lossy = fmi::sim::Sim::new(5).seed(3).loss(0.05).duplication(0.05).reordering(0.1);
    assert_eq!(lossy.run(program).values(), expected);
    // In packs of two, and with a rank that dies within it: the others name it.
    assert_eq!(fmi::sim::Sim::new(5).pack(2).run(program).values(), expected);
    for frames in 1..12 {
        let death = fmi::sim::Death::AfterFrames(frames);
        let report = fmi::sim::Sim::new(5).kill(3, death).run(program);
        for (rank, end) in report.ends.into_iter().enumerate().filter(|(rank, _)| *rank != 3) {
            match end {
                fmi::sim::End::Done(Ok(value)) => assert_eq!(Ok(value), expected[rank]),
                fmi::sim::End::Done(Err(error)) => {
                    assert!(error.to_string().contains("rank 3"), "after {frames}: {error}");
                }
                other => panic!("after {frames}, rank {rank}: {other:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_calls_overlap_and_meet_nobody() {
    /// Needs the other call to be under way: its tag is the same, its number is not.
    #[derive(fmi::Protocol)]
    #[protocol(output = u32)]
    struct Pass(u32);

    impl Pass {
        async fn run(self, comm: &Communicator) -> Result<u32> {
            let (rank, size) = (comm.rank(), comm.size());
            comm.sendrecv(self.0, (rank + 1) % size, 7, (rank + size - 1) % size, 7).await
        }
    }

    for results in both(3, |comm| async move {
        let (rank, last) = (comm.rank() as u32, (comm.rank() as u32 + 2) % 3);
        // The user's own message with that tag, before, and received after.
        comm.send(99_u32, (comm.rank() + 1) % 3, 7).await?;
        let (first, second) = (comm.call(Pass(rank)), comm.call(Pass(rank + 10)));
        let (second, first) = tokio::join!(second, first);
        let own: u32 = comm.recv((comm.rank() + 2) % 3, 7).await?;
        assert_eq!((first?, second?, own), (last, last + 10, 99));
        Ok::<_, Error>(())
    })
    .await
    {
        assert_eq!(results, vec![Ok(()); 3]);
    }
}

/// What the other ranks get when rank 1 does this and they do that.
async fn others(ranks: &[Communicator], bad: fn() -> Do, good: fn() -> Do) -> Error {
    let start = Instant::now();
    let calls = ranks.iter().map(|comm| {
        let call = comm.call(if comm.rank() == 1 { bad() } else { good() });
        let panics = comm.rank() == 1;
        async move {
            let result = tokio::spawn(call).await;
            assert!(panics || result.is_ok());
            result
        }
    });
    let mut results = soon(join_all(calls)).await;
    let bad = results.remove(1);
    assert!(bad.is_err() || bad.is_ok_and(|result| result.is_err()));
    let errors: Vec<_> = results.into_iter().map(|result| result.unwrap().unwrap_err()).collect();
    assert!(errors.iter().all(|error| *error == errors[0]), "{errors:?}");
    assert!(start.elapsed() < Duration::from_secs(5), "at once");
    let again = ranks.iter().map(|comm| comm.call(Mean { x: 1.0 }));
    assert_eq!(soon(join_all(again)).await, vec![Ok(1.0); ranks.len()], "still usable");
    errors[0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_reaches_all_with_its_cause() {
    let by_rank_1 = |reason| Error::Abandoned { rank: 1, operation: "Do", reason };
    let paper = || by_rank_1(Reason::Error("out of paper".into()));
    for ranks in [local(5).await, tcp(5).await] {
        for _ in 0..20 {
            assert_eq!(others(&ranks, || Do::Fail, || Do::Barrier).await, paper());
            assert_eq!(others(&ranks, || Do::Fail, || Do::Wait).await, paper());
            // What it was in the middle of is not the cause.
            assert_eq!(others(&ranks, || Do::FailHolding, || Do::Barrier).await, paper());
            let nested: fn() -> Do = || Do::Nested(Do::Nested(Do::FailHolding.into()).into());
            let waiting: fn() -> Do = || Do::Nested(Do::Nested(Do::Barrier.into()).into());
            assert_eq!(others(&ranks, nested, waiting).await, paper());
        }
        let panicked = by_rank_1(Reason::Panicked("out of ink".into()));
        assert_eq!(others(&ranks, || Do::Panic, || Do::Barrier).await, panicked);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_inside_keeps_its_root_cause() {
    // Rank 1 drops a barrier inside, and goes on. The others fail in theirs, and so in the call.
    for ranks in [local(4).await, tcp(4).await] {
        let calls = ranks
            .iter()
            .map(|comm| comm.call(if comm.rank() == 1 { Do::Drop } else { Do::Barrier }));
        for (rank, result) in soon(join_all(calls)).await.into_iter().enumerate() {
            let error = result.unwrap_err();
            let Error::Abandoned { rank: 1, reason: Reason::Dropped, operation } = error else {
                panic!("rank {rank}: {error}");
            };
            assert!(["Do", "barrier"].contains(&operation), "{operation}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_root_cause_in_a_part_of_the_group_is_named_in_the_whole() {
    /// The upper ranks split off; one of them gives up.
    #[derive(fmi::Protocol)]
    #[protocol(output = ())]
    struct Halves;

    impl Halves {
        async fn run(self, comm: &Communicator) -> Result<()> {
            let half = comm.split(Some((comm.rank() >= 2) as u64), 0).await?;
            match (half, comm.rank()) {
                (Some(half), 3) => drop(half.barrier()),
                (Some(half), 2) => return half.barrier().await,
                _ => {}
            }
            std::future::pending().await
        }
    }

    for ranks in [local(4).await, tcp(4).await] {
        let results = soon(join_all(ranks.iter().map(|comm| comm.call(Halves)))).await;
        let cause =
            |rank, operation| Err(Error::Abandoned { rank, operation, reason: Reason::Dropped });
        // In the terms of the half for the one that was there, of the whole for the others.
        assert_eq!(results[2], cause(1, "barrier"));
        for rank in [0, 1, 3] {
            assert_eq!(results[rank], cause(3, "Halves"), "rank {rank}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_or_late_call_fails_the_others_at_once() {
    for ranks in [local(3).await, tcp(3).await] {
        let calls: Vec<_> = ranks[1..].iter().map(|comm| comm.call(Do::Barrier)).collect();
        drop(ranks[0].call(Do::Barrier));
        let reason = Reason::Dropped;
        let abandoned = Err(Error::Abandoned { rank: 0, operation: "Do", reason });
        assert_eq!(soon(join_all(calls)).await, vec![abandoned; 2]);

        let after = Duration::from_millis(30);
        let late = ranks[0].call(Do::Barrier).deadline(after);
        let call = ranks[1].call(Do::Wait);
        let (late, other) = soon(async { tokio::join!(late, call) }).await;
        assert_eq!(late, Err(Error::Timeout { rank: 0, operation: "Do", peer: None, after }));
        let reason = Reason::Deadline;
        let abandoned = Err(Error::Abandoned { rank: 0, operation: "Do", reason });
        assert_eq!(other, abandoned);
        // And who calls later.
        assert_eq!(soon(ranks[2].call(Do::Barrier)).await, abandoned);
        let again = ranks.iter().map(|comm| comm.call(Do::Barrier));
        assert_eq!(soon(join_all(again)).await, vec![Ok(()); 3]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn different_protocols_under_one_number_are_both_named() {
    for ranks in [local(2).await, tcp(2).await] {
        // Their messages would match.
        let (zero, one) = (ranks[0].call(Mean { x: 1.0 }), ranks[1].call(Variance(&[1_u8])));
        let (zero, one) = soon(async { tokio::join!(zero, one) }).await;
        let mean = "protocol Mean".to_owned();
        let variance = "protocol Variance<u8>".to_owned();
        let error = |rank, ours: &String, theirs: &String| Error::Mismatch {
            rank,
            ours: ours.clone(),
            peer: 1 - rank,
            theirs: theirs.clone(),
        };
        assert_eq!(zero, Err(error(0, &mean, &variance)));
        assert_eq!(one, Err(error(1, &variance, &mean)));

        // And a collective, also if neither sends the other anything.
        let (zero, one) = (ranks[0].call(Do::Wait), ranks[1].bcast::<u8>(None, 0));
        let (zero, one) = soon(async { tokio::join!(zero, one) }).await;
        let errors = [zero.unwrap_err().to_string(), one.unwrap_err().to_string()];
        assert_eq!(
            errors[0],
            "rank 0 called protocol Do, but rank 1 called bcast of u8 with root 0"
        );
        assert_eq!(
            errors[1],
            "rank 1 called bcast of u8 with root 0, but rank 0 called protocol Do"
        );
        let again = ranks.iter().map(|comm| comm.call(Mean { x: 1.0 }));
        assert_eq!(soon(join_all(again)).await, vec![Ok(1.0); 2]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_leave_nothing_behind() {
    let ranks = local(3).await;
    for round in 0..6000 {
        let calls = ranks.iter().map(|comm| comm.call(Mean { x: comm.rank() as f64 }));
        assert_eq!(soon(join_all(calls)).await, vec![Ok(1.0); 3], "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_can_be_spawned() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    fn is_protocol<P: Protocol<S>, S: ?Sized + Sync>() {}
    is_protocol::<Mean, str>();
    is_protocol::<Names, [&'static str]>();
    let ranks = local(2).await;
    let calls: Vec<_> = ranks.iter().map(|comm| is_send(comm.call(Mean { x: 2.0 }))).collect();
    let tasks: Vec<_> = calls.into_iter().map(tokio::spawn).collect();
    for task in tasks {
        assert_eq!(soon(task).await.unwrap(), Ok(2.0));
    }
}
