//! The nine operations against what one rank alone computes: every size, every root, several
//! types, every kind of reduce operation.

#![cfg(feature = "tcp")]

mod common;

use common::{Wire, World, bounded};
use fmi::{Buf, Communicator, Message, op};
use fmi_collectives::op::Reduction;
use futures::future::join_all;
use proptest::{prelude::*, test_runner::TestRunner};
use std::{cell::RefCell, collections::HashMap, fmt::Debug};

on_both!(
    every_size_and_root,
    vectors_longer_than_any_buffer,
    nobody_changes_what_others_hold,
    the_same_bits_on_every_run,
    ranks_of_a_split_count_for_themselves,
);

const SIZES: std::ops::RangeInclusive<usize> = 1..=9;

/// A type whose values can be made, and compared to the bit.
trait Value: Message + Clone + Debug {
    /// The value of a rank.
    fn make(rank: usize, seed: u64, len: usize) -> Self;
    fn bits(&self) -> Vec<u8>;
}

impl Value for u64 {
    fn make(rank: usize, seed: u64, _: usize) -> Self {
        (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(7 * rank as u32) | 1
    }
    fn bits(&self) -> Vec<u8> {
        self.to_le_bytes().to_vec()
    }
}

impl Value for f64 {
    /// Not exact in binary, so that another order or bracketing shows.
    fn make(rank: usize, seed: u64, _: usize) -> Self {
        (u64::make(rank, seed, 0) % 2_000_003) as f64 / 1009.7 - 991.3
    }
    fn bits(&self) -> Vec<u8> {
        self.to_bits().to_le_bytes().to_vec()
    }
}

impl Value for Vec<f64> {
    fn make(rank: usize, seed: u64, len: usize) -> Self {
        (0..len as u64).map(|index| f64::make(rank, seed + index, 0)).collect()
    }
    fn bits(&self) -> Vec<u8> {
        self.iter().flat_map(f64::bits).collect()
    }
}

impl Value for String {
    /// Lengths differ between ranks.
    fn make(rank: usize, seed: u64, len: usize) -> Self {
        let letter = char::from(b'a' + (seed % 26) as u8);
        (0..len + (rank * len) % 5).map(|_| letter).chain([char::from(b'0' + rank as u8)]).collect()
    }
    fn bits(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
}

fn bits<T: Value>(values: impl IntoIterator<Item = T>) -> Vec<Vec<u8>> {
    values.into_iter().map(|value| value.bits()).collect()
}

/// The values of all ranks.
fn all<T: Value>(size: usize, seed: u64, len: usize) -> Vec<T> {
    (0..size).map(|rank| T::make(rank, seed, len)).collect()
}

/// Bcast, gather and scatter on one rank.
async fn moves<T: Value>(comm: &Communicator, root: usize, seed: u64, len: usize) {
    let (rank, size) = (comm.rank(), comm.size());
    let own = T::make(rank, seed, len);
    let value = (rank == root).then(|| own.clone());
    let got = comm.bcast(value, root).await.unwrap();
    assert_eq!(got.bits(), T::make(root, seed, len).bits(), "bcast from {root} of {size}");

    // The shape that vectors have on every rank alike.
    let got = comm.gather(own, root).await.unwrap();
    assert_eq!(got.map(bits), (rank == root).then(|| bits(all::<T>(size, seed, len))), "gather");

    let values = (rank == root).then(|| all::<T>(size, seed + 1, len));
    let got = comm.scatter(values, root).await.unwrap();
    assert_eq!(got.bits(), T::make(rank, seed + 1, len).bits(), "scatter from {root} of {size}");
}

/// What a reduction may deliver.
enum Expect<T> {
    /// The left fold in rank order.
    Fold(fn(T, T) -> T),
    /// Something near it, but the same bits on all ranks.
    Near(fn(T, T) -> T, fn(&T, &T) -> bool),
}

/// Reduce, allreduce and scan on one rank. Returns the results' bits, for comparison with those
/// of other ranks and runs.
async fn reductions<T: Value, R: Reduction<T>>(
    comm: &Communicator,
    root: usize,
    (seed, len): (u64, usize),
    op: impl Fn() -> R,
    expect: &Expect<T>,
) -> [Vec<u8>; 3] {
    let (rank, size) = (comm.rank(), comm.size());
    let own = || T::make(rank, seed, len);
    let (fold, near) = match expect {
        Expect::Fold(fold) => (fold, None),
        Expect::Near(fold, near) => (fold, Some(near)),
    };
    let folded = |ranks: usize| all::<T>(ranks, seed, len).into_iter().reduce(fold).unwrap();
    let judge = |what: &str, got: &T, ranks: usize| {
        let expected = folded(ranks);
        let right = near.map_or(got.bits() == expected.bits(), |near| near(got, &expected));
        assert!(right, "{what} to {root} on {rank} of {size}: {got:?} instead of {expected:?}");
    };
    let reduced = comm.reduce(own(), op(), root).await.unwrap();
    assert_eq!(reduced.is_some(), rank == root);
    reduced.iter().for_each(|got| judge("reduce", got, size));
    let everywhere = comm.allreduce(own(), op()).await.unwrap();
    judge("allreduce", &everywhere, size);
    let scanned = comm.scan(own(), op()).await.unwrap();
    judge("scan", &scanned, rank + 1);
    [reduced.map_or(Vec::new(), |got| got.bits()), everywhere.bits(), scanned.bits()]
}

fn close(a: &f64, b: &f64) -> bool {
    (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs()))
}

#[allow(clippy::ptr_arg, reason = "compares values of one type, and that is Vec here")]
fn all_close(a: &Vec<f64>, b: &Vec<f64>) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| close(a, b))
}

