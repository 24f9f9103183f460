//! Random sequences of collectives, one after the other and all at once: any of them, any root,
//! type, operation and length.

use crate::{
    common::{PATIENCE, Wire, World},
    kinds::{self, OPERATIONS, TYPES, zip},
    run::{REDUCTIONS, Run},
    values::{Value, all},
};
use fmi::{Communicator, op, plan::Collective};
use futures::future::{join_all, try_join_all};
use proptest::{prelude::*, test_runner::TestRunner};
use std::{cell::RefCell, collections::HashMap};

const MOVING: [Collective; 5] = [
    Collective::Bcast,
    Collective::Gather,
    Collective::Scatter,
    Collective::Allgather,
    Collective::Alltoall,
];

/// One collective of a random sequence.
#[derive(Debug, Clone, Copy)]
struct Step {
    collective: usize,
    kind: usize,
    root: usize,
    seed: u64,
    len: usize,
}

impl Step {
    async fn run(self, comm: &Communicator) {
        let Self { collective, kind, seed, len, .. } = self;
        // Of many ranks' long values there would be too many bytes.
        let len = if comm.size() > 4 { len % 5000 } else { len };
        let mut run = Run::new(comm, self.root % comm.size(), seed, len);
        match collective {
            0 => run.barrier().await,
            1..=5 => {
                run.only = Some(MOVING[collective - 1]);
                kinds::moves(&run, kind % TYPES).await;
            }
            _ => {
                run.only = Some(REDUCTIONS[collective - 6]);
                kinds::reductions(&run, kind % OPERATIONS).await;
            }
        }
    }
}

fn steps() -> impl Strategy<Value = (usize, Vec<Step>)> {
    // Around what lies flat (16 KiB), is a chunk (128 KiB), is sent at once (256 KiB).
    let len = prop_oneof![
        3 => Just(0usize),
        3 => Just(1),
        6 => 2usize..70,
        2 => 2_000usize..3_000,
        1 => 16_000usize..18_000,
        1 => 32_000usize..34_000,
    ];
    let step = (0..11usize, 0..24usize, 0..17usize, 0..1000u64, len)
        .prop_map(|(collective, kind, root, seed, len)| Step { collective, kind, root, seed, len });
    let size = prop_oneof![8 => 1usize..=9, 1 => 10usize..=17];
    (size, prop::collection::vec(step, 1..8))
}

#[test]
fn local_any_sequence_of_collectives_also_overlapping() {
    any_sequence(Wire::Local, false);
}

#[test]
fn tcp_any_sequence_of_collectives_also_overlapping() {
    any_sequence(Wire::Tcp, false);
}

#[test]
fn sim_any_sequence_of_collectives_also_overlapping() {
    any_sequence(Wire::Sim, false);
}

#[test]
fn local_any_sequence_of_collectives_on_several_threads() {
    any_sequence(Wire::Local, true);
}

/// Any sequence, one after the other and all at once; all ranks in one task, or a task each.
fn any_sequence(wire: Wire, spawned: bool) {
    let mut builder = if spawned {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    let runtime = builder.worker_threads(2).enable_all().build().unwrap();
    let worlds = RefCell::new(HashMap::new());
    let config =
        ProptestConfig { cases: 80, failure_persistence: None, ..ProptestConfig::default() };
    let runs = TestRunner::new(config).run(&steps(), |(size, steps)| {
        // After a failure the world is of no use for a smaller case.
        let world = worlds.borrow_mut().remove(&size);
        let world = world.unwrap_or_else(|| runtime.block_on(World::new(wire, size)));
        if spawned {
            let lives = world
                .ranks
                .iter()
                .map(|comm| runtime.spawn(in_turn_and_at_once(comm.clone(), steps.clone())));
            let all = try_join_all(lives);
            let ends = runtime.block_on(async { tokio::time::timeout(PATIENCE, all).await });
            if let Err(panic) = ends.expect("ranks hang") {
                std::panic::resume_unwind(panic.into_panic());
            }
        } else {
            let steps = &steps;
            runtime.block_on(world.each(|comm| in_turn_and_at_once(comm, steps.clone())));
        }
        worlds.borrow_mut().insert(size, world);
        Ok(())
    });
    runs.unwrap();
}

async fn in_turn_and_at_once(comm: Communicator, steps: Vec<Step>) {
    for step in &steps {
        step.run(&comm).await;
    }
    // A step is more than one collective, of which the later ones are called as they come: that
    // needs a communicator each.
    let dups: Vec<_> = steps.iter().map(|_| comm.dup()).collect();
    join_all(steps.iter().zip(&dups).map(|(step, comm)| step.run(comm))).await;
    // Of one collective each, all are called at once, in one order.
    let sums = steps.iter().map(|step| {
        comm.allreduce(Vec::<f64>::make(comm.rank(), step.seed, step.len % 5000), op::max())
    });
    for (sum, step) in join_all(sums).await.into_iter().zip(&steps) {
        let all = all::<Vec<f64>>(comm.size(), step.seed, step.len % 5000);
        let right = all.into_iter().reduce(|a, b| zip(a, b, f64::max)).unwrap();
        assert_eq!(sum.unwrap().bits(), right.bits());
    }
}
