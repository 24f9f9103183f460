//! Rule 6: a failure of one rank ends the collective on all that have not finished, or call it
//! later, with its cause; and nothing of it stays behind.

use crate::job::{local, soon, tcp, tcp_with};
use fmi::{Communicator, Error, Operation, Reason, Result, op, plan::bcast};
use fmi_collectives::Trouble;
use futures::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

type Call = fn(&Communicator) -> BoxFuture<'static, Result<()>>;

fn boxed<T: Send + 'static>(
    operation: Operation<impl Future<Output = Result<T, Trouble>> + Send + 'static>,
) -> BoxFuture<'static, Result<()>> {
    operation.map(|end| end.map(drop)).boxed()
}

/// All collectives, of values short and long.
const CALLS: &[(&str, Call)] = &[
    ("barrier", |comm| boxed(comm.barrier())),
    ("bcast", |comm| boxed(comm.bcast(Some(7u64), 1))),
    ("bcast", |comm| boxed(comm.bcast(Some(vec![7u64; 200_000]), 1))),
    ("gather", |comm| boxed(comm.gather(7u64, 1))),
    ("gatherv", |comm| boxed(comm.gatherv(vec![7u8; 300_000 * comm.rank()], 1))),
    ("scatter", |comm| boxed(comm.scatter(Some(vec![7u64; comm.size()]), 1))),
    ("scatter", |comm| boxed(comm.scatterv(Some(vec![vec![7u8; 300_000]; comm.size()]), 1))),
    ("allgather", |comm| boxed(comm.allgather("seven".to_owned()))),
    ("allgatherv", |comm| boxed(comm.allgatherv(vec![7u8; 300_000]))),
    ("alltoall", |comm| boxed(comm.alltoall(vec![7u64; comm.size()]))),
    ("alltoallv", |comm| boxed(comm.alltoallv(vec![vec![7u8; 300_000]; comm.size()]))),
    ("reduce", |comm| boxed(comm.reduce(7u64, op::sum(), 1))),
    ("reduce", |comm| boxed(comm.reduce(vec![7.0; 200_000], op::ordered(minus), 1))),
    ("allreduce", |comm| boxed(comm.allreduce(7u64, op::sum()))),
    ("allreduce", |comm| boxed(comm.allreduce(vec![7.0; 200_000], op::sum()))),
    ("reduce_scatter", |comm| boxed(comm.reduce_scatter(vec![7u64; comm.size()], op::sum()))),
    ("scan", |comm| boxed(comm.scan("seven".to_owned(), op::associative(concat)))),
    ("scan", |comm| boxed(comm.scan(vec![7.0; 200_000], op::ordered(minus)))),
    ("exscan", |comm| boxed(comm.exscan(7u64, op::sum()))),
    ("split", |comm| boxed(comm.split(Some(0), 0))),
];

fn minus(a: f64, b: f64) -> f64 {
    a - b
}

fn concat(a: String, b: String) -> String {
    a + &b
}

/// A failure that waits for a deadline, or an inquiry, takes longer.
const AT_ONCE: Duration = Duration::from_secs(10);

async fn go_on(ranks: &[Communicator]) {
    let sums = join_all(ranks.iter().map(|comm| comm.allreduce(1u64, op::sum())));
    assert_eq!(soon(sums).await, vec![Ok(ranks.len() as u64); ranks.len()]);
}

/// When this is over, what `from` have told of a failure is there: a notice overtakes messages.
async fn overtaken(from: &[Communicator], to: &Communicator) {
    for from in from {
        from.send(1u8, to.rank(), 1).await.unwrap();
        soon(to.recv::<u8>(from.rank(), 1)).await.unwrap();
    }
}

