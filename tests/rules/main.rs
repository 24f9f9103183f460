//! The rules of the core, a test each; those of collectives in files of their own.
//! (ARCHITECTURE.md has the invariants that serve them.)

#[path = "../job/mod.rs"]
mod job;

mod rule_3_overlap;
mod rule_5_agreement;
mod rule_5_hints;
mod rule_6_failure;

use fmi::{Buf, Error, Reason, op};
use futures::FutureExt;
use job::{config, local, rendezvous, run, soon, tcp, tcp_with};
use std::time::{Duration, Instant};

/// Rule 1: nothing fails or stalls while a rank computes without awaiting.
#[test]
fn rule_1_links_are_served_while_a_rank_computes() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let address = runtime.block_on(rendezvous());
    let other = config(address, 1, 2).join();
    let computing = std::thread::spawn(move || {
        fmi::run_with(config(address, 0, 2), |ctx| async move {
            ctx.barrier().await?;
            std::thread::sleep(Duration::from_secs(2));
            ctx.recv::<Vec<u8>>(1, 0).await.map(drop)
        })
    });
    let result = runtime.block_on(soon(async {
        let comm = other.await?;
        comm.barrier().await?;
        let start = Instant::now();
        comm.send(vec![1_u8; 1000], 0, 0).await?;
        // It arrives, though nobody there looks for it.
        comm.close().await?;
        assert!(start.elapsed() < Duration::from_secs(1), "waited for the computation");
        Ok::<_, Error>(())
    }));
    assert_eq!((result, computing.join().unwrap()), (Ok(()), Ok(())));
}

/// Rule 2: staying awake ends; a long wait costs no CPU, an idle rank little memory.
#[test]
fn rule_2_a_thousand_idle_ranks_cost_no_cpu_and_little_memory() {
    let result = run(1000, |ctx| async move {
        ctx.barrier().await?;
        if ctx.rank() > 0 {
            return ctx.recv::<u8>(0, 0).await.map(drop);
        }
        let resident = status("VmRSS:") / 1000;
        assert!(resident <= 64, "{resident} KiB a rank");
        // The others have come to rest when nothing more is burnt; then for two seconds.
        let mut before = cpu_ticks();
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let now = cpu_ticks();
            if now == before {
                break;
            }
            before = now;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let burnt = cpu_ticks() - before;
        assert!(burnt <= 2, "{burnt} of 200 ticks while all wait");
        for rank in 1..ctx.size() {
            ctx.send(0_u8, rank, 0).await?;
        }
        Ok(())
    });
    assert_eq!(result, Ok(()));
}

/// Rule 3: operations take their place when called; a dropped receive loses nothing, a dropped
/// waiting send leaves no hole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_3_places_are_taken_when_called() {
    for ranks in [local(2).await, tcp(2).await] {
        let (first, second) = (ranks[1].recv::<u32>(0, 0), ranks[1].recv::<u32>(0, 0));
        ranks[0].send(1_u32, 1, 0).await.unwrap();
        ranks[0].send(2_u32, 1, 0).await.unwrap();
        assert_eq!((soon(second).await, soon(first).await), (Ok(2), Ok(1)));
        // Matched, but never taken: goes back to the front.
        ranks[0].send(3_u32, 1, 0).await.unwrap();
        ranks[0].send(4_u32, 1, 0).await.unwrap();
        soon(ranks[1].probe(0, 0)).await.unwrap();
        drop(ranks[1].recv::<u32>(0, 0));
        assert_eq!(soon(ranks[1].recv::<u32>(0, 0)).await, Ok(3));
        assert_eq!(soon(ranks[1].recv::<u32>(0, 0)).await, Ok(4));
    }
    let ranks = tcp_with(2, |config| config.outbox(1)).await;
    ranks[0].send(vec![1_u8; 2 << 20], 1, 0).await.unwrap();
    // No room: it waits, and is taken back.
    assert!(ranks[0].send(vec![2_u8; 10], 1, 0).now_or_never().is_none());
    let third = ranks[0].send(vec![3_u8; 10], 1, 0);
    assert_eq!(soon(ranks[1].recv::<Vec<u8>>(0, 0)).await.unwrap()[0], 1);
    soon(third).await.unwrap();
    assert_eq!(soon(ranks[1].recv::<Vec<u8>>(0, 0)).await.unwrap()[0], 3);
}

/// Rule 4: a send ends when it is in the outbox, `ssend` at the match; crossing sends of any
/// size do not block; `close` returns when all has arrived.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_4_completion_and_credit() {
    for ranks in [local(2).await, tcp(2).await] {
        for (rank, comm) in ranks.iter().enumerate() {
            comm.send(vec![0_u8; 3 << 20], 1 - rank, 0).now_or_never().unwrap().unwrap();
        }
        let matched = ranks[0].ssend(1_u8, 1, 1);
        let early = matched.now_or_never();
        assert_eq!(early, None, "nobody has asked for it yet");
        let (sent, got) =
            soon(async { tokio::join!(ranks[0].ssend(2_u8, 1, 2), ranks[1].recv::<u8>(0, 2)) })
                .await;
        assert_eq!((sent, got), (Ok(()), Ok(2)));
        for (rank, comm) in ranks.iter().enumerate() {
            let got = soon(comm.recv::<Vec<u8>>(1 - rank, 0)).await.unwrap();
            assert_eq!(got.len(), 3 << 20);
        }
    }
    let ranks = tcp(2).await;
    ranks[0].send(vec![7_u8; 1000], 1, 0).await.unwrap();
    soon(ranks[0].close()).await.unwrap();
    // The sender has left; its message is here.
    assert_eq!(soon(ranks[1].recv::<Vec<u8>>(0, 0)).await.unwrap(), vec![7; 1000]);
}

