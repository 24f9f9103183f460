//! The simulated wire: a good one, and some that lose, repeat, delay and reorder.

use fmi_actors::{Node, Settings};
use fmi_channels::{
    conformance::{Runtime, Simulated, Wire},
    conformance_suite,
    sim::{self, Scenario},
};
use std::{future::Future, sync::Arc, time::Duration};

mod good {
    use super::*;
    conformance_suite!(Sim(Scenario::new(1)), on simulated);
}

mod lossy {
    use super::*;
    conformance_suite!(Sim(lossy(3)), on simulated);
}

mod disordered {
    use super::*;
    conformance_suite!(Sim(disordered(4)), on simulated);
}

/// Frames get lost, 5 %, and arrive twice and out of order.
fn lossy(seed: u64) -> Scenario {
    let mut scenario = disordered(seed);
    scenario.wire.loss = 0.05;
    scenario
}

/// All frames arrive, some twice, hardly any in order; links take their time to come up.
fn disordered(seed: u64) -> Scenario {
    let mut scenario = Scenario { seed, ..Scenario::new(1) };
    scenario.wire.connect = Duration::from_micros(80);
    scenario.wire.jitter = Duration::from_micros(50);
    scenario.wire.duplication = 0.05;
    scenario.wire.reordering = 0.3;
    scenario.wire.delay = (0.001, Duration::from_millis(2));
    scenario
}

#[derive(Debug)]
struct Sim(Scenario);

impl Wire for Sim {
    fn nodes(&self, processes: &[usize], settings: &Settings) -> Vec<Arc<Node>> {
        sim::nodes(processes, settings)
    }

    fn cut(&self, one: &Arc<Node>, other: &Arc<Node>) -> bool {
        sim::cut(one, other)
    }

    fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::new(Simulated)
    }
}

fn simulated(wire: &Sim, test: impl Future<Output = ()>) {
    wire.0.host(test).expect("the test never ends");
}
