//! The simulator against the model: the same plan takes the same time, played through as arithmetic and
//! run as messages.

use fmi::{
    plan::{Action, Shape, bcast::binomial},
    sim::Sim,
};
use fmi_model::{
    Bytes, Profile, Seconds,
    channel::{Channel, Tail},
    replay::{Act, Op, Replay, Wires},
    topology::Topology,
};

/// A channel of a profile, without luck.
fn sure(profile: &str, channel: &str) -> Channel {
    let channel = Profile::shipped(profile).unwrap().channel(channel).clone();
    Channel { tail: Tail::default(), ..channel }
}

/// What the model says of a binomial bcast.
fn modelled(channel: &Channel, size: usize, bytes: u64) -> f64 {
    let topology = Topology::apart(size);
    let program = |rank| {
        let steps = (binomial::ALGORITHM.steps)(rank, Shape::of(size));
        steps.map(move |step| {
            let act = match step.action {
                Action::Send { to, .. } => Act::Send { to },
                Action::Recv { from, .. } => Act::Recv { from },
                other => panic!("{other:?} in a binomial tree"),
            };
            Op::new(act, Bytes::new(bytes))
        })
    };
    Replay::new(&topology, Wires::all(channel)).run(program).unwrap().end().get()
}

fn simulated(channel: &Channel, size: usize, bytes: usize) -> f64 {
    let report = Sim::new(size).channel(channel).run(|comm| async move {
        let value = (comm.rank() == 0).then(|| vec![7_u8; bytes]);
        comm.using(&binomial::ALGORITHM).bcast(value, 0).await.map(|got| got.len())
    });
    assert_eq!(report.messages, size as u64 - 1, "one frame a hop, each sent once");
    let time = report.time.as_secs_f64();
    assert!(report.values().into_iter().all(|got| got == Ok(bytes)));
    time
}

/// Up to what travels in one frame: what is longer is asked for, a round trip that the model of a channel
/// does not know.
#[test]
fn a_binomial_bcast_takes_what_the_model_says() {
    for (profile, channel) in [("aws-lambda", "tcp"), ("lan", "tcp"), ("lan", "quic")] {
        let channel = sure(profile, channel);
        for size in [2, 3, 8, 33] {
            for bytes in [1, 1000, 100_000] {
                let (model, sim) =
                    (modelled(&channel, size, bytes), simulated(&channel, size, bytes as usize));
                let off = (sim / model - 1.0).abs();
                assert!(
                    off < 0.01,
                    "{profile}, {size} ranks, {bytes} bytes: {sim}, modelled {model}"
                );
            }
        }
    }
}

/// As above, through a server that all share, and one whose users look for what is there.
#[test]
fn mailboxes_take_what_the_model_says() {
    for size in [2, 3, 8, 33] {
        let channel = sure("aws-lambda", "redis");
        let (model, sim) = (modelled(&channel, size, 1000), simulated(&channel, size, 1000));
        // Of two that ask the server at once either may be the first.
        assert!((sim / model - 1.0).abs() < 0.02, "redis, {size} ranks: {sim}, modelled {model}");
    }
    let channel = sure("aws-lambda", "s3");
    let (model, sim) = (modelled(&channel, 2, 1000), simulated(&channel, 2, 1000));
    let half = channel.look_late();
    assert!(
        (sim - model).abs() <= half.get() && half > Seconds::ZERO,
        "s3: {sim}, modelled {model}"
    );
}

#[test]
fn stragglers_make_many_late() {
    let lambda = Profile::shipped("aws-lambda").unwrap();
    let barrier = |channel: &Channel, seed| {
        let sim = Sim::new(64).channel(channel).seed(seed);
        let report = sim.run(|comm| async move { comm.barrier().await });
        (report.time, report.trace)
    };
    let (none, _) = barrier(&sure("aws-lambda", "tcp"), 1);
    let late: Vec<_> = (1..4).map(|seed| barrier(lambda.channel("tcp"), seed)).collect();
    assert!(late.iter().all(|(time, _)| *time > none));
    assert_ne!(late[0], late[1]);
    assert_eq!(late[2], barrier(lambda.channel("tcp"), 3));
}

#[test]
fn a_store_of_a_profile_takes_its_time_and_counts() {
    let mut lambda = Profile::shipped("aws-lambda").unwrap();
    // Less than it takes to write the object: so who waits for it looks in vain.
    let requests = lambda.channels.get_mut("s3").and_then(|s3| s3.requests.as_mut());
    requests.unwrap().look = Seconds::new(0.005);
    let run = |name| {
        Sim::new(8).profile(&lambda, name).run(|comm| async move {
            comm.bcast((comm.rank() == 0).then(|| vec![1_u8; 1000]), 0).await.map(drop)
        })
    };
    let s3 = run("s3");
    let alone = lambda.channel("s3").transfer(Bytes::new(1000)) - lambda.channel("s3").look_late();
    assert!(s3.time.as_secs_f64() >= alone.get(), "{:?} and {alone}", s3.time);
    assert!((s3.requests.puts, s3.requests.gets) >= (1, 7), "{:?}", s3.requests);
    assert!(s3.requests.looks > 0, "{:?}", s3.requests);
    let redis = run("redis");
    assert!(redis.time < s3.time && redis.requests.looks == 0, "{:?}", redis.requests);
}
