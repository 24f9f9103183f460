//! The model's choices: prices that can be, budgets that help, the same answer on all ranks.

use fmi_collectives::plan::{
    Algorithm, CHUNK_SIZES, Choice, Chooser, Collective, Demand, Packing, Question, Shape, Shelf,
    price::{Channels, Market, Model},
};
use fmi_model::{
    Bytes, Costs, Dollars, DollarsPerSecond, Estimate, Objective, Profile, Rate, Seconds,
    prices::Prices,
    topology::{Place, Topology},
};
use proptest::prelude::*;

fn profile() -> impl Strategy<Value = Profile> {
    prop::sample::select(&Profile::SHIPPED[..])
        .prop_map(|name| Profile::shipped(name).expect("it is shipped"))
}

fn market() -> impl Strategy<Value = Market> {
    let channel = || prop::sample::select(&["tcp", "quic", "redis", "s3"][..]);
    let channels = (prop::sample::select(&["shm", "tcp"][..]), channel(), channel());
    let costs = (0.0..1e-3_f64, prop::option::of(1e-3..10.0_f64));
    (profile(), channels, costs).prop_map(|(profile, (machine, network, store), costs)| {
        let costs = Costs {
            prices: Prices::aws(),
            process: DollarsPerSecond::new(costs.0),
            often: costs.1.map(Rate::new),
        };
        Market::of(profile).over(Channels::new(machine, network, store)).costing(costs)
    })
}

/// Packs, shared cores, and ranks that stand anywhere.
fn topology(ranks: std::ops::Range<usize>) -> impl Strategy<Value = Topology> {
    ranks.prop_flat_map(|ranks| {
        let anywhere = prop::collection::vec((0..4_u32, 0..3_u32), ranks).prop_map(|places| {
            let place = |(rank, (process, core)): (usize, (u32, u32))| Place {
                process,
                machine: process / 2,
                core: if core == 0 { rank as u32 + 20 } else { process / 2 * 2 + core },
            };
            Topology::new(places.into_iter().enumerate().map(place).collect())
        });
        prop_oneof![
            Just(Topology::apart(ranks)),
            (1..6_usize).prop_map(move |pack| Topology::packs(ranks, pack)),
            (1..6_usize, 1..5_usize)
                .prop_map(move |(pack, cores)| Topology::machine(ranks, pack, cores)),
            anywhere,
        ]
    })
}

fn question(size: usize, packing: Packing, together: bool) -> impl Strategy<Value = Question> {
    let demands = [Demand::Commutative, Demand::Associative, Demand::Ordered];
    (
        prop::sample::select(Collective::ALL),
        prop::sample::select(demands.to_vec()),
        prop::option::of(bytes()),
        any::<bool>(),
        prop::sample::select(Shelf::ALL.to_vec()),
    )
        .prop_map(move |(collective, demand, bytes, cuttable, store)| Question {
            collective,
            demand,
            size,
            bytes,
            cuttable,
            together,
            crowded: false,
            packing,
            store,
        })
}

fn bytes() -> impl Strategy<Value = u64> {
    (0..31_u32, 0.0..1.0_f64).prop_map(|(bits, more)| ((1u64 << bits) as f64 * (1.0 + more)) as u64)
}

fn algorithm() -> impl Strategy<Value = &'static Algorithm> {
    prop::sample::select(Algorithm::all().collect::<Vec<_>>())
}

/// A model, and something asked of it.
fn asked() -> impl Strategy<Value = (Model, Question)> {
    (market(), topology(1..40)).prop_flat_map(|(market, topology)| {
        let (size, together) = (topology.ranks(), topology.processes() == 1);
        let model = Model::new(market, topology);
        let packing = if together { Packing::None } else { Packing::of(model.packs()) };
        (Just(model), question(size, packing, together))
    })
}

/// As another rank has it: nothing is shared.
fn again(model: &Model) -> Model {
    let market = &*model.market;
    let profile = Profile::from_toml(&market.profile.to_toml()).expect("it was one");
    let same = Market::of(profile).over(market.channels.clone()).costing(market.costs.clone());
    Model::new(same, Topology::new(model.topology.places().to_vec()))
}