/// Rule 5: what all must agree on is compared, and both sides are named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_5_disagreement_is_named() {
    let ranks = local(2).await;
    let calls =
        async { tokio::join!(ranks[0].scan(1_u8, op::sum()), ranks[1].scan(1_u8, op::max())) };
    let error = soon(calls).await.1.unwrap_err();
    assert_eq!(
        error.to_string(),
        "rank 1 called scan(max) of u8 (1 bytes), but rank 0 called scan(sum) of u8 (1 bytes)"
    );
}

/// Rule 6: a failure travels to all who have not finished, or call later, with its cause.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_6_failure_travels() {
    let ranks = tcp(4).await;
    let waiting: Vec<_> = ranks[..3].iter().map(fmi::Communicator::barrier).collect();
    drop(ranks[3].barrier());
    let reason = Reason::Dropped;
    let abandoned = Err(Error::Abandoned { rank: 3, operation: "barrier", reason });
    assert_eq!(soon(futures::future::join_all(waiting)).await, vec![abandoned; 3]);
}

/// Rule 7: every wait has a deadline, settable by call and in the configuration.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_7_deadlines() {
    let after = Duration::from_millis(50);
    let ranks = tcp_with(2, |config| config.operation_deadline(after)).await;
    let timeout = |operation, peer| Error::Timeout { rank: 0, operation, peer, after };
    assert_eq!(soon(ranks[0].recv::<u8>(1, 0)).await, Err(timeout("recv", Some(1))));
    assert_eq!(soon(ranks[0].probe(1, 0)).await, Err(timeout("probe", Some(1))));
    assert_eq!(soon(ranks[0].barrier()).await, Err(timeout("barrier", Some(1))));
    assert_eq!(soon(ranks[0].ssend(1_u8, 1, 0)).await, Err(timeout("ssend", Some(1))));
    let short = Duration::from_millis(5);
    let called = soon(ranks[0].recv::<u8>(1, 0).deadline(short)).await;
    assert!(matches!(called, Err(Error::Timeout { after, .. }) if after == short));
}

/// Rule 8: inside a process payloads are handed over; one buffer has many readers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_8_payloads_are_handed_over() {
    let ranks = local(16).await;
    let vec = vec![1.0_f64; 1000];
    let place = vec.as_ptr();
    ranks[0].send(vec, 1, 0).await.unwrap();
    let got: Vec<f64> = soon(ranks[1].recv(0, 0)).await.unwrap();
    assert_eq!(got.as_ptr(), place);
    let buf = Buf::from(got);
    let all = ranks.iter().map(|rank| rank.bcast((rank.rank() == 0).then(|| buf.clone()), 0));
    for read in soon(futures::future::join_all(all)).await {
        assert_eq!(read.unwrap().as_ptr(), place);
    }
}

/// Rule 9: operands in rank order, the lower rank on the left, whatever the root.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_9_operands_in_rank_order() {
    let ranks = local(6).await;
    for root in 0..6 {
        let minus = || op::ordered(|a: i64, b: i64| a - b);
        let all = ranks.iter().map(|rank| rank.reduce(1 << rank.rank(), minus(), root));
        let results = soon(futures::future::join_all(all)).await;
        let fold = 1 - 2 - 4 - 8 - 16 - 32;
        let expected = |rank| Ok((rank == root).then_some(fold));
        assert_eq!(results, (0..6).map(expected).collect::<Vec<_>>());
    }
}

/// Rule 10: time comes from a clock that tests move. The pair layer's tests run on one; here is
/// the clock itself.
#[test]
fn rule_10_time_comes_from_a_clock() {
    use fmi_actors::clock::{Clock, ManualClock, Time};
    let clock = ManualClock::default();
    let seen: &dyn Clock = &clock.clone();
    clock.advance(Duration::from_nanos(3));
    assert_eq!(seen.now(), Time(3));
}

/// Rule 11: who does not hold the token gets nowhere, and no message shows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_11_the_token_is_proved_and_never_shown() {
    let address = rendezvous().await;
    let stranger = config(address, 0, 2).token("hunter2");
    assert!(!format!("{stranger:?}").contains("hunter2"));
    let error = soon(stranger.join()).await.unwrap_err();
    assert!(matches!(error, Error::WrongToken { .. }));
    assert!(!format!("{error:?} {error}").contains("hunter2"));
}

/// Processor time of this process, in ticks of 10 ms.
fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// A line of /proc/self/status, in KiB.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Rules 1 and 2: a rank that blocks its own thread in a wait, while it stays awake, is woken.
#[test]
fn rule_1_a_rank_that_blocks_in_a_receive_is_woken() {
    let end = job::run(2, |ctx| async move {
        for turn in 0..20_u64 {
            ctx.barrier().await?;
            if ctx.rank() == 0 {
                let got: u64 = futures::executor::block_on(ctx.recv(1, 0))?;
                assert_eq!(got, turn);
            } else {
                // The other has been asleep for long when this comes.
                std::thread::sleep(Duration::from_millis(3));
                ctx.send(turn, 0, 0).await?;
            }
        }
        Ok::<_, Error>(())
    });
    assert_eq!(end, Ok(()));
}