fn zip(a: Vec<f64>, b: Vec<f64>, f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    a.into_iter().zip(b).map(|(a, b)| f(a, b)).collect()
}

/// Every reduce operation that there is, on one rank; the results' bits.
async fn all_reductions(
    comm: &Communicator,
    root: usize,
    seed: u64,
    len: usize,
) -> Vec<[Vec<u8>; 3]> {
    use Expect::{Fold, Near};
    let with = (seed, len);
    vec![
        reductions(comm, root, with, op::sum, &Fold(u64::wrapping_add)).await,
        reductions(comm, root, with, op::prod, &Fold(u64::wrapping_mul)).await,
        reductions(comm, root, with, op::min, &Fold(u64::min)).await,
        reductions(comm, root, with, op::max, &Fold(u64::max)).await,
        reductions(
            comm,
            root,
            with,
            || op::commutative(|a: u64, b| a ^ b),
            &Fold(|a: u64, b| a ^ b),
        )
        .await,
        // Not commutative: of each half of the word another operand.
        reductions(comm, root, with, || op::associative(halves), &Fold(halves)).await,
        reductions(comm, root, with, || op::ordered(u64::wrapping_sub), &Fold(u64::wrapping_sub))
            .await,
        reductions(comm, root, with, op::sum, &Near(|a: f64, b| a + b, close)).await,
        reductions(comm, root, with, op::min, &Fold(f64::min)).await,
        reductions(comm, root, with, || op::ordered(|a: f64, b| a - b), &Fold(|a: f64, b| a - b))
            .await,
        reductions(comm, root, with, || op::ordered(|a: f64, b| a / b), &Fold(|a: f64, b| a / b))
            .await,
        reductions(comm, root, with, op::sum, &Near(|a, b| zip(a, b, |a, b| a + b), all_close))
            .await,
        reductions(comm, root, with, op::max, &Fold(|a, b| zip(a, b, f64::max))).await,
        // Per element, and of whole vectors.
        reductions(
            comm,
            root,
            with,
            || op::ordered(|a: f64, b: f64| a - b),
            &Fold::<Vec<f64>>(|a, b| zip(a, b, |a, b| a - b)),
        )
        .await,
        reductions(
            comm,
            root,
            with,
            || op::whole(op::associative(|a: Vec<f64>, b: Vec<f64>| [a, b].concat())),
            &Fold(|a, b| [a, b].concat()),
        )
        .await,
        reductions(
            comm,
            root,
            with,
            || op::associative(|a: String, b: String| a + &b),
            &Fold(|a: String, b| a + &b),
        )
        .await,
        reductions(comm, root, with, || op::ordered(bracket), &Fold(bracket)).await,
    ]
}

fn halves(a: u64, b: u64) -> u64 {
    a >> 32 << 32 | b & 0xffff_ffff
}

fn bracket(a: String, b: String) -> String {
    format!("({a} {b})")
}

/// Everything above, with every root; lengths 0 and 1 included.
async fn every_size_and_root(wire: Wire) {
    for size in SIZES {
        let world = World::new(wire, size).await;
        for root in 0..size {
            let seed = (root * 100 + size) as u64;
            let len = [0, 1, 3, 40][(root + size) % 4];
            let ends = world
                .each(|comm| async move {
                    comm.barrier().await.unwrap();
                    moves::<u64>(&comm, root, seed, len).await;
                    moves::<f64>(&comm, root, seed, len).await;
                    moves::<Vec<f64>>(&comm, root, seed, len).await;
                    moves::<String>(&comm, root, seed, len).await;
                    all_reductions(&comm, root, seed, len).await
                })
                .await;
            same_everywhere(&ends);
        }
        world.close().await;
    }
}

