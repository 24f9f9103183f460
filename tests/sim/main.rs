//! The simulator: the same seed gives the same run, lossy wires lose nothing, and a rank that
//! dies at any step leaves nobody waiting.

mod calibrate;
mod cases;
mod meter;
mod model;
mod store;

use cases::{CASES, Case, triangle};
use fmi::{
    Communicator, Error, Reason, op,
    plan::{
        bcast,
        price::{Channels, Market},
    },
    sim::{self, Death, Depot, End, Report, Sim},
};
use fmi_model::Profile;
use std::{ops::Range, sync::Arc, time::Duration};

/// All of them, three times.
async fn everything(comm: Communicator) -> fmi::Result<Duration> {
    for _ in 0..3 {
        for case in CASES {
            assert!((case.call)(comm.clone()).await?, "{} on rank {}", case.name, comm.rank());
        }
    }
    Ok(sim::now())
}

fn faulty(ranks: usize, seed: u64) -> Sim {
    let short = Duration::from_micros(20);
    let sim = Sim::new(ranks).seed(seed).jitter(short).loss(0.05).duplication(0.05);
    sim.reordering(0.1).delay(0.01, Duration::from_millis(3)).connect(short)
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| faulty(7, seed).run(everything);
    let first = run(1);
    assert_eq!(first, run(1));
    assert_ne!(first.trace, run(2).trace);
    // Also when the run ends badly.
    let dies = |seed| faulty(7, seed).kill(3, Death::AfterFrames(11)).run(everything);
    assert_eq!(dies(1), dies(1));
}

/// Whatever is wanted, whatever the model says, and over whatever wires.
#[test]
fn what_the_model_chooses_is_right() {
    let depots = [
        None,
        Some(Depot::default()),
        Some(Depot { wide: true, ..Depot::default() }),
        Some(Depot { alone: true, ..Depot::default() }),
    ];
    for (depot, (pack, profile, store)) in depots.iter().flat_map(|depot| {
        [(1, "aws-lambda", "s3"), (3, "loopback", "redis"), (9, "lan", "tcp"), (2, "lan", "s3")]
            .map(|market| (depot, market))
    }) {
        for hint in ["fast", "cheap", "fast within $0.00001", "cheap within 5 ms"] {
            let market = Market::of(Profile::shipped(profile).unwrap());
            let market = Arc::new(market.over(Channels::new("tcp", "tcp", store)));
            let sim = Sim::new(9).pack(pack);
            let sim = depot.iter().fold(sim, |sim, depot| sim.store(depot.clone()));
            let report = sim.run(|comm| {
                let comm = comm.with_model(&market).hint(hint.parse().unwrap());
                async move {
                    let half = comm.split(Some(comm.rank() as u64 % 2), 0).await?;
                    everything(half.expect("all have a color")).await?;
                    everything(comm).await
                }
            });
            for (rank, end) in report.ends.iter().enumerate() {
                assert!(matches!(end, End::Done(Ok(_))), "{depot:?}, rank {rank}: {end:?}");
            }
            assert_eq!(report.stored, 0, "something is left");
        }
    }
}

#[test]
fn nothing_is_lost_on_a_wire_that_loses() {
    for seed in 0..150 {
        let report =
            faulty(2 + seed as usize % 8, seed).pack(1 + seed as usize % 3).run(everything);
        for (rank, end) in report.ends.iter().enumerate() {
            assert!(matches!(end, End::Done(Ok(_))), "seed {seed}, rank {rank}: {end:?}");
        }
    }
}

#[test]
fn ping_pong_with_faults() {
    for seed in 0..60 {
        let report = faulty(2, seed).run(|comm| async move {
            let peer = 1 - comm.rank();
            for round in 0..50u64 {
                // Small, and so large that it is asked for.
                let len = if round % 10 == 9 { 100_000 } else { 3 };
                if comm.rank() == 0 {
                    comm.send(vec![round; len], peer, 1).await?;
                }
                let got: Vec<u64> = comm.recv(peer, 1).await?;
                assert_eq!(got, vec![round; len]);
                if comm.rank() == 1 {
                    comm.send(got, peer, 1).await?;
                }
            }
            Ok::<_, Error>(())
        });
        assert!(report.values().into_iter().all(|end| end.is_ok()), "seed {seed}");
    }
}

#[test]
fn time_is_latency_and_bytes() {
    let latency = Duration::from_micros(10);
    let sim = Sim::new(8).latency(latency).overhead(Duration::ZERO).bandwidth(f64::INFINITY);
    let report = sim.run(|comm| async move { comm.barrier().await.map(|()| sim::now()) });
    assert_eq!((report.rounds, report.time), (3, 3 * latency));
    assert!(report.values().into_iter().all(|at| at == Ok(3 * latency)));
    // A megabyte at a gigabyte a second takes a millisecond, wherever it waits.
    let sim = Sim::new(2).latency(latency).bandwidth(1e9);
    let report = sim.run(|comm| async move { comm.bcast(Some(vec![0u8; 1_000_000]), 0).await });
    assert!((1000..1200).contains(&report.time.as_micros()), "{:?}", report.time);
}

#[test]
fn deadlines_are_simulated_too() {
    let report = Sim::new(2).run(|comm| async move {
        let hour = Duration::from_secs(3600);
        if comm.rank() == 1 {
            sim::sleep(2 * hour).await;
            return (comm.size() as u64, sim::now());
        }
        let error = comm.recv::<u64>(1, 0).deadline(hour).await.unwrap_err();
        assert!(matches!(error, Error::Timeout { peer: Some(1), .. }), "{error}");
        (0, sim::now())
    });
    let times: Vec<_> = report.values().into_iter().map(|(_, at)| at.as_secs()).collect();
    assert_eq!(times, [3600, 7200]);
}

