//! Rule 3: a collective takes its number when it is called, so calls overlap as they stand.

use crate::job::{local, soon, tcp};
use fmi::{Communicator, op};
use futures::{FutureExt, future::join_all};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_3_the_second_of_two_ends_although_the_first_cannot() {
    for ranks in [local(3).await, tcp(3).await] {
        let both = |comm: &Communicator| {
            (comm.allreduce(1u64 << comm.rank(), op::sum()), comm.allgather(comm.rank() as u8))
        };
        // Rank 2 has called both, but goes on with the second only.
        let (first, second) = both(&ranks[2]);
        let (a, b) = (both(&ranks[0]), both(&ranks[1]));
        let seconds = soon(join_all([a.1, b.1, second])).await;
        assert_eq!(seconds, vec![Ok(vec![0, 1, 2]); 3]);
        let (mut a, mut b) = (a.0.boxed(), b.0.boxed());
        assert!((&mut a).now_or_never().is_none() && (&mut b).now_or_never().is_none());
        let firsts = soon(join_all([a, b, first.boxed()])).await;
        assert_eq!(firsts, vec![Ok(7); 3]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_3_numbers_are_taken_when_called_whatever_is_awaited_first() {
    for ranks in [local(4).await, tcp(4).await] {
        let lives = ranks.iter().cloned().map(|comm| {
            tokio::spawn(async move {
                let rank = comm.rank();
                let one = comm.allreduce(vec![rank as f64; 40_000], op::max());
                let two = comm.scan(rank as u64, op::sum());
                let three = comm.bcast((rank == 1).then(|| "three".to_owned()), 1);
                let dup = comm.dup();
                let four = dup.allreduce(1u8, op::sum());
                let five = comm.reduce_scatter(vec![rank as u64; 4], op::sum());
                // Each rank drives them in another order.
                let (one, two, three, four, five) = match rank {
                    0 => tokio::join!(one, two, three, four, five),
                    1 => {
                        let (five, four, three, two, one) =
                            tokio::join!(five, four, three, two, one);
                        (one, two, three, four, five)
                    }
                    2 => {
                        let (three, one, five, two, four) =
                            tokio::join!(three, one, five, two, four);
                        (one, two, three, four, five)
                    }
                    _ => {
                        let (two, five, one, four, three) =
                            tokio::join!(two, five, one, four, three);
                        (one, two, three, four, five)
                    }
                };
                assert_eq!(one.unwrap(), vec![3.0; 40_000]);
                let scan = (0..=rank as u64).sum();
                assert_eq!((two, three), (Ok(scan), Ok("three".to_owned())));
                assert_eq!((four, five), (Ok(4), Ok(6)));
            })
        });
        for end in soon(join_all(lives)).await {
            end.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_3_scopes_keep_dups_and_splits_apart() {
    for ranks in [local(4).await, tcp(4).await] {
        let lives = ranks.iter().cloned().map(|comm| {
            tokio::spawn(async move {
                let rank = comm.rank();
                let dup = comm.dup();
                // Two tasks, each at its own pace, with the same calls.
                let other = tokio::spawn(async move {
                    for turn in 0..50u64 {
                        let sum = dup.allreduce(turn, op::sum()).await.unwrap();
                        assert_eq!(sum, 4 * turn);
                        if turn % 7 == rank as u64 {
                            tokio::task::yield_now().await;
                        }
                    }
                });
                let half = comm.split(Some(rank as u64 / 2), 0).await.unwrap().unwrap();
                for turn in 0..50u64 {
                    let (whole, part) = tokio::join!(
                        comm.allreduce(turn + 1, op::sum()),
                        half.allreduce(turn + 2, op::sum())
                    );
                    assert_eq!((whole, part), (Ok(4 * turn + 4), Ok(2 * turn + 4)));
                }
                other.await.unwrap();
            })
        });
        for end in soon(join_all(lives)).await {
            end.unwrap();
        }
    }
}

/// A collective has begun when it was called: large ones, awaited in turn, hinder no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_3_what_is_called_first_may_be_awaited_last() {
    for ranks in [local(2).await, tcp(2).await] {
        let zero = async {
            let large = ranks[0].gatherv(vec![7_u8; 8 << 20], 1);
            let small = ranks[0].allreduce(1_u64, op::sum());
            tokio::join!(large, small)
        };
        let one = async {
            let large = ranks[1].gatherv(vec![8_u8; 10], 1);
            let small = ranks[1].allreduce(1_u64, op::sum()).await;
            (large.await, small)
        };
        let (zero, one) = soon(async { tokio::join!(zero, one) }).await;
        assert_eq!((zero.1, one.1), (Ok(2), Ok(2)));
        assert_eq!(one.0.unwrap().unwrap()[0].len(), 8 << 20);
    }
}