/// The results of allreduce are equal to the bit on all ranks.
fn same_everywhere(ends: &[Vec<[Vec<u8>; 3]>]) {
    for end in ends {
        let equal = end.iter().zip(&ends[0]).all(|(own, first)| own[1] == first[1]);
        assert!(equal, "allreduce gave different bits on different ranks");
    }
}

/// One collective of a random sequence.
#[derive(Debug, Clone, Copy)]
struct Step {
    operation: u8,
    root: usize,
    seed: u64,
    len: usize,
}

impl Step {
    async fn run(self, comm: &Communicator) {
        let Self { seed, len, .. } = self;
        let root = self.root % comm.size();
        let with = (seed, len);
        match self.operation {
            0 => comm.barrier().await.unwrap(),
            1 => moves::<Vec<f64>>(comm, root, seed, len).await,
            2 => moves::<String>(comm, root, seed, len).await,
            3 => moves::<u64>(comm, root, seed, len).await,
            4 => {
                let expect = Expect::Fold(u64::wrapping_sub);
                reductions(comm, root, with, || op::ordered(u64::wrapping_sub), &expect).await;
            }
            5 => {
                let expect = Expect::Near(|a, b| zip(a, b, |a, b| a + b), all_close);
                reductions::<Vec<f64>, _>(comm, root, with, op::sum, &expect).await;
            }
            _ => {
                let expect = Expect::Fold(|a: String, b: String| a + &b);
                reductions(
                    comm,
                    root,
                    with,
                    || op::associative(|a: String, b: String| a + &b),
                    &expect,
                )
                .await;
            }
        }
    }
}

fn steps() -> impl Strategy<Value = (usize, Vec<Step>)> {
    let len = prop_oneof![Just(0usize), Just(1), 2usize..70, 30_000usize..40_000];
    let step = (0..7u8, 0..9usize, 0..1000u64, len).prop_map(|(operation, root, seed, len)| Step {
        operation,
        root,
        seed,
        len,
    });
    (SIZES, prop::collection::vec(step, 1..6))
}

#[test]
fn local_any_sequence_of_collectives_also_overlapping() {
    any_sequence(Wire::Local);
}

#[test]
fn tcp_any_sequence_of_collectives_also_overlapping() {
    any_sequence(Wire::Tcp);
}

/// Any sequence, one after the other and all at once.
fn any_sequence(wire: Wire) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let worlds = RefCell::new(HashMap::new());
    let config =
        ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() };
    let runs = TestRunner::new(config).run(&steps(), |(size, steps)| {
        // After a failure the world is of no use for a smaller case.
        let world = worlds.borrow_mut().remove(&size);
        let world = world.unwrap_or_else(|| runtime.block_on(World::new(wire, size)));
        let steps = &steps;
        runtime.block_on(world.each(|comm| async move {
            for step in steps {
                step.run(&comm).await;
            }
            // Each is more than one collective, of which the later ones are called as they come:
            // that needs a communicator each.
            let dups: Vec<_> = steps.iter().map(|_| comm.dup()).collect();
            join_all(steps.iter().zip(&dups).map(|(step, comm)| step.run(comm))).await;
            // Of one collective each, all are called at once, in one order.
            let sums = steps.iter().map(|step| {
                comm.allreduce(Vec::<f64>::make(comm.rank(), step.seed, step.len), op::max())
            });
            for (sum, step) in join_all(sums).await.into_iter().zip(steps) {
                let all = all::<Vec<f64>>(comm.size(), step.seed, step.len);
                let expected = all.into_iter().reduce(|a, b| zip(a, b, f64::max)).unwrap();
                assert_eq!(sum.unwrap().bits(), expected.bits());
            }
        }));
        worlds.borrow_mut().insert(size, world);
        Ok(())
    });
    runs.unwrap();
}

/// Longer than eager limit, chunk, window and outbox.
async fn vectors_longer_than_any_buffer(wire: Wire) {
    for size in [2, 3] {
        let world = World::new(wire, size).await;
        for (root, len) in [(0, 50_000), (size - 1, 600_001)] {
            world
                .each(|comm| async move {
                    moves::<Vec<f64>>(&comm, root, 1, len).await;
                    let expect = Expect::Fold(|a, b| zip(a, b, |a, b| a - b));
                    let minus = || op::ordered(|a: f64, b: f64| a - b);
                    reductions::<Vec<f64>, _>(&comm, root, (2, len), minus, &expect).await;
                    let expect = Expect::Near(|a, b| zip(a, b, |a, b| a + b), all_close);
                    reductions::<Vec<f64>, _>(&comm, root, (3, len), op::sum, &expect).await;
                })
                .await;
        }
        world.close().await;
    }
}

