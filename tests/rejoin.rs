//! After a loss: survivors and newcomers meet in the job's next epoch.

mod common;

use common::{
    Rendezvous, bounded,
    child::{Process, entry, say},
    each, until,
};
use fmi::{ANY, Communicator, Config, Error, NoRejoin, Reason, op};
use futures::future::join_all;
use std::{collections::BTreeSet, time::Duration};

/// Long enough that no test which waits for it would end.
const NEVER: Duration = Duration::from_secs(3600);
/// So short that nobody is waited for.
const AT_ONCE: Duration = Duration::from_millis(1);

/// A rank of a job of `size` that waits for replacements for `grace`.
fn config(rendezvous: &Rendezvous, size: usize, grace: Duration) -> Config {
    let config = Config::default().job("test").size(size).grace_deadline(grace);
    // Half of the time for joining bounds the grace.
    rendezvous.reach(config).join_deadline(NEVER * 2)
}

async fn start(size: usize, config: &Config) -> Vec<Communicator> {
    let joins = (0..size).map(|rank| config.clone().rank(rank).join());
    bounded("joining", join_all(joins)).await.into_iter().map(Result::unwrap).collect()
}

async fn rejoin(ranks: &[Communicator]) -> Vec<Communicator> {
    let all = bounded("rejoining", join_all(ranks.iter().map(Communicator::rejoin))).await;
    all.into_iter().map(Result::unwrap).collect()
}

/// All know of a loss.
async fn noticed(ranks: &[Communicator]) {
    each(ranks, |comm| async move {
        let Error::RankLost { .. } = comm.lost().await else { panic!("another error") };
    })
    .await;
}

/// Each rank there once, all of them, in one group that works.
async fn whole(ranks: &[Communicator], size: usize) {
    assert_eq!(ranks.len(), size);
    let numbers: BTreeSet<_> = ranks.iter().map(Communicator::rank).collect();
    assert_eq!(numbers, (0..size).collect());
    let sums = each(ranks, |comm| async move {
        assert_eq!(comm.size(), size);
        comm.allreduce(1_u64 << comm.rank(), op::sum()).await
    })
    .await;
    assert_eq!(sums, vec![Ok((1 << size) - 1); size]);
}

async fn close(ranks: &[Communicator]) {
    each(ranks, |comm| async move { comm.close().await.unwrap() }).await;
}

/// A rank in a process of its own, for as long as it is let.
#[test]
fn worker() {
    if !entry("worker") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let comm = Config::from_env().unwrap().join().await.unwrap();
        say(&format!("{} of {}", comm.rank(), comm.size()));
        while comm.allreduce(1_u64 << comm.rank(), op::sum()).await.is_ok() {}
    });
}

#[tokio::test]
async fn a_killed_process_is_replaced() {
    let rendezvous = Rendezvous::start();
    let config = config(&rendezvous, 4, NEVER);
    let mut killed = Process::start("worker", &rendezvous, 4, "2");
    let joins = [0, 1, 3].map(|rank| config.clone().rank(rank).join());
    let old: Vec<_> = bounded("joining", join_all(joins)).await;
    let old: Vec<_> = old.into_iter().map(Result::unwrap).collect();
    let sums =
        each(&old, |comm| async move { comm.allreduce(1_u64 << comm.rank(), op::sum()).await });
    assert_eq!(sums.await, vec![Ok(15); 3]);

    killed.kill();
    let lost = each(&old, |comm| async move {
        loop {
            if let Err(error) = comm.allreduce(0_u64, op::sum()).await {
                return error;
            }
        }
    });
    let died = Error::RankLost { rank: 2, reason: Reason::Died };
    assert_eq!(lost.await, vec![died; 3]);
    let replacement = Process::start("worker", &rendezvous, 4, "2");
    let new = rejoin(&old).await;
    assert_eq!(replacement.line(), "2 of 4");
    assert_eq!(new.iter().map(Communicator::rank).collect::<Vec<_>>(), [0, 1, 3]);
    let sums =
        each(&new, |comm| async move { comm.allreduce(1_u64 << comm.rank(), op::sum()).await });
    assert_eq!(sums.await, vec![Ok(15); 3]);
    for comm in &old {
        assert_eq!(comm.send(1_u8, 0, 0).await, Err(Error::Closed { operation: "send" }));
        let ended = comm.barrier().await.unwrap_err();
        assert!(matches!(ended, Error::Closed { .. } | Error::RankLost { .. }), "{ended}");
    }
}