fn is_sound(price: &Estimate) -> bool {
    let amounts = [price.time.get(), price.late.get(), price.money.get()];
    amounts.iter().all(|amount| (0.0..1e12).contains(amount)) && price.late >= price.time
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn prices_are_amounts(
        algorithm in algorithm(), market in market(), topology in topology(1..80), bytes in bytes(),
        chunk in prop::sample::select(&CHUNK_SIZES[..]), root: prop::sample::Index,
    ) {
        let size = topology.ranks();
        let model = Model::new(market, topology);
        let chunks = (bytes.div_ceil(chunk) as usize).clamp(1, 1024);
        let root = if algorithm.collective.is_rooted() { root.index(size) } else { 0 };
        let shape = Shape::of(size).rooted(root).chunked(chunks).packed(model.packs());
        let price = algorithm.price(shape.clone(), Bytes::new(bytes), &model);
        prop_assert!(is_sound(&price), "{algorithm}: {price:?}");
        prop_assert_eq!(price, algorithm.price(shape.clone(), Bytes::new(bytes), &again(&model)));
    }

    /// Among ranks that share neither cores nor a server. Those answer who comes first, and who that is may
    /// depend on the length: a plan that is unlucky takes up to a quarter longer than with somewhat longer
    /// values.
    #[test]
    fn longer_values_take_longer_and_cost_more(
        algorithm in algorithm(), profile in profile(), size in 1..70_usize, pack in 1..5_usize,
        bytes in bytes(), more in 0.0..3.0_f64, chunks in 1..40_usize,
        store in prop::sample::select(&["tcp", "redis", "s3"][..]),
    ) {
        let mut profile = profile;
        profile.channels.values_mut().for_each(|channel| channel.server = None);
        let model = Model::new(
            Market::of(profile).over(Channels::new("tcp", "tcp", store)),
            Topology::packs(size, pack),
        );
        let shape = Shape::of(size).chunked(chunks).packed(model.packs());
        let [less, more] = [bytes, bytes + (bytes as f64 * more) as u64]
            .map(|bytes| algorithm.price(shape.clone(), Bytes::new(bytes), &model));
        // Pieces are cut at whole bytes: one more in one place may be one less in another.
        let slack = 1.0 + 1e-6;
        let one = 1e-6;
        prop_assert!(less.time.get() <= more.time.get() * slack + one, "{algorithm}: {less:?}, {more:?}");
        // Who waits longer may have to ask once less often: the time at which it asks is another one.
        prop_assert!(less.money.get() <= more.money.get() * 1.01 + one, "{algorithm}: {less:?}, {more:?}");
    }

    /// The same of few ranks that share cores, for values eight times as long: a plan that was unlucky with short
    /// ones is not lucky with these.
    #[test]
    fn much_longer_values_take_longer_where_cores_are_shared(
        algorithm in algorithm(), size in 1..20_usize, pack in 1..5_usize, cores in 1..5_usize,
        bytes in bytes(), chunks in 1..20_usize, over in prop::sample::select(&["tcp", "shm", "redis"][..]),
    ) {
        let mut profile = Profile::shipped("loopback").expect("it is shipped");
        profile.corrections.clear();
        let market = Market::of(profile).over(Channels::only(over));
        let model = Model::new(market, Topology::machine(size, pack, cores));
        let shape = Shape::of(size).chunked(chunks).packed(model.packs());
        let [less, more] = [bytes, bytes.saturating_mul(8)]
            .map(|bytes| algorithm.price(shape.clone(), Bytes::new(bytes), &model));
        prop_assert!(is_sound(&less) && is_sound(&more), "{algorithm}: {less:?}, {more:?}");
        prop_assert!(less.time.get() <= more.time.get() * (1.0 + 1e-6), "{algorithm}: {less:?}, {more:?}");
    }

    /// Whatever was measured of a plan: what takes longer by its steps takes longer still.
    #[test]
    fn corrections_keep_what_is_longer(
        algorithm in algorithm(), size in 2..20_usize, bytes in bytes(), more in 0.0..3.0_f64,
        measured in prop::collection::vec((1e-6..1e-1_f64, 1e-6..1e-1_f64), 1..5),
    ) {
        let mut profile = Profile::shipped("loopback").expect("it is shipped");
        profile.corrections.clear();
        let lengths = [bytes, bytes + (bytes as f64 * more) as u64].map(Bytes::new);
        let topology = Topology::machine(size, 1, profile.host.cores);
        let prices = |profile: &Profile| lengths.map(|bytes| {
            let market = Market::of(profile.clone()).over(Channels::only("tcp"));
            algorithm.price(Shape::of(size), bytes, &Model::new(market, topology.clone()))
        });
        let [less, more] = prices(&profile);
        let times: Vec<_> =
            measured.iter().map(|(one, other)| (Seconds::new(*one), Seconds::new(*other))).collect();
        let of = profile.corrections.entry("tcp".to_owned()).or_default();
        of.note(algorithm.collective.name(), algorithm.name, size, &times);
        let corrected = prices(&profile);
        prop_assert!(corrected.iter().all(is_sound), "{corrected:?}");
        let keeps = |one: f64, other: f64| one <= other * (1.0 + 1e-9);
        if less.time <= more.time {
            prop_assert!(keeps(corrected[0].time.get(), corrected[1].time.get()), "{corrected:?}");
        }
    }

    #[test]
    fn a_larger_budget_never_gives_a_worse_result(
        (model, question) in asked(), one in 0.0..2.0_f64, other in 0.0..2.0_f64,
    ) {
        let all = question.ranking(&model, Objective::Fast).candidates;
        let best = |objective: Objective| {
            let ranking = question.ranking(&model, objective);
            assert_eq!(ranking.candidates.len(), all.len());
            ranking.candidates[0].price
        };
        let [fastest, cheapest] = [best(Objective::Fast), best(Objective::Cheap)];
        let (low, high) = if one <= other { (one, other) } else { (other, one) };
        let between = |least: f64, most: f64, share: f64| least + (most - least) * share;

        let budget = |share| Dollars::new(between(cheapest.money.get(), fastest.money.get(), share));
        let [less, more] = [low, high].map(|share| best(Objective::FastWithin(budget(share))));
        if less.money <= budget(low) {
            prop_assert!(more.time <= less.time);
            prop_assert!(more.money <= budget(high));
        }
        let budget = |share| Seconds::new(between(fastest.time.get(), cheapest.time.get(), share));
        let [less, more] = [low, high].map(|share| best(Objective::CheapWithin(budget(share))));
        if less.time <= budget(low) {
            prop_assert!(more.money <= less.money);
            prop_assert!(more.time <= budget(high));
        }
    }

    #[test]
    fn all_ranks_choose_alike(
        (model, question) in asked(), objective in prop::sample::select(vec![
            Objective::Fast,
            Objective::Cheap,
            Objective::FastWithin(Dollars::new(1e-5)),
            Objective::CheapWithin(Seconds::new(0.01)),
        ]),
    ) {
        let chosen: Vec<Choice> = (0..model.topology.ranks().min(4))
            .map(|_| Chooser::new(again(&model), objective).choose(&question))
            .collect();
        prop_assert!(chosen.iter().all(|choice| *choice == chosen[0]), "{chosen:?}");
        // What was chosen before does not matter.
        let chooser = Chooser::new(model, objective);
        let others = [Some(0), Some(1 << 20), None].map(|bytes| Question { bytes, ..question });
        let _ = others.map(|question| chooser.choose(&question));
        prop_assert_eq!(chooser.choose(&question), chosen[0]);
        prop_assert!(chosen[0].chunks >= 1);
        let can_run = fmi_collectives::plan::can_run(chosen[0].algorithm, &question);
        prop_assert!(can_run, "{:?} cannot run", chosen[0]);
    }
}