#[test]
fn who_waits_for_a_rank_that_has_left_is_told() {
    let report = Sim::new(3).run(|comm| async move {
        match comm.rank() {
            0 => comm.recv::<u64>(1, 0).await.map(drop),
            _ => Ok(()),
        }
    });
    let lost = Error::RankLost { rank: 1, reason: Reason::Left };
    assert_eq!(report.values(), [Err(lost), Ok(()), Ok(())]);
}

/// Rank 1 passes a long value on for 10 s, and a rank that has left is given 3 s to be heard of by others.
#[test]
fn what_others_pass_on_comes_long_after_its_root_has_left() {
    let sim = Sim::new(3).bandwidth(1e5).detection(Duration::from_secs(3));
    let report = sim.run(|comm| async move {
        let value = (comm.rank() == 0).then(|| "x".repeat(1_000_000));
        let value = comm.using(&bcast::chain::ALGORITHM).bcast(value, 0).await;
        (value.map(|value| value.len()), sim::now())
    });
    let ends: Vec<_> =
        report.values().into_iter().map(|(value, at)| (value, at.as_secs())).collect();
    assert!(ends.iter().all(|(value, _)| *value == Ok(1_000_000)), "{ends:?}");
    assert!(ends[2].1 >= 20, "{ends:?}");
}

#[test]
fn what_cannot_end_is_found() {
    let sim = Sim::new(1);
    let report = sim.run(|_| std::future::pending::<()>());
    assert_eq!(report.ends, [End::Hung]);
}

/// An error of a survivor: it must name a rank that died.
fn names(error: &Error, dead: Range<usize>) -> bool {
    match error {
        Error::RankLost { rank, reason: Reason::Died } => dead.contains(rank),
        Error::Abandoned { rank, reason, .. } => {
            let told = |dead| reason.to_string().contains(&format!("rank {dead} "));
            dead.contains(rank) || dead.clone().any(told)
        }
        _ => false,
    }
}

/// Kills `dead` after each of its frames in turn, until it has no more to send.
fn kill_at_every_step(case: &Case, size: usize, dead: usize, base: &Sim) -> u64 {
    kill_pack_at_every_step(case, size, dead..dead + 1, base)
}

/// The same of the process of these ranks.
fn kill_pack_at_every_step(case: &Case, size: usize, dead: Range<usize>, base: &Sim) -> u64 {
    let mut frames = 0;
    loop {
        let sim = base.clone().kill(dead.start, Death::AfterFrames(frames));
        let what = || format!("{} of {size}, ranks {dead:?} die after {frames} frames", case.name);
        let Report { ends, time, .. } = sim.run(|comm| (case.call)(comm));
        // The deadline is 15 minutes away.
        assert!(time < Duration::from_secs(60), "{}: {time:?}", what());
        let mut died = false;
        for (rank, end) in ends.into_iter().enumerate() {
            match end {
                End::Done(Ok(right)) => assert!(right, "{}: wrong on {rank}", what()),
                End::Done(Err(error)) => {
                    assert!(names(&error, dead.clone()), "{}: {error}", what())
                }
                End::Died => {
                    assert!(dead.contains(&rank), "{}", what());
                    died = true;
                }
                End::Hung => panic!("{}: rank {rank} hangs", what()),
            }
        }
        if !died {
            return frames;
        }
        frames += 1;
    }
}

#[test]
fn a_kill_at_every_step_of_every_collective() {
    let mut runs = 0;
    for case in CASES {
        for size in 2..=9 {
            let sim = Sim::new(size);
            runs += (0..size).map(|dead| kill_at_every_step(case, size, dead, &sim)).sum::<u64>();
        }
    }
    // Every rank has something to send in every one of these.
    assert!(runs > 1000, "{runs} deaths only");
}

#[test]
fn a_kill_at_every_step_among_packs() {
    let mut runs = 0;
    for case in CASES {
        for (size, pack) in [(4, 2), (6, 4), (7, 3), (8, 4)] {
            let sim = Sim::new(size).pack(pack);
            for first in (0..size).step_by(pack) {
                let dead = first..size.min(first + pack);
                runs += kill_pack_at_every_step(case, size, dead, &sim);
            }
        }
    }
    assert!(runs > 200, "{runs} deaths only");
}

#[test]
fn a_kill_at_every_step_on_a_bad_wire() {
    for case in CASES {
        for size in [3, 5, 8] {
            for dead in 0..size {
                kill_at_every_step(case, size, dead, &faulty(size, dead as u64));
            }
        }
    }
}

#[test]
fn a_death_at_any_time() {
    for case in CASES {
        for micros in (0..200).step_by(7) {
            let at = Duration::from_micros(micros);
            let report = Sim::new(6).kill(2, Death::At(at)).run(|comm| (case.call)(comm));
            for end in report.ends {
                match end {
                    End::Done(Ok(right)) => assert!(right),
                    End::Done(Err(error)) => assert!(names(&error, 2..3), "{}: {error}", case.name),
                    End::Died => {}
                    End::Hung => panic!("{} hangs", case.name),
                }
            }
        }
    }
}

#[test]
fn a_thousand_ranks() {
    let report = Sim::new(1000).run(|comm| async move {
        comm.barrier().await?;
        comm.allreduce(comm.rank() as u64, op::sum()).await
    });
    assert!(report.rounds <= 2 * 11, "{} rounds", report.rounds);
    assert!(report.values().into_iter().all(|sum| sum == Ok(triangle(1000))));
}
