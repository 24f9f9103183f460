//! Ranks, and a store's server, that share the cores of a machine.

use fmi_model::{
    Bytes, Seconds,
    channel::{Channel, Leg, Server, Turns},
    replay::{Act, Op, Outcome, Replay, Wires},
    topology::{Place, Topology},
};

const US: f64 = 1e-6;

fn us(time: f64) -> Seconds {
    Seconds::new(time * US)
}

/// Processes on the cores of one machine.
fn machine(ranks: u32, cores: u32) -> Topology {
    let place = |rank: u32| Place { process: rank, machine: 0, core: rank % cores };
    Topology::new((0..ranks).map(place).collect())
}

/// 10 µs to send, 3 to receive, 5 for the server in between.
fn store(here: bool) -> Channel {
    let leg = |fixed| Leg { fixed: us(fixed), ..Leg::NOTHING };
    let server = Server { request: us(5.0), here, ..Server::default() };
    Channel { send: leg(10.0), receive: leg(3.0), server: Some(server), ..Channel::default() }
}

/// The same, where 20 µs pass until a core turns to another process, and 30 until an idle one goes on.
fn slow_store(here: bool) -> Channel {
    let turns = Turns { idle: us(30.0), switch: us(20.0), ..Turns::default() };
    Channel { turns, ..store(here) }
}

fn play(topology: &Topology, channel: &Channel, plan: impl Fn(usize) -> Vec<Op>) -> Outcome {
    Replay::new(topology, Wires::all(channel)).run(|rank| plan(rank).into_iter()).unwrap()
}

fn micros(outcome: &Outcome) -> Vec<f64> {
    outcome.ends.iter().map(|end| (end.get() / US * 1000.0).round() / 1000.0).collect()
}

fn op(act: Act) -> Op {
    Op::new(act, Bytes::new(8))
}

/// Each rank hands on what it gets.
fn chain(ranks: usize) -> impl Fn(usize) -> Vec<Op> {
    move |rank| {
        let recv = (rank > 0).then(|| op(Act::Recv { from: rank.wrapping_sub(1) }));
        let send = (rank + 1 < ranks).then(|| op(Act::Send { to: rank + 1 }));
        recv.into_iter().chain(send).collect()
    }
}

#[test]
fn a_server_here_needs_a_core() {
    // A core is idle when it is asked, and when it has answered.
    let outcome = play(&machine(2, 2), &slow_store(true), chain(2));
    assert_eq!(micros(&outcome), [10.0, 10.0 + 5.0 + 3.0]);
    // Of a machine with more processes than cores both have to wake up, or to turn: to the third rank, which has
    // nothing to do, from the first one to the server.
    let outcome = play(&machine(3, 2), &slow_store(true), |rank| match rank {
        2 => Vec::new(),
        rank => chain(2)(rank),
    });
    assert_eq!(micros(&outcome), [10.0, 10.0 + 20.0 + 5.0 + 30.0 + 3.0, 20.0]);
    // Elsewhere it needs none, and is a part of what the ranks take.
    let outcome = play(&machine(2, 2), &slow_store(false), chain(2));
    assert_eq!(micros(&outcome), [10.0, 10.0 + 5.0]);
    // In one process nobody asks it.
    let alone = Topology::new(vec![Place { process: 0, machine: 0, core: 0 }; 2]);
    let local = Channel { server: None, ..store(true) };
    let outcome = play(&alone, &local, chain(2));
    assert_eq!(micros(&outcome), [10.0, 13.0]);
}

#[test]
fn a_server_here_waits_for_a_core_that_is_taken() {
    // The other rank works for long on the only core.
    let long = |rank: usize| match rank {
        0 => vec![op(Act::Send { to: 1 }), op(Act::Send { to: 1 }), op(Act::Send { to: 1 })],
        _ => vec![op(Act::Recv { from: 0 }); 3],
    };
    let outcome = play(&machine(2, 1), &store(true), long);
    // All is sent before it does anything, and all is done before anything is received.
    assert_eq!(micros(&outcome), [30.0, 30.0 + 3.0 * 5.0 + 3.0 * 3.0]);
}

#[test]
fn what_is_published_passes_a_server_here_twice() {
    let plan = |rank: usize| match rank {
        0 => vec![op(Act::Publish { first: 0, blocks: 1 }), op(Act::Also { first: 7, blocks: 1 })],
        rank => vec![op(Act::Fetch { from: 0, block: if rank == 1 { 0 } else { 7 } })],
    };
    let outcome = play(&machine(3, 3), &store(true), plan);
    assert_eq!(micros(&outcome), [10.0, 10.0 + 5.0 + 5.0 + 3.0, 10.0 + 5.0 + 10.0 + 3.0]);
}

#[test]
fn more_ranks_than_cores_take_turns() {
    for (ranks, cores) in [(2, 2), (4, 2), (8, 2), (8, 1)] {
        let time =
            |here| play(&machine(ranks, cores), &slow_store(here), chain(ranks as usize)).end();
        assert!(time(true) > time(false), "{ranks} ranks on {cores} cores");
        let again = play(&machine(ranks, cores), &slow_store(true), chain(ranks as usize));
        assert_eq!(again.end(), time(true));
    }
}

#[test]
fn each_further_process_of_a_core_looks_before() {
    let look = |ranks| {
        let turns = Turns { look: us(7.0), ..Turns::default() };
        let channel = Channel { turns, ..store(false) };
        // The second waits for the first one; the others have nothing to do.
        let plan = |rank: usize| if rank < 2 { chain(2)(rank) } else { Vec::new() };
        let time = |channel| play(&machine(ranks, 2), channel, plan).ends[1];
        ((time(&channel) - time(&store(false))).get() / us(7.0).get()).round()
    };
    // So many more than cores, for each core.
    assert_eq!([2, 4, 6, 8].map(look), [0.0, 1.0, 2.0, 3.0]);
}