/// Nothing that was published lies about.
fn swept(ranks: &[Communicator]) {
    for comm in ranks {
        assert_eq!(comm.notes_on_board(), 0, "something is left on the board");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_6_a_dropped_future_ends_all_that_have_not_finished() {
    for ranks in [local(4).await, tcp(4).await] {
        for (operation, call) in CALLS {
            for dropper in [0, 1, 3] {
                for polled in [false, true] {
                    let start = Instant::now();
                    let mut dropped = call(&ranks[dropper]);
                    // Rank 2 calls later, when the others know already.
                    let others = ranks.iter().filter(|comm| ![dropper, 2].contains(&comm.rank()));
                    let others: Vec<_> = others.map(call).collect();
                    let finished = polled && (&mut dropped).now_or_never().is_some();
                    drop(dropped);
                    if finished {
                        let late = call(&ranks[2]);
                        soon(join_all(others.into_iter().chain([late]))).await;
                        continue;
                    }
                    // What it was sent may let one finish, the others learn of it.
                    let ends = others.into_iter().map(tokio::spawn).collect::<Vec<_>>();
                    // Else rank 2 might still give the others what they need.
                    overtaken(&ranks[dropper..=dropper], &ranks[2]).await;
                    let late = call(&ranks[2]);
                    let ends = soon(join_all(ends)).await;
                    let late = soon(late).await;
                    let ends = ends.into_iter().map(std::result::Result::unwrap).chain([late]);
                    let reason = Reason::Dropped;
                    let abandoned = Err(Error::Abandoned { rank: dropper, operation, reason });
                    let mut failed = 0;
                    for end in ends {
                        failed += usize::from(end.is_err());
                        assert!(end.is_ok() || end == abandoned, "{operation}: {end:?}");
                    }
                    let all = [
                        "barrier",
                        "allgather",
                        "allgatherv",
                        "alltoall",
                        "alltoallv",
                        "allreduce",
                        "split",
                    ];
                    assert!(
                        failed == 3 || !all.contains(operation),
                        "{operation}: {failed} failed"
                    );
                    assert!(start.elapsed() < AT_ONCE, "{operation}: {:?}", start.elapsed());
                }
            }
            go_on(&ranks).await;
        }
        swept(&ranks);
    }
}

/// The notice comes between the call and its first poll.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_6_a_failure_that_comes_before_the_first_poll() {
    for ranks in [local(3).await, tcp(3).await] {
        for (operation, call) in CALLS {
            let waiting = [call(&ranks[0]), call(&ranks[1])];
            drop(call(&ranks[2]));
            overtaken(&ranks[2..], &ranks[0]).await;
            overtaken(&ranks[2..], &ranks[1]).await;
            let reason = Reason::Dropped;
            let abandoned = Err(Error::Abandoned { rank: 2, operation, reason });
            for end in soon(join_all(waiting)).await {
                assert!(end.is_ok() || end == abandoned, "{operation}: {end:?}");
            }
        }
        go_on(&ranks).await;
        swept(&ranks);
    }
}

/// Many numbers ahead: who has called nothing yet finds all of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_6_who_calls_later_fails_at_once() {
    for ranks in [local(3).await, tcp(3).await] {
        for _ in 0..100 {
            drop(ranks[0].allreduce(1u64, op::sum()));
        }
        let reason = Reason::Dropped;
        let abandoned = Err(Error::Abandoned { rank: 0, operation: "allreduce", reason });
        let start = Instant::now();
        for comm in &ranks[1..] {
            for _ in 0..100 {
                assert_eq!(soon(comm.allreduce(1u64, op::sum())).await, abandoned);
            }
        }
        assert!(start.elapsed() < AT_ONCE);
        go_on(&ranks).await;
        swept(&ranks);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_6_who_has_finished_keeps_its_result() {
    for ranks in [local(4).await, tcp(4).await] {
        let bcast = |rank: usize| ranks[rank].bcast((rank == 0).then(|| "news".to_owned()), 0);
        // Rank 1's part of the tree is a leaf.
        let (root, leaf) = (bcast(0), bcast(1));
        assert_eq!(
            soon(async { tokio::join!(root, leaf) }).await,
            (Ok("news".into()), Ok("news".into()))
        );
        drop(bcast(2));
        let late = soon(bcast(3)).await;
        let reason = Reason::Dropped;
        let abandoned = Error::Abandoned { rank: 2, operation: "bcast", reason };
        assert!(late == Ok("news".into()) || late == Err(abandoned), "{late:?}");
        go_on(&ranks).await;
        swept(&ranks);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_6_a_deadline_on_one_rank() {
    for ranks in [local(4).await, tcp(4).await] {
        let call = |rank: usize| ranks[rank].allreduce(vec![1.0; 5], op::sum());
        let after = Duration::from_millis(50);
        // Rank 3 does not come in time.
        let waiting = async { tokio::join!(call(0).deadline(after), call(1), call(2)) };
        let (zero, one, two) = soon(waiting).await;
        let Err(Error::Timeout { rank: 0, operation: "allreduce", after: span, .. }) = zero else {
            panic!("{zero:?}")
        };
        assert_eq!(span, after);
        let reason = Reason::Deadline;
        let abandoned = Err(Error::Abandoned { rank: 0, operation: "allreduce", reason });
        assert_eq!((one, two), (abandoned.clone(), abandoned.clone()));
        overtaken(&ranks[..3], &ranks[3]).await;
        assert_eq!(soon(call(3)).await, abandoned);
        go_on(&ranks).await;
        swept(&ranks);
    }
}

/// Calls one bcast after the other until one has to wait; how many have not, and the rest.
fn flood<'a>(root: &'a Communicator, value: &'a [u64]) -> (usize, BoxFuture<'a, Result<Vec<u64>>>) {
    for count in 0..100_000 {
        let mut next = root.bcast(Some(value.to_vec()), 0).boxed();
        match (&mut next).now_or_never() {
            Some(end) => drop(end.unwrap()),
            None => return (count, next),
        }
    }
    panic!("nothing stops it");
}

/// Rule 4 for collectives: a root whose readers are slow waits, within a process and between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_4_a_flood_of_bcasts_is_bounded() {
    const MIB: usize = 1 << 20;
    for (ranks, most) in [(local(3).await, 17 * MIB), (tcp(3).await, 64 * MIB)] {
        for len in [1, 1000, MIB / 8] {
            let value = vec![9u64; len];
            let (count, last) = flood(&ranks[0], &value);
            assert!(count * len * 8 <= most, "{count} bcasts of {len} numbers");
            let readers = ranks[1..].iter().map(|comm| {
                let value = &value;
                async move {
                    for _ in 0..=count {
                        assert_eq!(comm.bcast(None::<Vec<u64>>, 0).await.as_ref(), Ok(value));
                    }
                }
            });
            let (end, _) = soon(async { tokio::join!(last, join_all(readers)) }).await;
            assert_eq!(end.as_ref(), Ok(&value));
        }
        go_on(&ranks).await;
        swept(&ranks);
    }
}

/// Two tasks of one rank that both wait for readers: both go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_4_two_floods_of_one_rank_both_go_on() {
    let ranks = local(2).await;
    let scopes: Vec<[Communicator; 2]> = (0..3).map(|_| [ranks[0].dup(), ranks[1].dup()]).collect();
    let value = vec![9u64; 1 << 17];
    // The first takes all the room.
    let (count, first) = flood(&scopes[0][0], &value);
    // Then two more, that wait, each in a task of its own.
    let waiting = Arc::new(AtomicUsize::new(0));
    let write = |comm: &Communicator| {
        let mut bcast = comm.bcast(Some(value.clone()), 0).boxed();
        let waiting = Arc::clone(&waiting);
        tokio::spawn(std::future::poll_fn(move |context| {
            let poll = bcast.poll_unpin(context);
            waiting.fetch_add(1, Ordering::SeqCst);
            poll.map(|end| end.map(drop))
        }))
    };
    let writers = [write(&scopes[1][0]), write(&scopes[2][0])];
    soon(async {
        while waiting.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let read = |comm: &Communicator, count: usize| {
        let comm = comm.clone();
        async move {
            for _ in 0..count {
                comm.bcast(None::<Vec<u64>>, 0).await.unwrap();
            }
        }
    };
    let (end, ()) = soon(async { tokio::join!(first, read(&scopes[0][1], count + 1)) }).await;
    assert!(end.is_ok());
    // They have room now, before anybody reads what they have.
    for end in soon(join_all(writers)).await {
        assert_eq!(end.unwrap(), Ok(()));
    }
    soon(join_all([read(&scopes[1][1], 1), read(&scopes[2][1], 1)])).await;
    swept(&ranks);
}

/// A long value that is cut short: the frames that are on their way are dropped, and so is what
/// waits in the outbox.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_6_a_pipeline_that_breaks_frees_what_it_holds() {
    for ranks in [local(4).await, tcp_with(4, |config| config.outbox(1 << 20)).await] {
        for turn in 0..20 {
            let chain = |comm: &Communicator| {
                let value = (comm.rank() == 0).then(|| vec![turn as u8; 6 << 20]);
                comm.using(&bcast::chain::ALGORITHM).bcast(value, 0)
            };
            let [a, b, d] = [0, 1, 3].map(|rank| tokio::spawn(chain(&ranks[rank])));
            let breaks = chain(&ranks[2]);
            // Some chunks come through first.
            let _ = tokio::time::timeout(Duration::from_micros(turn * 300), breaks).await;
            for end in soon(join_all([a, b, d])).await {
                let reason = Reason::Dropped;
                let abandoned = Error::Abandoned { rank: 2, operation: "bcast", reason };
                match end.unwrap() {
                    Ok(value) => assert_eq!(value, vec![turn as u8; 6 << 20]),
                    Err(error) => assert_eq!(error, abandoned),
                }
            }
        }
        go_on(&ranks).await;
        swept(&ranks);
    }
}

/// Also where ranks publish and fetch: who has left publishes nothing more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_6_who_waits_for_a_rank_that_has_left_is_told() {
    let short = |config: fmi::Config| config.silent_deadline(Duration::from_millis(500));
    for (name, call) in CALLS {
        for ranks in [local(3).await, tcp_with(3, short).await] {
            let leaver = ranks[1].clone();
            soon(leaver.close()).await.unwrap();
            let ends = soon(join_all([call(&ranks[0]), call(&ranks[2])])).await;
            // Not all need it; nobody waits for ever.
            for end in ends {
                if let Err(error) = end {
                    assert!(error.to_string().contains("rank 1"), "{name}: {error}");
                }
            }
        }
    }
}

/// A rank that waits for room to send hears of it, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_6_who_waits_for_room_to_send_is_told() {
    let ranks = tcp(4).await;
    let long = |rank: usize| (rank == 0).then(|| vec![7_u64; 2 << 20]);
    let sender = tokio::spawn(ranks[0].using(&bcast::chain::ALGORITHM).bcast(long(0), 0));
    // Rank 1 computes, and takes nothing.
    tokio::task::yield_now().await;
    drop(ranks[3].using(&bcast::chain::ALGORITHM).bcast(long(3), 0));
    let error = soon(sender).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Abandoned { rank: 3, .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_7_a_splits_deadline_is_its_own_and_the_cause() {
    let ranks = tcp(3).await;
    let after = Duration::from_millis(100);
    let other = tokio::spawn(ranks[1].split(Some(0), 0));
    let error = soon(ranks[0].split(Some(0), 0).deadline(after)).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { operation: "split", after: a, .. } if a == after));
    let error = soon(other).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Abandoned { rank: 0, reason: Reason::Deadline, .. }), "{error}");
}
