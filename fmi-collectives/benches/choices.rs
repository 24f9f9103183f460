//! How long it takes to put a price on plans: `cargo bench -p fmi-collectives --bench choices`.
//!
//! Prints, for 1,024 ranks, microseconds of each algorithm that is priced for the first time and of a first
//! choice; then nanoseconds of a choice that has been made before, on one thread and on two at once.

use fmi_collectives::plan::{
    Algorithm, Chooser, Collective, Demand, Packing, Question, Shape, Shelf, chunks,
    price::{Market, Model},
};
use fmi_model::{Bytes, Objective, Profile, topology::Topology};
use std::{hint::black_box, thread, time::Instant};

const RANKS: usize = 1024;
const BYTES: [u64; 3] = [8, 64 << 10, 64 << 20];

fn main() {
    let market = Market::of(Profile::shipped("aws-lambda").expect("it is shipped"));
    let model = Model::new(market, Topology::packs(RANKS, 4));
    println!("{:<34}{:>12}{:>12}{:>12}", "µs, 1024 ranks", "8 B", "64 KiB", "64 MiB");
    for algorithm in Algorithm::all() {
        let times = BYTES.map(|bytes| {
            let shape = Shape::of(RANKS).chunked(chunks(bytes));
            fastest(|| {
                black_box(algorithm.price(shape.clone(), Bytes::new(bytes), &model));
            })
        });
        let [small, middle, large] = times;
        println!("{:<34}{small:>12.0}{middle:>12.0}{large:>12.0}", algorithm.to_string());
    }
    println!();
    let chooser = Chooser::new(model.clone(), Objective::Fast);
    for &collective in Collective::ALL {
        let times = BYTES.map(|bytes| {
            let start = Instant::now();
            black_box(chooser.choose(&question(collective, bytes)));
            start.elapsed().as_secs_f64() * 1e6
        });
        let [small, middle, large] = times;
        let first = format!("first choice of {collective}");
        println!("{first:<34}{small:>12.0}{middle:>12.0}{large:>12.0}");
    }
    println!("\nns, a choice that is known: {:.0} on one thread", known(&chooser));
    // Each rank has a chooser of its own; what they know is shared.
    let other = Chooser::new(model, Objective::Fast);
    let both = thread::scope(|scope| {
        let other = scope.spawn(|| known(&other));
        (known(&chooser), other.join().expect("it does not panic"))
    });
    println!("{:.0} and {:.0} on two threads", both.0, both.1);
}

fn question(collective: Collective, bytes: u64) -> Question {
    Question {
        collective,
        demand: Demand::Associative,
        size: RANKS,
        bytes: Some(bytes),
        cuttable: true,
        together: false,
        crowded: false,
        packing: Packing::None,
        store: Shelf::None,
    }
}

/// Of all collectives and lengths, again and again.
fn known(chooser: &Chooser) -> f64 {
    const ROUNDS: u32 = 100_000;
    let questions: Vec<Question> = Collective::ALL
        .iter()
        .flat_map(|collective| BYTES.map(|bytes| question(*collective, bytes)))
        .collect();
    let start = Instant::now();
    for _ in 0..ROUNDS {
        for question in &questions {
            black_box(chooser.choose(black_box(question)));
        }
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS) / questions.len() as f64
}

/// Microseconds.
fn fastest(mut run: impl FnMut()) -> f64 {
    let once = |_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64() * 1e6
    };
    (0..5).map(once).fold(f64::INFINITY, f64::min)
}
