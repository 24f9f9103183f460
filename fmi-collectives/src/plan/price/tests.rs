//! The short ways against playing all of it through.

use super::line::LEAST;
use super::*;
use fmi_model::{Costs, DollarsPerSecond, Profile};

/// How far apart they may be, of the time of the last rank and of the time of all.
const TOLERANCE: f64 = 0.07;
/// The same where messages of other lengths go at another rate.
const RAMPED: f64 = 0.15;

/// Nobody gets into the way of others, and nothing becomes slower after a while.
fn market(profile: &str) -> Market {
    let mut profile = Profile::shipped(profile).unwrap();
    for channel in profile.channels.values_mut() {
        (channel.server, channel.bucket) = (None, None);
    }
    Market::of(profile)
}

fn flat() -> [Market; 2] {
    let lan = market("lan");
    [lan.clone().over(Channels::only("s3")), lan]
}

fn is_near(short: &Outcome, full: &Outcome, tolerance: f64) -> Result<(), String> {
    let sums = [(short.end(), full.end()), (short.rank_time(), full.rank_time())];
    for (short, full) in sums {
        if (short / full - 1.0).abs() > tolerance {
            return Err(format!("{short} instead of {full}"));
        }
    }
    for (short, full) in short.traffic.iter().zip(&full.traffic) {
        let (short, full) = (short.sent as f64, full.sent as f64);
        if (short - full).abs() > tolerance * full + 2.0 {
            return Err(format!("{short} messages instead of {full}"));
        }
    }
    Ok(())
}

/// Looks at all algorithms that grow so.
fn compare(
    growth: Growth,
    markets: &[Market],
    sizes: &[usize],
    tolerance: f64,
    short: impl Fn(Pricing<'_>, &Shape, Bytes) -> Outcome,
) {
    for algorithm in Algorithm::all().filter(|algorithm| algorithm.growth == growth) {
        for (market, &size) in markets.iter().flat_map(|it| sizes.iter().map(move |n| (it, n))) {
            let topology = Topology::apart(size);
            let pricing = Pricing { algorithm, topology: &topology, wires: market.wires() };
            for bytes in [8, 1000, 1 << 17, 1 << 20, 16 << 20] {
                let shape = Shape::of(size).chunked(crate::plan::chunks(bytes));
                let bytes = Bytes::new(bytes);
                let full = pricing.played(&shape, bytes).unwrap();
                if let Err(wrong) = is_near(&short(pricing, &shape, bytes), &full, tolerance) {
                    let market = (&market.profile.name, &market.channels.network);
                    panic!("{algorithm} of {bytes} by {size} in {market:?}: {wrong}");
                }
            }
        }
    }
}

#[test]
fn one_rank_stands_for_all_where_all_do_the_same() {
    let sizes: Vec<usize> = (2..=33).chain([100]).collect();
    let short = |pricing: Pricing<'_>, shape: &Shape, bytes| pricing.mirrored(shape, bytes);
    compare(Growth::Mirrored, &flat(), &sizes, TOLERANCE, short);
    compare(Growth::Mirrored, &[market("aws-lambda")], &sizes, TOLERANCE, short);
}

#[test]
fn large_plans_continue_small_ones() {
    let short = |least: usize| {
        move |pricing: Pricing<'_>, shape: &Shape, bytes| {
            pricing.line_from(shape, bytes, least).unwrap()
        }
    };
    let (small, large): (Vec<usize>, _) = ((2..=33).collect(), [50, 100, 200]);
    compare(Growth::Linear, &flat(), &small, TOLERANCE, short(8));
    compare(Growth::Linear, &flat(), &large, TOLERANCE, short(LEAST));
    compare(Growth::Linear, &[market("aws-lambda")], &large, RAMPED, short(LEAST));
}

#[test]
fn what_is_played_through_in_full_has_few_messages() {
    for algorithm in Algorithm::all().filter(|it| it.growth == Growth::Logarithmic) {
        for size in [100, 128, 1000] {
            let steps = |rank| (algorithm.steps)(rank, Shape::of(size).chunked(100)).count();
            let all: usize = (0..size).map(steps).sum();
            assert!(all <= 4 * size * 12, "{algorithm} has {all} steps");
        }
    }
}

#[test]
fn every_plan_has_a_price() {
    let market = Market::of(Profile::shipped("loopback").unwrap()).over(Channels::only("redis"));
    let places = [
        Topology::apart(1),
        Topology::apart(7),
        Topology::packs(20, 6),
        Topology::machine(12, 3, 2),
        Topology::machine(9, 9, 2),
        Topology::packs(300, 10),
    ];
    for topology in places {
        let size = topology.ranks();
        let model = Model::new(market.clone(), topology);
        for algorithm in Algorithm::all() {
            let price = algorithm.price(Shape::of(size), Bytes::new(1 << 20), &model);
            let alone = size == 1;
            assert!((price.time > Seconds::ZERO) != alone || size == 1, "{algorithm}: {price:?}");
            assert!(price.time < Seconds::new(1e6), "{algorithm}: {price:?}");
            assert_eq!(price, algorithm.price(Shape::of(size), Bytes::new(1 << 20), &model));
        }
    }
}

#[test]
fn a_plan_that_does_not_end_takes_for_ever() {
    let stuck = Algorithm {
        steps: |rank, _| Box::new(std::iter::once(crate::plan::Step::recv(1 - rank, 0))),
        ..crate::plan::bcast::binomial::ALGORITHM
    };
    let model = Model::new(Market::of(Profile::shipped("lan").unwrap()), Topology::apart(2));
    assert!(stuck.price(Shape::of(2), Bytes::ZERO, &model).time > Seconds::new(1e300));
}

#[test]
fn a_plan_takes_as_long_as_was_measured_where_ranks_stand_as_they_did() {
    let costs =
        Costs { process: DollarsPerSecond::new(1.0), ..Market::of(Profile::default()).costs };
    let market = |profile| Market::of(profile).over(Channels::only("tcp")).costing(costs.clone());
    let mut bare = Profile::shipped("loopback").unwrap();
    bare.corrections.clear();
    assert_eq!(bare.host.cores, 2);
    let algorithm = &crate::plan::bcast::binomial::ALGORITHM;
    let price = |profile: &Profile, topology: &Topology| {
        let model = Model::new(market(profile.clone()), topology.clone());
        algorithm.price(Shape::of(4), Bytes::new(8), &model)
    };
    let (together, each) = (Topology::machine(4, 4, 2), Topology::machine(4, 1, 2));
    for (channel, topology) in [("local", &together), ("tcp", &each)] {
        let time = price(&bare, topology).time;
        let mut noted = bare.clone();
        let of = noted.corrections.entry(channel.to_owned()).or_default();
        of.note("bcast", "binomial", 4, &[(time, time * 3.0)]);
        for other in [&together, &each, &Topology::machine(4, 2, 2), &Topology::machine(4, 1, 4)] {
            let (before, after) = (price(&bare, other), price(&noted, other));
            if other == topology {
                assert!((after.time / before.time - 3.0).abs() < 1e-9, "{before:?} {after:?}");
                assert!((after.money / before.money - 3.0).abs() < 1e-9, "{before:?} {after:?}");
            } else {
                assert_eq!(before, after, "{channel} {other:?}");
            }
        }
    }
}
