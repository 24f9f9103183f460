//! The typed surface over `local` and `tcp`, against what a single loop would compute.

mod job;

use fmi::{ANY, Buf, op};
use job::both;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, fmi::Message)]
struct Particle {
    name: String,
    position: [f64; 3],
}

fn particle(rank: usize) -> Particle {
    Particle { name: format!("p{rank}"), position: [rank as f64, 0.5, -1.0] }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_type_arrives_whole() {
    let results = both(2, |comm| async move {
        let peer = 1 - comm.rank();
        comm.send(7_u64, peer, 1).await?;
        comm.send("text".to_owned(), peer, 2).await?;
        comm.send(vec![1.5_f64; 1000], peer, 3).await?;
        comm.send(particle(comm.rank()), peer, 4).await?;
        comm.send(Vec::<u8>::new(), peer, 5).await?;
        comm.send((), peer, 6).await?;
        comm.send(vec![particle(1), particle(2)], peer, 7).await?;
        // Large enough to wait for its receive, and to come in pieces.
        let large: Vec<u32> = (0..1_500_000).collect();
        comm.send(large.clone(), peer, 8).await?;
        assert_eq!(comm.recv::<u64>(peer, 1).await?, 7);
        assert_eq!(comm.recv::<String>(peer, 2).await?, "text");
        assert_eq!(&comm.recv::<Buf<f64>>(peer, 3).await?[..], vec![1.5; 1000]);
        assert_eq!(comm.recv::<Particle>(peer, 4).await?, particle(peer));
        assert!(comm.recv::<Vec<u8>>(peer, 5).await?.is_empty());
        comm.recv::<()>(peer, 6).await?;
        assert_eq!(comm.recv::<Vec<Particle>>(peer, 7).await?, [particle(1), particle(2)]);
        assert!(comm.recv::<Vec<u32>>(peer, 8).await? == large);
        comm.close().await
    })
    .await;
    assert_eq!(results, [vec![Ok(()), Ok(())], vec![Ok(()), Ok(())]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_sources_status_and_probe() {
    let results = both(3, |comm| async move {
        if comm.rank() > 0 {
            comm.send(comm.rank() as u32, 0, 10 + comm.rank() as u32).await?;
            comm.send(vec![0_u16; 3], 0, 9).await?;
            return comm.barrier().await;
        }
        // By tag, not in the order sent; then whoever comes.
        let (two, status) = comm.recv_status::<u32>(2, 12).await?;
        assert_eq!((two, status.source, status.tag, status.bytes), (2, 2, 12, 4));
        let seen = comm.probe(1, ANY).await?;
        assert_eq!((seen.source, seen.tag, seen.bytes), (1, 11, 4));
        assert_eq!(comm.recv::<u32>(ANY, 11).await?, 1);
        let (_, first) = comm.recv_status::<Vec<u16>>(ANY, 9).await?;
        let (_, second) = comm.recv_status::<Vec<u16>>(ANY, ANY).await?;
        assert_eq!(first.source + second.source, 3);
        assert_eq!((first.bytes, comm.iprobe(ANY, ANY)?), (6, None));
        comm.barrier().await
    })
    .await;
    assert!(results.iter().flatten().all(Result::is_ok), "{results:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_first_sends_that_cross_do_not_block() {
    let results = both(2, |comm| async move {
        let peer = 1 - comm.rank();
        let big = vec![comm.rank() as u64; 1 << 20];
        let got: Vec<u64> = comm.sendrecv(big, peer, 1, peer, 1).await?;
        assert!(got.iter().all(|value| *value == peer as u64));
        let (sent, got) =
            tokio::join!(comm.ssend(vec![1_u8; 9], peer, 2), comm.recv::<Vec<u8>>(peer, 2));
        sent.and(got.map(|got| got.len()))
    })
    .await;
    assert_eq!(results, [vec![Ok(9), Ok(9)], vec![Ok(9), Ok(9)]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn split_and_dup_keep_messages_apart() {
    let results = both(5, |comm| async move {
        let dup = comm.dup();
        let next = (comm.rank() + 1) % 5;
        let previous = (comm.rank() + 4) % 5;
        dup.send("dup".to_owned(), next, 0).await?;
        comm.send("world".to_owned(), next, 0).await?;
        assert_eq!(comm.recv::<String>(previous, 0).await?, "world");
        assert_eq!(dup.recv::<String>(previous, 0).await?, "dup");
        // Even and odd ranks, in reverse order; rank 4 stays out.
        let color = (comm.rank() < 4).then_some(comm.rank() as u64 % 2);
        let half = comm.split(color, -(comm.rank() as i64)).await?;
        let Some(half) = half else { return Ok(vec![]) };
        assert_eq!(half.rank(), usize::from(comm.rank() < 2));
        half.gather(comm.rank(), 0).await.map(Option::unwrap_or_default)
    })
    .await;
    let none = || Ok(vec![]);
    let expected = vec![none(), none(), Ok(vec![2, 0]), Ok(vec![3, 1]), none()];
    assert_eq!(results, [expected.clone(), expected]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_overlap_in_the_order_of_the_calls() {
    let results = both(4, |comm| async move {
        let one = comm.allreduce(1_u32, op::sum());
        let two = comm.allreduce(vec![2.0_f64; 100], op::sum());
        // Awaited the other way round.
        let (two, one) = tokio::try_join!(two, one)?;
        Ok::<_, fmi::Error>((one, two[99]))
    })
    .await;
    assert_eq!(results, [vec![Ok((4, 8.0)); 4], vec![Ok((4, 8.0)); 4]]);
}

#[test]
fn any_runtime_will_do() {
    // The rendezvous needs tokio; the rank is polled by another executor.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let ranks = runtime.block_on(job::tcp(2));
    let threads: Vec<_> = ranks
        .into_iter()
        .map(|comm| {
            std::thread::spawn(move || {
                futures::executor::block_on(async {
                    let sum = comm.allreduce(comm.rank() + 1, op::sum()).await?;
                    comm.close().await.map(|()| sum)
                })
            })
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), Ok(3));
    }
}

/// What the seven collectives must give, computed in one loop.
fn left_fold<T: Clone>(values: &[T], f: impl Fn(T, T) -> T) -> T {
    values[1..].iter().cloned().fold(values[0].clone(), f)
}

#[derive(Debug, Clone, PartialEq)]
struct All {
    bcast: Vec<f64>,
    gather: Option<Vec<String>>,
    scatter: Vec<u64>,
    ordered: Option<i64>,
    text: Option<String>,
    sums: Vec<f64>,
    folded: String,
    scan: i64,
    prefix: String,
}

async fn all(
    comm: fmi::Communicator,
    values: Vec<i64>,
    length: usize,
    root: usize,
) -> fmi::Result<All> {
    let (rank, size) = (comm.rank(), comm.size());
    let own = values[rank];
    let text = own.to_string();
    let minus = || op::ordered(|a: i64, b: i64| a.wrapping_sub(b));
    let concat = || op::associative(|a: String, b: String| a + "," + &b);
    let numbers: Vec<f64> = (0..length).map(|at| own as f64 + at as f64).collect();
    let before = numbers.clone();
    let parts = (rank == root).then(|| (0..size).map(|to| vec![to as u64; length]).collect());
    let result = All {
        bcast: comm.bcast((rank == root).then(|| numbers.clone()), root).await?,
        gather: comm.gather(text.clone(), root).await?,
        scatter: comm.scatter(parts, root).await?,
        ordered: comm.reduce(own, minus(), root).await?,
        text: comm.reduce(text.clone(), concat(), root).await?,
        sums: comm.allreduce(numbers.clone(), op::sum()).await?,
        folded: comm.allreduce(text.clone(), concat()).await?,
        scan: comm.scan(own, minus()).await?,
        prefix: comm.scan(text, concat()).await?,
    };
    assert_eq!(numbers, before, "nobody's input is changed");
    comm.barrier().await?;
    Ok(result)
}

fn expected(values: &[i64], length: usize, root: usize, rank: usize) -> All {
    let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    let concat = |a: String, b: String| a + "," + &b;
    let at_root = rank == root;
    All {
        bcast: (0..length).map(|at| values[root] as f64 + at as f64).collect(),
        gather: at_root.then(|| texts.clone()),
        scatter: vec![rank as u64; length],
        ordered: at_root.then(|| left_fold(values, i64::wrapping_sub)),
        text: at_root.then(|| left_fold(&texts, concat)),
        sums: (0..length)
            .map(|at| values.iter().map(|value| *value as f64 + at as f64).sum())
            .collect(),
        folded: left_fold(&texts, concat),
        scan: left_fold(&values[..=rank], i64::wrapping_sub),
        prefix: left_fold(&texts[..=rank], concat),
    }
}

fn check(values: Vec<i64>, length: usize, root: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let size = values.len();
    let input = values.clone();
    let results = runtime.block_on(both(size, move |comm| all(comm, input.clone(), length, root)));
    for results in results {
        for (rank, result) in results.into_iter().enumerate() {
            assert_eq!(result, Ok(expected(&values, length, root, rank)), "rank {rank}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    // Small whole numbers: their sums in f64 are exact, in whatever order.
    #[test]
    fn collectives_agree_with_one_loop(
        values in prop::collection::vec(-1000_i64..1000, 1..9),
        length in 0_usize..20,
        root in any::<prop::sample::Index>(),
    ) {
        let root = root.index(values.len());
        check(values, length, root);
    }
}

#[test]
fn every_root_of_a_job_of_five_and_a_rank_alone() {
    for root in 0..5 {
        check(vec![3, -1, 4, 1, -5], 3, root);
    }
    check(vec![42], 1, 0);
    // Lengths beyond what is sent before it is matched.
    check(vec![1, 2, 3], 100_000, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sums_have_the_same_bits_everywhere_and_in_every_run() {
    let run = || async {
        let results = both(7, |comm| async move {
            let uneven = 1.0 / (comm.rank() as f64 + 3.0);
            comm.allreduce(vec![uneven; 10], op::sum()).await
        });
        let bits = |sum: fmi::Result<Vec<f64>>| sum.unwrap()[3].to_bits();
        results.await.into_iter().flatten().map(bits).collect::<Vec<_>>()
    };
    let first = run().await;
    assert!(first.iter().all(|bits| *bits == first[0]));
    assert_eq!(first, run().await);
}
