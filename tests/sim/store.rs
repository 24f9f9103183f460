//! Where nothing but a store joins the processes: what each collective asks of it, and what happens
//! if it fails, forgets, or a process dies.

use crate::{CASES, cases::Case};
use fmi::{
    Buf, Communicator, Error, Reason, op,
    plan::{Algorithm, Shape},
    sim::{Death, Depot, End, Report, Requests, Sim},
};
use futures::{FutureExt, future::LocalBoxFuture};
use std::time::Duration;

fn alone(ranks: usize, depot: Depot) -> Sim {
    Sim::new(ranks).store(Depot { alone: true, ..depot })
}

/// Runs a collective, and returns what all processes have asked of the store.
fn requests(sim: &Sim, call: Call) -> Requests {
    let report = sim.run(call);
    let (requests, left) = (report.requests, report.stored);
    assert!(report.values().into_iter().all(|end| end == Ok(())));
    assert_eq!(left, 0, "something is left");
    requests
}

type Call = fn(Communicator) -> LocalBoxFuture<'static, fmi::Result<()>>;

/// One of each, on values whose length all know.
const CALLS: &[(&str, Call)] = &[
    ("barrier/shared", |comm| async move { comm.barrier().await }.boxed_local()),
    ("bcast/shared", |comm| async move { comm.bcast(Some(7u64), 1).await.map(drop) }.boxed_local()),
    ("gather/shared", |comm| async move { comm.gather(7u64, 1).await.map(drop) }.boxed_local()),
    ("scatter/shared", |comm| {
        async move { comm.scatter(Some(vec![7u64; comm.size()]), 1).await.map(drop) }.boxed_local()
    }),
    ("allgather/shared", |comm| async move { comm.allgather(7u64).await.map(drop) }.boxed_local()),
    ("alltoall/shared", |comm| {
        async move { comm.alltoall(vec![7u64; comm.size()]).await.map(drop) }.boxed_local()
    }),
    ("reduce/shared", |comm| {
        async move { comm.reduce(7u64, op::sum(), 1).await.map(drop) }.boxed_local()
    }),
    ("allreduce/shared_small", |comm| {
        async move { comm.allreduce(7u64, op::sum()).await.map(drop) }.boxed_local()
    }),
    ("allreduce/shared", |comm| {
        async move { comm.allreduce(vec![7u8; 1 << 20], op::max()).await.map(drop) }.boxed_local()
    }),
    ("reduce_scatter/shared", |comm| {
        async move { comm.reduce_scatter(vec![7u64; comm.size()], op::sum()).await.map(drop) }
            .boxed_local()
    }),
];

/// Of very many ranks.
const CALLS_OF_MANY: &[(&str, Call)] = &[
    ("barrier/shared_tree", CALLS[0].1),
    ("reduce/shared_tree", CALLS[6].1),
    ("allreduce/shared_tree", CALLS[7].1),
];

#[test]
fn a_collective_asks_of_a_store_what_its_plan_says() {
    for n in [2, 3, 5, 16] {
        for (name, call) in CALLS {
            let Requests { puts, gets, .. } = requests(&alone(n, Depot::default()), *call);
            let (puts, gets) = (puts as usize, gets as usize);
            let algorithm = Algorithm::find(name).unwrap();
            let report = algorithm.check(Shape::of(n).rooted(1)).unwrap();
            assert_eq!((puts, gets), (report.puts, report.gets), "{name} of {n}");
            // Never one for each pair of ranks.
            let right = match algorithm.collective.name() {
                "barrier" => (n, 2 * (n - 1)),
                "bcast" | "scatter" => (1, n - 1),
                "gather" => (n - 1, n - 1),
                "allgather" | "alltoall" | "reduce_scatter" => (n, n * (n - 1)),
                // Rank 0 combines, and hands the root the result.
                "reduce" => (n, n),
                _ if *name == "allreduce/shared" => (2 * n, 2 * n * (n - 1)),
                _ => (n, 2 * (n - 1)),
            };
            assert_eq!((puts, gets), right, "{name} of {n}");
        }
    }
    for (name, call) in CALLS_OF_MANY {
        let n = 70;
        let Requests { puts, gets, .. } = requests(&alone(n, Depot::default()), *call);
        let algorithm = Algorithm::find(name).unwrap();
        let report = algorithm.check(Shape::of(n).rooted(1)).unwrap();
        assert_eq!((puts as usize, gets as usize), (report.puts, report.gets), "{name} of {n}");
        assert!(puts as usize <= n && gets as usize <= 2 * n, "{name}");
    }
}

#[test]
fn a_process_reads_once_what_several_of_its_ranks_want() {
    let sim = alone(12, Depot::default()).pack(4);
    // One of each process: of the root's own, who came before the root did.
    assert_eq!(requests(&sim, CALLS[1].1), Requests { puts: 1, gets: 3, looks: 0 });
}

