//! Bad input and faults, and what each gets: a clear error that names who and what, and no hang.

mod job;

use fmi::{ANY, Error, Reason, op};
use job::{config, local, rendezvous, run, soon, tcp, tcp_with};
use std::{
    io::Write,
    net::TcpStream,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rank_beyond_the_size() {
    let comm = &local(2).await[0];
    let wrong = |operation| Error::RankOutOfRange { operation, rank: 2, size: 2 };
    assert_eq!(comm.send(1_u8, 2, 0).await, Err(wrong("send")));
    assert_eq!(comm.recv::<u8>(2, 0).await, Err(wrong("recv")));
    assert_eq!(comm.bcast(Some(1_u8), 2).await, Err(wrong("bcast")));
    let joined = config(rendezvous().await, 5, 3).join().await;
    assert_eq!(joined.unwrap_err(), Error::RankOutOfRange { operation: "join", rank: 5, size: 3 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_ranks_with_one_number() {
    let address = rendezvous().await;
    let join = |rank| config(address, rank, 2).join();
    let (first, second, other) = soon(async { tokio::join!(join(0), join(0), join(1)) }).await;
    // Whichever came second is refused, the other one meets rank 1.
    assert!(other.is_ok());
    let refused = if first.is_ok() { second } else { first };
    assert_eq!(refused.unwrap_err(), Error::RankTaken { rank: 0, job: "default".into() });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_token() {
    let address = rendezvous().await;
    let joined = config(address, 0, 1).size(2).token("hunter2").join().await;
    let error = joined.unwrap_err();
    assert!(matches!(error, Error::WrongToken { .. }), "{error:?}");
    assert!(!error.to_string().contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sizes_that_differ() {
    let address = rendezvous().await;
    let (two, three) = tokio::join!(
        soon(config(address, 0, 2).join_deadline(Duration::from_secs(1)).join()),
        async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            config(address, 1, 3).join().await
        }
    );
    assert!(matches!(two, Err(Error::Missing { .. })), "{two:?}");
    let job = "default".to_owned();
    assert_eq!(three.unwrap_err(), Error::SizeMismatch { job, ours: 3, theirs: 2 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_never_comes_is_named() {
    let after = Duration::from_millis(300);
    let address = rendezvous().await;
    let (zero, two) = tokio::join!(
        config(address, 0, 3).join_deadline(after).join(),
        config(address, 2, 3).join_deadline(after * 3).join()
    );
    let missing = Error::Missing { job: "default".into(), missing: vec![1], size: 3, after };
    assert_eq!(zero.unwrap_err(), missing);
    // Rank 2 gives up later and finds rank 0 gone, too.
    assert!(matches!(two, Err(Error::Missing { missing, .. }) if missing == [0, 1]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_type_or_length() {
    let ranks = tcp(2).await;
    ranks[0].send(7_u32, 1, 1).await.unwrap();
    ranks[0].send(vec![1_u64; 3], 1, 2).await.unwrap();
    let found = ranks[1].recv::<u64>(0, 1).await;
    let (expected, sent) = ("u64".to_owned(), "u32".to_owned());
    assert_eq!(found, Err(Error::Type { rank: 1, peer: 0, expected, found: sent }));
    let found = ranks[1].recv::<u64>(0, 2).await;
    assert_eq!(found, Err(Error::Length { rank: 1, peer: 0, expected: 8, found: 24 }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_ranks_in_different_collectives_are_both_named() {
    for ranks in [local(2).await, tcp(2).await] {
        let (zero, one) =
            soon(async { tokio::join!(ranks[0].allreduce(1_u64, op::sum()), ranks[1].barrier()) })
                .await;
        let allreduce = "allreduce(sum) of u64 (8 bytes)".to_owned();
        let barrier = "barrier".to_owned();
        let error = |rank, ours: &String, theirs: &String| Error::Mismatch {
            rank,
            ours: ours.clone(),
            peer: 1 - rank,
            theirs: theirs.clone(),
        };
        assert_eq!(zero, Err(error(0, &allreduce, &barrier)));
        assert_eq!(one, Err(error(1, &barrier, &allreduce)));
        // The communicator stays usable.
        let (zero, one) = tokio::join!(ranks[0].barrier(), ranks[1].barrier());
        assert_eq!((zero, one), (Ok(()), Ok(())));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lengths_that_differ_are_both_named() {
    let ranks = tcp(3).await;
    let call = |rank: usize| {
        let length = if rank == 2 { 5 } else { 4 };
        ranks[rank].allreduce(vec![1.0_f64; length], op::sum())
    };
    let (zero, one, two) = soon(async { tokio::join!(call(0), call(1), call(2)) }).await;
    for error in [zero, one, two].map(Result::unwrap_err) {
        let text = error.to_string();
        assert!(text.contains("(32 bytes)") && text.contains("(40 bytes)"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_names_the_peer_and_the_others_learn_it() {
    let ranks = tcp(3).await;
    let after = Duration::from_millis(150);
    let timeout = |operation| Error::Timeout { rank: 0, operation, peer: Some(2), after };
    let found = ranks[0].recv::<u8>(2, 0).deadline(after).await;
    assert_eq!(found, Err(timeout("recv")));
    // Rank 2 does not come.
    let barriers = async { tokio::join!(ranks[0].barrier().deadline(after), ranks[1].barrier()) };
    let (zero, one) = soon(barriers).await;
    assert_eq!(zero, Err(timeout("barrier")));
    let reason = Reason::Deadline;
    assert_eq!(one, Err(Error::Abandoned { rank: 0, operation: "barrier", reason }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_collective_fails_elsewhere_at_once() {
    for ranks in [local(3).await, tcp(3).await] {
        let waiting = (ranks[1].barrier(), ranks[2].barrier());
        drop(ranks[0].barrier());
        let (one, two) = soon(async { tokio::join!(waiting.0, waiting.1) }).await;
        let reason = Reason::Dropped;
        let abandoned = Error::Abandoned { rank: 0, operation: "barrier", reason };
        assert_eq!((one, two), (Err(abandoned.clone()), Err(abandoned)));
        let again = ranks.iter().map(|rank| rank.allreduce(1_u8, op::sum()));
        assert_eq!(soon(futures::future::join_all(again)).await, vec![Ok(3); 3]);
    }
}

#[test]
fn a_panic_in_one_main_ends_all() {
    let start = Instant::now();
    let result = run(3, |ctx| async move {
        assert!(ctx.rank() != 1, "rank one breaks");
        // Waits for ever, but for the panic.
        ctx.recv::<u8>(ANY, 0).await.map(drop)
    });
    let reason = Reason::Panicked("rank one breaks".into());
    assert_eq!(result, Err(Error::RankLost { rank: 1, reason }));
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn an_error_of_one_main_ends_all() {
    let result = run(2, |ctx| async move {
        if ctx.rank() == 1 {
            return Err("no more paper".to_owned());
        }
        ctx.barrier().await.map_err(|error| error.to_string())
    });
    let reason = Reason::Failed("no more paper".into());
    assert_eq!(result, Err(Error::RankLost { rank: 1, reason }));
}

#[test]
fn a_main_that_returns_while_its_sends_are_unread() {
    let result = run(2, |ctx| async move {
        if ctx.rank() == 0 {
            for number in 0..100_u32 {
                ctx.send(number, 1, 0).await?;
            }
            return Ok(());
        }
        for number in 0..100 {
            assert_eq!(ctx.recv::<u32>(0, 0).await?, number);
        }
        // And nothing more will come: that is said, not waited for.
        let more = ctx.recv::<u32>(0, 0).await;
        assert_eq!(more, Err(Error::RankLost { rank: 0, reason: Reason::Left }));
        Ok::<_, Error>(())
    });
    assert_eq!(result, Ok(()));
}

#[test]
fn one_rank_alone() {
    let result = run(1, |ctx| async move {
        ctx.barrier().await?;
        assert_eq!(ctx.allreduce(vec![1.5], op::sum()).await?, [1.5]);
        assert_eq!(ctx.gather(3, 0).await?, Some(vec![3]));
        ctx.send("to myself".to_owned(), 0, 0).await?;
        assert_eq!(ctx.recv::<String>(0, 0).await?, "to myself");
        Ok::<_, Error>(())
    });
    assert_eq!(result, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_starves_no_collective_and_loses_nothing() {
    let ranks = tcp(3).await;
    let flood = {
        let comm = ranks[0].clone();
        tokio::spawn(async move {
            for number in 0..3000_u32 {
                comm.send(vec![number; 2500], 1, 0).await?;
            }
            Ok::<_, Error>(())
        })
    };
    for _ in 0..20 {
        let all = ranks.iter().map(|rank| rank.allreduce(1_u8, op::sum()));
        let all = futures::future::join_all(all);
        assert_eq!(soon(all).await, vec![Ok(3); 3]);
    }
    for number in 0..3000 {
        let got = soon(ranks[1].recv::<Vec<u32>>(0, 0)).await.unwrap();
        assert_eq!((got[0], got.len()), (number, 2500));
    }
    assert_eq!(soon(flood).await.unwrap(), Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_with_similar_names_never_meet() {
    let address = rendezvous().await;
    let join = |job: &str, rank, size| config(address, rank, size).job(job).join();
    let short: Vec<_> = (0..13).map(|rank| join("App", rank, 13)).collect();
    let long: Vec<_> = (0..3).map(|rank| join("App1", rank, 3)).collect();
    let (short, long) = soon(async {
        tokio::join!(futures::future::join_all(short), futures::future::join_all(long))
    })
    .await;
    let short: Vec<_> = short.into_iter().map(Result::unwrap).collect();
    let long: Vec<_> = long.into_iter().map(Result::unwrap).collect();
    long[0].send("for App1, rank 2".to_owned(), 2, 0).await.unwrap();
    short[0].send("for App, rank 12".to_owned(), 12, 0).await.unwrap();
    assert_eq!(soon(short[12].recv::<String>(ANY, ANY)).await.unwrap(), "for App, rank 12");
    assert_eq!(soon(long[2].recv::<String>(ANY, ANY)).await.unwrap(), "for App1, rank 2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_both_ports_harms_nobody() {
    let address = rendezvous().await;
    // Fixed ports, so that we know where to throw it.
    let port = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ports = [port(), port()];
    let joins = ports
        .iter()
        .enumerate()
        .map(|(rank, port)| config(address, rank, 2).listen(&port.to_string()).unwrap().join());
    let ranks: Vec<_> =
        soon(futures::future::join_all(joins)).await.into_iter().map(Result::unwrap).collect();
    for target in [address, ports[0], ports[1]] {
        for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 4096], b"FMI1", &[]] {
            let mut stream = TcpStream::connect(target).unwrap();
            // It may be cut off before all of it is written.
            let _ = stream.write_all(garbage);
        }
    }
    let all = ranks.iter().map(|rank| rank.allreduce(1_u8, op::sum()));
    assert_eq!(soon(futures::future::join_all(all)).await, vec![Ok(2); 2]);
    assert!(soon(config(address, 0, 1).job("another").join()).await.is_ok());
}

#[test]
fn a_port_in_use() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let error = runtime.block_on(async {
        config(rendezvous().await, 0, 2).listen(&address).unwrap().join().await.unwrap_err()
    });
    assert!(matches!(&error, Error::Listen { address: named, .. } if *named == address), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rank_that_computes_is_not_lost_and_keeps_nobody_waiting() {
    let address = rendezvous().await;
    let quick = move |rank| config(address, rank, 2).silent_deadline(Duration::from_secs(1));
    let other = quick(1).join();
    // A rank on an arbiter of its own, as in a program of its own, that never awaits.
    let computing = tokio::task::spawn_blocking(move || {
        let mine = quick(0);
        fmi::run_with(mine, |ctx| async move {
            for number in 0..15_u32 {
                ctx.send(vec![number; 50_000], 1, 0).await?;
            }
            ctx.barrier().await?;
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(4) {
                std::hint::spin_loop();
            }
            assert_eq!(ctx.recv::<u32>(1, 1).await?, 99);
            Ok::<_, Error>(())
        })
    });
    let comm = soon(other).await.unwrap();
    let barrier = comm.barrier();
    // What it sent comes while it computes, and what it is sent is taken from our hands.
    soon(barrier).await.unwrap();
    let start = Instant::now();
    for number in 0..15 {
        assert_eq!(soon(comm.recv::<Vec<u32>>(0, 0)).await.unwrap()[0], number);
    }
    for number in 0..100_u32 {
        comm.send(number, 0, if number == 99 { 1 } else { 2 }).await.unwrap();
    }
    assert!(start.elapsed() < Duration::from_secs(2), "waited for the computation");
    assert_eq!(soon(computing).await.unwrap(), Ok(()));
    let _ = comm.close().await;
}

/// The child's program in the test below.
#[test]
fn child_rank() {
    let Ok(address) = std::env::var("FMI_TEST_CHILD") else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let comm = config(address.parse().unwrap(), 2, 3).join().await.unwrap();
        // Half of what rank 0 waits for, then nothing any more.
        comm.send(vec![1_u8; 100_000], 0, 1).await.unwrap();
        comm.barrier().await.unwrap();
        std::future::pending::<()>().await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_is_named_on_all_ranks() {
    let address = rendezvous().await;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_rank", "--nocapture"])
        .env("FMI_TEST_CHILD", address.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (zero, one) = tokio::join!(config(address, 0, 3).join(), config(address, 1, 3).join());
    let (zero, one) = (zero.unwrap(), one.unwrap());
    let (a, b) = soon(async { tokio::join!(zero.barrier(), one.barrier()) }).await;
    assert_eq!((a, b), (Ok(()), Ok(())));
    // What collectives send may overtake it, where both waited for a link.
    soon(zero.probe(2, 1)).await.unwrap();
    let waiting = (zero.recv::<u8>(2, 9), one.allreduce(1, op::sum()));
    child.kill().unwrap();
    child.wait().unwrap();
    let (a, b) = soon(async { tokio::join!(waiting.0, waiting.1) }).await;
    let lost = Error::RankLost { rank: 2, reason: Reason::Died };
    assert_eq!((a, b), (Err(lost.clone()), Err(lost.clone())));
    assert_eq!(zero.send(1_u8, 2, 0).await, Err(lost));
    // What it had sent before is still there.
    assert_eq!(zero.recv::<Vec<u8>>(2, 1).await.map(|got| got.len()), Ok(100_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_hold_for_every_size_of_outbox() {
    let ranks = tcp_with(2, |config| config.outbox(1)).await;
    let receive = async {
        for _ in 0..100 {
            assert_eq!(ranks[1].recv::<Vec<u8>>(0, 0).await.map(|got| got.len()), Ok(10_000));
        }
    };
    let send = async {
        for _ in 0..100 {
            ranks[0].send(vec![0_u8; 10_000], 1, 0).await.unwrap();
        }
    };
    soon(async { tokio::join!(send, receive) }).await;
}