#[tokio::test]
async fn survivors_alone_go_on_after_the_grace() {
    let rendezvous = Rendezvous::start();
    let mut ranks = start(4, &config(&rendezvous, 4, AT_ONCE)).await;
    drop(ranks.remove(1));
    noticed(&ranks).await;
    let ranks = rejoin(&ranks).await;
    assert_eq!(ranks.iter().map(Communicator::rank).collect::<Vec<_>>(), [0, 1, 2]);
    whole(&ranks, 3).await;
    // Who is late gets to know why.
    let late = config(&rendezvous, 4, AT_ONCE).rank(1).join().await.unwrap_err();
    assert!(late.to_string().contains("goes on with 3 of its 4 ranks"), "{late}");
    // After the next loss there is room for two.
    let mut ranks = ranks;
    drop(ranks.remove(0));
    noticed(&ranks).await;
    let config = config(&rendezvous, 4, NEVER);
    let (survivors, a, b) =
        tokio::join!(rejoin(&ranks), config.clone().rank(3).join(), config.clone().join());
    whole(&[survivors, vec![a.unwrap(), b.unwrap()]].concat(), 4).await;
}

#[tokio::test]
async fn newcomers_fill_the_vacant_numbers() {
    let rendezvous = Rendezvous::start();
    let config = config(&rendezvous, 4, NEVER);
    let mut ranks = start(4, &config).await;
    drop((ranks.remove(2), ranks.remove(0)));
    noticed(&ranks).await;
    // One of them before anybody else asks.
    let first = tokio::spawn(config.clone().join());
    let (survivors, second) = tokio::join!(rejoin(&ranks), config.clone().join());
    let newcomers = vec![first.await.unwrap().unwrap(), second.unwrap()];
    assert_eq!(survivors.iter().map(Communicator::rank).collect::<Vec<_>>(), [1, 3]);
    let all = [survivors, newcomers].concat();
    whole(&all, 4).await;
    close(&all).await;
}

#[tokio::test]
async fn a_rank_that_left_is_replaced_too() {
    let rendezvous = Rendezvous::start();
    let config = config(&rendezvous, 3, NEVER);
    let mut ranks = start(3, &config).await;
    ranks.remove(0).close().await.unwrap();
    noticed(&ranks).await;
    let (survivors, newcomer) = tokio::join!(rejoin(&ranks), config.clone().rank(0).join());
    whole(&[survivors, vec![newcomer.unwrap()]].concat(), 3).await;
}

/// Functions' network is what they were told; it is this machine. Who comes anew has learnt nothing, has the
/// lowest number, and goes by what the others have learnt all the same.
#[tokio::test]
async fn what_was_learnt_goes_on_after_a_loss() {
    let rendezvous = Rendezvous::start();
    let config = config(&rendezvous, 3, NEVER).profile("aws-lambda");
    let mut ranks = start(3, &config).await;
    let market = |comm: &Communicator| comm.model().expect("they were told one").market.clone();
    for _ in 0..100 {
        if market(&ranks[0]).epoch() > 0 {
            break;
        }
        ranks = each(&ranks, |comm| async move {
            for _ in 0..20 {
                comm.barrier().await.unwrap();
            }
            comm.calibrate().await.unwrap()
        })
        .await;
    }
    let learnt = market(&ranks[0]);
    assert_eq!(learnt.epoch(), 1);
    assert!(ranks.iter().all(|comm| market(comm).to_text() == learnt.to_text()));
    drop(ranks.remove(0));
    noticed(&ranks).await;
    let (survivors, newcomer) = tokio::join!(rejoin(&ranks), config.clone().rank(0).join());
    let all = [vec![newcomer.unwrap()], survivors].concat();
    whole(&all, 3).await;
    assert!(all.iter().all(|comm| market(comm).to_text() == learnt.to_text()));
    // And after the next one, though nobody has learnt anything since.
    let mut ranks = all;
    drop(ranks.remove(1));
    noticed(&ranks).await;
    let (survivors, newcomer) = tokio::join!(rejoin(&ranks), config.clone().rank(1).join());
    let all = [survivors, vec![newcomer.unwrap()]].concat();
    whole(&all, 3).await;
    assert!(all.iter().all(|comm| market(comm).to_text() == learnt.to_text()));
}

