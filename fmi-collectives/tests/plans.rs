//! Proves every algorithm of the library: each size to 64 with each root, some large sizes, some
//! numbers of chunks. One test a collective, so that they run side by side.

use fmi_collectives::plan::check::{Check, CheckError};
use fmi_collectives::plan::{
    Action, Algorithm, Collective, Demand, Medium, Packs, Shape, Side, Step, Tier,
};

macro_rules! proofs {
    ($($name:ident: $collective:ident,)*) => {
        $(#[test]
        fn $name() {
            let algorithms = Collective::$collective.algorithms();
            assert!(!algorithms.is_empty());
            for algorithm in algorithms {
                small_sizes(algorithm);
                large_sizes(algorithm);
            }
        })*
    };
}

proofs! {
    barrier: Barrier,
    bcast: Bcast,
    gather: Gather,
    scatter: Scatter,
    allgather: Allgather,
    alltoall: Alltoall,
    reduce: Reduce,
    allreduce: Allreduce,
    reduce_scatter: ReduceScatter,
    scan: Scan,
    exscan: Exscan,
}

fn small_sizes(algorithm: &Algorithm) {
    for size in 1..=64 {
        for chunks in chunks(algorithm, size) {
            for root in 0..if algorithm.collective.is_rooted() { size } else { 1 } {
                prove(algorithm, Shape::of(size).rooted(root).chunked(chunks));
            }
        }
    }
}

fn large_sizes(algorithm: &Algorithm) {
    for size in [100, 127, 128, 255, 256, 1000] {
        let roots = [0, 1, size / 2 - 1, size / 2, size - 2, size - 1];
        for chunks in chunks(algorithm, size) {
            for root in roots.into_iter().take(if algorithm.collective.is_rooted() { 6 } else { 1 })
            {
                prove(algorithm, Shape::of(size).rooted(root).chunked(chunks));
            }
        }
    }
}

/// Only one chunk if it makes no difference.
fn chunks(algorithm: &Algorithm, size: usize) -> impl Iterator<Item = usize> + use<> {
    let pieces = |chunks| algorithm.pieces(&Shape::of(size).chunked(chunks));
    let count = if pieces(1) == pieces(2) { 1 } else { 4 };
    [1, 2, 3, 5].into_iter().take(count)
}

fn prove(algorithm: &Algorithm, shape: Shape) {
    if let Err(error) = algorithm.check(shape.clone()) {
        panic!("{algorithm} on {shape:?}: {error}");
    }
}

#[test]
fn no_step_can_be_left_out() {
    for_each_step(|algorithm, shape, plans, rank, index| {
        let mut plans = plans.to_vec();
        let step = plans[rank].remove(index);
        let result = Check::without_claims(algorithm, shape).run(|rank| plans[rank].clone());
        assert!(result.is_err(), "{algorithm} on {shape:?}: rank {rank} without {step}");
    });
}

#[test]
fn no_combination_can_be_turned_around() {
    for_each_step(|algorithm, shape, plans, rank, index| {
        if algorithm.demand == Demand::Commutative {
            return;
        }
        let mut plans = plans.to_vec();
        let (Action::Combine { side, .. } | Action::CombineShared { side, .. }) =
            &mut plans[rank][index].action
        else {
            return;
        };
        *side = if *side == Side::Left { Side::Right } else { Side::Left };
        let result = Check::without_claims(algorithm, shape).run(|rank| plans[rank].clone());
        assert!(
            matches!(result, Err(CheckError::WrongResult { .. })),
            "{algorithm} on {shape:?}: step {index} of rank {rank} gives {result:?}"
        );
    });
}

#[test]
fn names_and_codes_lead_back() {
    for algorithm in Algorithm::all() {
        assert_eq!(Algorithm::find(&algorithm.to_string()), Some(algorithm));
        assert_eq!(Algorithm::from_code(algorithm.code()), Some(algorithm));
    }
    assert_eq!(Algorithm::find("allreduce/magic"), None);
    assert_eq!(Algorithm::from_code(0), None);
}

#[test]
fn only_shared_plans_publish_and_what_they_send_is_empty() {
    for_each_step(|algorithm, _, plans, rank, index| {
        let step = &plans[rank][index];
        let shared = matches!(
            step.action,
            Action::Publish { .. } | Action::Fetch { .. } | Action::CombineShared { .. }
        );
        let copies = matches!(step.action, Action::Copy { .. });
        if is_for_packs(algorithm) {
            // That what is published stays in its pack, the checker proves.
            return;
        }
        assert!(algorithm.is_shared() || !shared, "{algorithm}: {step}");
        assert!(!algorithm.is_shared() || shared || copies || step.blocks().is_empty(), "{step}");
        // What suits a pack runs through a store, too; the others are for stores.
        let tier = algorithm.is_shared().then_some(match algorithm.name {
            "shared" | "shared_small" => Tier::Pack,
            _ => Tier::Remote,
        });
        assert_eq!(step.tier, tier.filter(|_| !copies), "{algorithm}: {step}");
    });
}

#[test]
fn every_demand_is_met() {
    for collective in Collective::ALL.iter().filter(|collective| collective.combines()) {
        let mut algorithms = collective.algorithms().iter();
        let met = algorithms.any(|it| it.demand == Demand::Ordered && !it.is_shared());
        assert!(met, "{collective} has nothing for ordered operations");
    }
}

/// Calls `each(algorithm, shape, plans, rank, index)` for every step of small plans.
fn for_each_step(mut each: impl FnMut(&Algorithm, &Shape, &[Vec<Step>], usize, usize)) {
    let packs = [[0, 0, 0, 1, 1, 1, 1], [0, 1, 1, 1, 2, 2, 3]].map(Packs::of);
    let packed = packs.map(|packs| Shape::of(7).packed(&packs));
    let alone: Vec<Shape> = (2..=9).map(Shape::of).collect();
    for algorithm in Algorithm::all() {
        let packed = packed.iter().filter(|_| is_for_packs(algorithm));
        for shape in alone.iter().chain(packed) {
            let shape = shape.clone().rooted(1).chunked(2);
            let steps = |rank| (algorithm.steps)(rank, shape.clone()).collect();
            let plans: Vec<Vec<Step>> = (0..shape.size).map(steps).collect();
            for rank in 0..shape.size {
                for index in 0..plans[rank].len() {
                    each(algorithm, &shape, &plans, rank, index);
                }
            }
        }
    }
}

fn is_for_packs(algorithm: &Algorithm) -> bool {
    matches!(algorithm.medium, Medium::Packs { .. })
}