/// Ranks of the publisher's process have its items before the store does. Reads that it did not count
/// would keep them there, and after so many nobody could put more there.
#[test]
fn reads_count_also_if_they_come_before_the_item_is_there() {
    const TIMES: u64 = 300;
    let call: Call = |comm| {
        async move {
            for time in 0..TIMES {
                assert_eq!(comm.bcast((comm.rank() == 0).then_some(time), 0).await?, time);
            }
            Ok(())
        }
        .boxed_local()
    };
    assert_eq!(requests(&alone(6, Depot::default()).pack(3), call).puts, TIMES);
}

#[test]
fn what_many_read_is_put_there_once_if_a_store_serves_many() {
    let call: Call = |comm| {
        async move {
            let value = (comm.rank() == 3).then(|| Buf::from(vec![5u8; 10_000_000]));
            let got = comm.bcast(value, 3).await?;
            assert!(got.len() == 10_000_000 && got.iter().all(|byte| *byte == 5));
            Ok(())
        }
        .boxed_local()
    };
    let sim = |wide| Sim::new(17).store(Depot { wide, stored: usize::MAX, ..Depot::default() });
    assert_eq!(requests(&sim(true), call), Requests { puts: 1, gets: 16, looks: 0 });
    assert_eq!(requests(&sim(false), call), Requests::default());
}

#[test]
fn what_a_store_refuses_reaches_all_who_wait() {
    let (mut failed, mut done) = (0, 0);
    for case in CASES {
        for seed in 0..40 {
            let depot = Depot { failures: 0.1, stored: 10, ..Depot::default() };
            let sim = alone(2 + seed as usize % 5, depot).seed(seed).pack(1 + seed as usize % 2);
            let report = sim.run(|comm| (case.call)(comm));
            assert_eq!(report.stored, 0, "{}, seed {seed}", case.name);
            match fails_well(case, report, seed) {
                true => failed += 1,
                false => done += 1,
            }
        }
    }
    assert!(failed > 100 && done > 100, "{failed} failed, {done} did not");
}

/// Whether it failed; then somebody says what the store said, and all others that or who did.
fn fails_well(case: &Case, report: Report<fmi::Result<bool>>, seed: u64) -> bool {
    let what = format!("{}, seed {seed}", case.name);
    assert!(report.time < Duration::from_secs(60), "{what} took {:?}", report.time);
    let mut errors = Vec::new();
    for end in report.ends {
        match end {
            End::Done(Ok(right)) => assert!(right, "{what}"),
            End::Done(Err(error)) => errors.push(error),
            End::Died | End::Hung => panic!("{what}: {end:?}"),
        }
    }
    for error in &errors {
        let text = error.to_string();
        assert!(text.contains("it is simulated to fail"), "{what}: {text}");
        assert!(
            matches!(
                error,
                Error::Store { .. } | Error::Abandoned { reason: Reason::Error(_), .. }
            ),
            "{what}: {error:?}"
        );
    }
    !errors.is_empty()
}

#[test]
fn what_a_store_forgot_is_lost_when_its_writer_has_gone() {
    let sim = alone(4, Depot { forgets: 1.0, ..Depot::default() });
    let report = sim.run(|comm| async move { comm.bcast(Some(7u64), 2).await });
    assert!(report.time < Duration::from_secs(60), "{:?}", report.time);
    let values = report.values();
    assert_eq!(values[2], Ok(7));
    let lost = Error::Lost {
        store: "depot".to_owned(),
        what: "what rank 2 published before it left".to_owned(),
    };
    for (rank, value) in values.into_iter().enumerate().filter(|(rank, _)| *rank != 2) {
        // Who finds it first tells the others, if they have not found it themselves.
        match value {
            Err(error) if error == lost => {}
            Err(Error::Abandoned { reason: Reason::Error(why), .. }) => {
                assert_eq!(why, lost.to_string());
            }
            value => panic!("rank {rank}: {value:?}"),
        }
    }
}

#[test]
fn what_a_store_forgot_of_writers_that_wait_ends_with_the_deadline() {
    let sim = alone(3, Depot { forgets: 1.0, ..Depot::default() });
    let sim = sim.operation(Duration::from_secs(5));
    let report = sim.run(|comm| async move { comm.barrier().await });
    for value in report.values() {
        let error = value.unwrap_err();
        assert!(matches!(error, Error::Timeout { .. } | Error::Abandoned { .. }), "{error}");
    }
}

#[test]
fn a_reader_that_dies_leaves_nothing_of_others_behind() {
    for case in CASES {
        for (dead, micros) in
            (0..5).flat_map(|dead| (0..3000).step_by(370).map(move |at| (dead, at)))
        {
            let at = Duration::from_micros(micros);
            let depot = Depot { stored: 10, ..Depot::default() };
            let report = alone(5, depot).kill(dead, Death::At(at)).run(|comm| (case.call)(comm));
            let what = format!("{}, rank {dead} at {at:?}", case.name);
            assert_eq!(report.stored, 0, "{what}");
            assert!(report.time < Duration::from_secs(60), "{what}: {:?}", report.time);
            for end in report.ends {
                match end {
                    End::Done(Ok(right)) => assert!(right, "{what}"),
                    End::Done(Err(error)) => {
                        assert!(crate::names(&error, dead..dead + 1), "{what}: {error}")
                    }
                    End::Died => {}
                    End::Hung => panic!("{what} hangs"),
                }
            }
        }
    }
}