#[tokio::test]
async fn a_pack_rejoins_as_a_whole() {
    let rendezvous = Rendezvous::start();
    let config = config(&rendezvous, 5, AT_ONCE);
    let (pack, one, dead) = bounded("joining", async {
        tokio::join!(
            config.clone().ranks([4, 1, 2]).join_all(),
            config.clone().rank(0).join(),
            config.clone().rank(3).join()
        )
    })
    .await;
    let ranks = [pack.unwrap(), vec![one.unwrap()]].concat();
    drop(dead.unwrap());
    noticed(&ranks).await;
    let next = rejoin(&ranks).await;
    // 4 1 2 and 0, without 3.
    assert_eq!(next.iter().map(Communicator::rank).collect::<Vec<_>>(), [3, 1, 2, 0]);
    whole(&next, 4).await;
}

#[tokio::test]
async fn fewer_than_the_minimum_wait_for_more() {
    let rendezvous = Rendezvous::start();
    let config = config(&rendezvous, 3, AT_ONCE).min_size(3);
    let mut ranks = start(3, &config.clone().join_deadline(Duration::from_millis(500))).await;
    drop(ranks.remove(1));
    noticed(&ranks).await;
    let missing = bounded("rejoining", join_all(ranks.iter().map(Communicator::rejoin))).await;
    let after = Duration::from_millis(500);
    let missing: Vec<_> = missing.into_iter().map(Result::unwrap_err).collect();
    for error in missing {
        let Error::Missing { missing, size: 3, after: waited, .. } = error else {
            panic!("{error}");
        };
        assert!(missing.contains(&1) && waited == after);
    }
    // After an error it may be called again.
    let newcomer = tokio::spawn(config.clone().rank(1).join());
    let again = loop {
        let again = bounded("rejoining", join_all(ranks.iter().map(Communicator::rejoin))).await;
        if let Ok(again) = again.into_iter().collect::<Result<Vec<_>, _>>() {
            break again;
        }
    };
    let newcomer = bounded("joining", newcomer).await.unwrap().unwrap();
    whole(&[again, vec![newcomer]].concat(), 3).await;
}

#[tokio::test]
async fn clones_get_the_same_communicator_and_a_dropped_attempt_is_taken_up() {
    let rendezvous = Rendezvous::start();
    let mut ranks = start(3, &config(&rendezvous, 3, AT_ONCE)).await;
    drop(ranks.remove(2));
    noticed(&ranks).await;
    // Polled once, then dropped.
    let mut attempt = Box::pin(ranks[0].rejoin());
    assert!(futures::poll!(&mut attempt).is_pending());
    drop(attempt);
    let clone = ranks[0].clone();
    let all = [ranks[0].clone(), ranks[1].clone(), clone];
    let mut all = rejoin(&all).await;
    let twin = all.pop().unwrap();
    whole(&all, 2).await;
    // One sequence of collectives, not two.
    let (a, b) = (twin.barrier(), all[1].barrier());
    assert_eq!(bounded("a barrier", async { tokio::join!(a, b) }).await, (Ok(()), Ok(())));
    drop((twin, all));
    let twice = Error::Rejoin { job: "test".to_owned(), reason: NoRejoin::Twice };
    assert_eq!(ranks[0].rejoin().await.unwrap_err(), twice);
}

