//! Proves the algorithms for packs: packs of all kinds among few ranks, random ones among more, with each
//! root. What they save is counted, too.

use fmi_collectives::plan::{Algorithm, Collective, Medium, Packs, Shape, check::Report};
use proptest::prelude::*;

fn for_packs() -> impl Iterator<Item = &'static Algorithm> {
    Algorithm::all().filter(|algorithm| matches!(algorithm.medium, Medium::Packs { .. }))
}

/// Scans go in the order of ranks, and so from one contiguous pack to the next.
fn suits(algorithm: &Algorithm, packs: &Packs) -> bool {
    let scans = matches!(algorithm.collective, Collective::Scan | Collective::Exscan);
    !scans || packs.is_contiguous()
}

fn prove(size: usize, packs: &Packs) -> Result<(), String> {
    for algorithm in for_packs().filter(|algorithm| suits(algorithm, packs)) {
        let pieces = |chunks| algorithm.pieces(&Shape::of(size).chunked(chunks));
        for chunks in if pieces(1) == pieces(2) { &[1][..] } else { &[1, 2, 5] } {
            for root in 0..if algorithm.collective.is_rooted() { size } else { 1 } {
                let shape = Shape::of(size).rooted(root).chunked(*chunks).packed(packs);
                let proof = algorithm.check(shape.clone());
                proof.map_err(|error| format!("{algorithm} on {shape:?}: {error}"))?;
            }
        }
    }
    Ok(())
}

#[test]
fn every_collective_has_one() {
    for collective in Collective::ALL {
        let packed = for_packs().filter(|algorithm| algorithm.collective == *collective);
        assert!(packed.count() > 0, "{collective}");
    }
}

/// All ways in which up to six ranks can share processes.
#[test]
fn all_packs_of_few_ranks() {
    for size in 1..=6 {
        let mut processes = vec![0; size];
        loop {
            prove(size, &Packs::of(processes.iter().copied())).unwrap();
            // The next one: each number is at most one above all before it.
            let most = |rank: usize, all: &[u32]| all[..rank].iter().max().map_or(0, |it| it + 1);
            let Some(rank) =
                (1..size).rev().find(|rank| processes[*rank] < most(*rank, &processes))
            else {
                break;
            };
            processes[rank] += 1;
            processes[rank + 1..].fill(0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn random_packs(processes in (1u32..=8).prop_flat_map(|most| prop::collection::vec(0..most, 1..=24))) {
        prove(processes.len(), &Packs::of(processes)).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn contiguous_packs_of_random_sizes(sizes in prop::collection::vec(1usize..=9, 1..=6)) {
        let processes = (0..).zip(&sizes).flat_map(|(process, size)| vec![process; *size]);
        let packs = Packs::of(processes);
        prop_assert!(packs.is_contiguous());
        prove(sizes.iter().sum(), &packs).map_err(TestCaseError::fail)?;
    }
}

/// Messages between packs.
#[test]
fn fewer_messages_leave_a_pack() {
    let packs = Packs::of((0..16).map(|rank| rank / 4));
    let shape = Shape::of(16).packed(&packs);
    let of = |name| Algorithm::find(name).unwrap().check(shape.clone()).unwrap().remote;
    for (packed, count, flat, more) in [
        ("barrier/packed", 8, "barrier/dissemination", 44),
        ("gather/packed", 3, "gather/linear", 12),
        ("allgather/packed", 8, "allgather/bruck", 44),
        ("alltoall/packed", 12, "alltoall/pairwise", 192),
        ("allreduce/packed", 8, "allreduce/recursive_doubling", 32),
        ("reduce_scatter/packed", 12, "reduce_scatter/pairwise", 192),
        ("scan/packed", 8, "scan/hillis_steele", 29),
    ] {
        assert_eq!((of(packed), of(flat)), (count, more), "{packed} and {flat}");
    }
}

/// Large groups, as they are.
#[test]
fn many_packs() {
    for (size, pack) in [(96, 6), (100, 7), (200, 50)] {
        let packs = Packs::of((0..size).map(|rank| (rank / pack) as u32));
        for algorithm in for_packs() {
            let shape =
                Shape::of(size).rooted(if algorithm.collective.is_rooted() { size / 2 } else { 0 });
            let Report { outbox, .. } = algorithm.check(shape.packed(&packs)).unwrap();
            assert_eq!(outbox, 1, "{algorithm}");
        }
    }
}