/// What a rank sends stays as it is on that rank, and what it does with a result does not show
/// on others.
async fn nobody_changes_what_others_hold(wire: Wire) {
    for len in [1, 3, 100, 60_000] {
        let world = World::new(wire, 5).await;
        world
            .each(|comm| async move {
                let rank = comm.rank();
                let sent = Buf::from(Vec::<f64>::make(rank, 1, len));
                let add = || {
                    op::whole(op::associative(|a: Buf<f64>, b: Buf<f64>| {
                        zip(a.into_vec(), b.into_vec(), |a, b| a + b).into()
                    }))
                };
                for root in 0..5 {
                    comm.reduce(sent.clone(), add(), root).await.unwrap();
                    comm.allreduce(sent.clone(), add()).await.unwrap();
                    comm.scan(sent.clone(), add()).await.unwrap();
                    let gathered = comm.gather(sent.clone(), root).await.unwrap();
                    let parts = gathered.clone();
                    let back = comm.scatter(parts, root).await.unwrap();
                    assert_eq!(back, sent);
                    let mut mine = comm.bcast(Some(sent.clone()), root).await.unwrap().into_vec();
                    // The others may read the same buffer.
                    mine.fill(f64::from(rank as u32));
                    comm.barrier().await.unwrap();
                    let mut sum = comm.allreduce(sent.to_vec(), op::sum()).await.unwrap();
                    sum.fill(0.0);
                    let again = comm.bcast(Some(sent.clone()), root).await.unwrap();
                    comm.barrier().await.unwrap();
                    assert_eq!(again.bits(), Vec::<f64>::make(root, 1, len).bits());
                    for (from, part) in gathered.into_iter().flatten().enumerate() {
                        assert_eq!(part.bits(), Vec::<f64>::make(from, 1, len).bits());
                    }
                }
                assert_eq!(sent.bits(), Vec::<f64>::make(rank, 1, len).bits());
            })
            .await;
        world.close().await;
    }
}

trait Bits {
    fn bits(&self) -> Vec<u8>;
}

impl Bits for Buf<f64> {
    fn bits(&self) -> Vec<u8> {
        self.to_vec().bits()
    }
}

/// Same size, same values, same bits: in another job, too, and whatever comes first.
async fn the_same_bits_on_every_run(wire: Wire) {
    for size in [2, 5, 8] {
        let mut runs = Vec::new();
        for run in 0..3u64 {
            let world = World::new(wire, size).await;
            let ends = world
                .each(|comm| async move {
                    // Ranks come in another order in each run.
                    for _ in 0..(comm.rank() as u64 * 7 + run * 3) % 5 {
                        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                    }
                    all_reductions(&comm, size / 2, 5, 33).await
                })
                .await;
            same_everywhere(&ends);
            runs.push(ends);
            world.close().await;
        }
        assert!(runs.iter().all(|run| *run == runs[0]), "runs of {size} ranks differ");
    }
}

/// Communicators made by split and dup have ranks, orders and collectives of their own.
async fn ranks_of_a_split_count_for_themselves(wire: Wire) {
    let world = World::new(wire, 7).await;
    let run = world.each(|comm| async move {
        let rank = comm.rank();
        // Odd and even, in reverse; rank 3 in neither.
        let color = (rank != 3).then_some(rank as u64 % 2);
        let part = comm.split(color, -(rank as i64)).await.unwrap();
        assert_eq!(part.is_none(), rank == 3);
        let whole = comm.allreduce(rank as u64, op::sum());
        let part = async {
            let Some(part) = part else { return };
            let members: &[usize] = if rank % 2 == 0 { &[6, 4, 2, 0] } else { &[5, 1] };
            assert_eq!((members[part.rank()], part.size()), (rank, members.len()));
            for root in 0..part.size() {
                moves::<String>(&part, root, 1, 3).await;
                let text = part.reduce(rank.to_string(), op::ordered(bracket), root).await.unwrap();
                let expected = members.iter().map(usize::to_string).reduce(bracket);
                assert_eq!(text, expected.filter(|_| part.rank() == root));
            }
            // A split of the split, all in one, by key and then rank.
            let same = part.split(Some(9), 0).await.unwrap().unwrap();
            assert_eq!((same.rank(), same.size()), (part.rank(), part.size()));
            all_reductions(&same, same.size() - 1, 8, 5).await;
        };
        let (whole, ()) = futures::join!(whole, part);
        assert_eq!(whole.unwrap(), 21);
        assert_eq!(comm.dup().allreduce(1u8, op::sum()).await.unwrap(), 7);
    });
    bounded("splits", run).await;
    world.close().await;
}