#[tokio::test]
async fn what_cannot_rejoin_says_what_to_do() {
    let refused = |reason| Error::Rejoin { job: "test".to_owned(), reason };
    let local = Config::default().job("test").size(2).join_all().await.unwrap();
    assert_eq!(local[0].rejoin().await.unwrap_err(), refused(NoRejoin::NoRendezvous));

    let mut rendezvous = Rendezvous::start();
    let config = config(&rendezvous, 4, AT_ONCE);
    let mut ranks = start(4, &config.clone().join_deadline(Duration::from_secs(1))).await;
    assert_eq!(ranks[0].rejoin().await.unwrap_err(), refused(NoRejoin::NotBroken));
    whole(&ranks, 4).await;
    drop(ranks.remove(3));
    noticed(&ranks).await;
    let part = ranks[0].dup().rejoin().await.unwrap_err();
    assert!(matches!(part, Error::Argument { operation: "rejoin", .. }), "{part}");

    // A member that lives is waited for, but only for half of `deadlines.join`.
    let straggler = ranks.remove(2);
    let next = rejoin(&ranks).await;
    whole(&next, 2).await;
    assert_eq!(straggler.rejoin().await.unwrap_err(), refused(NoRejoin::Late));
    assert_eq!(straggler.barrier().await, Err(Error::Closed { operation: "barrier" }));

    let mut next = next;
    drop(next.remove(1));
    noticed(&next).await;
    let closed = next[0].clone();
    closed.close().await.unwrap();
    assert_eq!(closed.rejoin().await.unwrap_err(), Error::Closed { operation: "rejoin" });

    // A rendezvous that was started anew does not know the group.
    let mut ranks = start(2, &config.clone().size(2).job("other")).await;
    drop(ranks.remove(1));
    noticed(&ranks).await;
    rendezvous.stop();
    let gone = ranks[0].clone();
    let lost = bounded("rejoining", gone.rejoin());
    // Nothing listens there: it tries until the deadline, so this is only begun.
    assert!(tokio::time::timeout(Duration::from_millis(50), lost).await.is_err());
}

#[tokio::test]
async fn nothing_of_the_old_epoch_reaches_the_new_one() {
    let rendezvous = Rendezvous::start();
    // The same port before and after, where the old epoch's links arrive, too.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = config(&rendezvous, 3, AT_ONCE).join_deadline(Duration::from_secs(1));
    let fixed = config.clone().listen(&port.to_string()).unwrap();
    let (zero, one, two) = bounded("joining", async {
        tokio::join!(
            fixed.rank(0).join(),
            config.clone().rank(1).join(),
            config.clone().rank(2).join()
        )
    })
    .await;
    let (zero, one) = (zero.unwrap(), one.unwrap());
    drop(two.unwrap());
    noticed(&[zero.clone(), one.clone()]).await;
    // Sent but not received in the old group; then one that does not rejoin goes on sending.
    one.send("stale".to_owned(), 0, 7).await.unwrap();
    let new = rejoin(std::slice::from_ref(&zero)).await.remove(0);
    assert_eq!((new.rank(), new.size()), (0, 1));
    loop {
        // Its link is broken; it dials the port, and is refused, until it hears that zero moved.
        match one.send("stale".to_owned(), 0, 7).await {
            Ok(()) => tokio::task::yield_now().await,
            Err(error) => {
                assert_eq!(error, Error::RankLost { rank: 0, reason: Reason::Moved });
                break;
            }
        }
    }
    new.send("fresh".to_owned(), 0, 7).await.unwrap();
    let first = bounded("receiving", new.recv::<String>(ANY, ANY)).await;
    assert_eq!(first.as_deref(), Ok("fresh"));
    assert_eq!(new.iprobe(ANY, ANY), Ok(None));
}

/// Threads and descriptors of this process.
fn holds() -> (usize, usize) {
    let count = |what| std::fs::read_dir(format!("/proc/self/{what}")).unwrap().count();
    (count("task"), count("fd"))
}

#[tokio::test]
async fn twenty_rejoins_leave_nothing_behind() {
    let rendezvous = Rendezvous::start();
    let config = config(&rendezvous, 3, NEVER);
    let mut ranks = start(3, &config).await;
    let mut before = None;
    for round in 0..20 {
        whole(&ranks, 3).await;
        if round == 1 {
            // The first round started what is kept.
            before = Some(holds());
        }
        drop(ranks.remove(round % 3));
        noticed(&ranks).await;
        let (survivors, newcomer) = tokio::join!(rejoin(&ranks), config.clone().join());
        ranks = [survivors, vec![newcomer.unwrap()]].concat();
        ranks.sort_by_key(Communicator::rank);
    }
    whole(&ranks, 3).await;
    let (threads, files) = before.unwrap();
    until("the end of old threads and sockets", || {
        let now = holds();
        now.0 <= threads && now.1 <= files
    });
    close(&ranks).await;
}
