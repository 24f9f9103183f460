//! Learning while a job runs, on wires that are not as the profile says.

use fmi::{
    Communicator, Context, op,
    plan::{
        Chooser, Collective, Demand, Packing, Question, Shelf,
        price::{Channels, Market, Model},
    },
    sim::{self, Profile, Sim},
};
use fmi_model::{
    Objective,
    channel::Channel,
    learn::{Drift, Factor},
    topology::Topology,
};
use std::{sync::Arc, time::Duration};

const RANKS: usize = 8;

/// `lan` without luck, so that what was foretold can be compared with a single run.
fn lan() -> Profile {
    let mut lan = Profile::shipped("lan").unwrap();
    lan.channels.values_mut().for_each(|channel| channel.tail = Default::default());
    lan
}

fn market() -> Market {
    Market::of(lan()).over(Channels::only("tcp"))
}

/// A wire on which messages and bytes take so many times as long as the profile says.
fn wire(fixed: f64, bytes: f64) -> Channel {
    let drift = Drift { fixed: Factor::new(fixed), bytes: Factor::new(bytes) };
    lan().channel("tcp").drifted(drift)
}

/// Short and long messages, which end for all at once.
async fn work(comm: &Communicator) -> fmi::Result<()> {
    for _ in 0..12 {
        comm.barrier().await?;
        comm.allgather(vec![1_u8; 128]).await?;
        comm.alltoall(vec![7_u64; RANKS]).await?;
        comm.barrier().await?;
        comm.allgather(vec![1_u8; 1 << 17]).await?;
    }
    Ok(())
}

/// What each rank's market is after so many epochs, and how many times longer than foretold calls take from
/// then on. One rank comes late to everything by so much.
fn learnt(wire: &Channel, market: &Market, epochs: u32, late: Duration) -> (Arc<Market>, f64) {
    let market = Arc::new(market.clone());
    let report = Sim::new(RANKS).channel(wire).run(|comm| {
        let mut comm = comm.with_model(&market);
        async move {
            for _ in 0..epochs {
                for _ in 0..12 {
                    let slow = || sim::sleep(if comm.rank() == 3 { late } else { Duration::ZERO });
                    slow().await;
                    comm.barrier().await?;
                    slow().await;
                    comm.alltoall(vec![7_u64; RANKS]).await?;
                    slow().await;
                    comm.allgather(vec![1_u8; 1 << 17]).await?;
                }
                comm = comm.calibrate().await?;
            }
            let calls = || Context::new(comm.clone(), "sim").meter().unwrap().calls();
            let before = calls();
            work(&comm).await?;
            let after = calls();
            let took = after.predicted_calls_time - before.predicted_calls_time;
            let market = Arc::clone(&comm.model().unwrap().market);
            Ok::<_, fmi::Error>((market, took / (after.predicted - before.predicted)))
        }
    });
    let all: Vec<_> = report.values().into_iter().map(Result::unwrap).collect();
    let texts: Vec<_> = all.iter().map(|(market, _)| market.to_text()).collect();
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    let off = all.iter().map(|(_, off)| *off).sum::<f64>() / RANKS as f64;
    (Arc::clone(&all[0].0), off)
}

#[test]
fn two_epochs_find_a_network_that_is_four_times_slower() {
    let (market, off) = learnt(&wire(4.0, 4.0), &market(), 0, Duration::ZERO);
    assert!(market.epoch() == 0 && off > 3.0, "{off}");
    let (market, off) = learnt(&wire(4.0, 4.0), &market, 2, Duration::ZERO);
    assert_eq!(market.epoch(), 2);
    assert!((0.8..1.25).contains(&off), "{off}: {:?}", market.drift("tcp"));
    assert_eq!(market.first(), &lan());
    market.profile.check().unwrap();
}

#[test]
fn messages_and_bytes_are_told_apart() {
    for (fixed, bytes) in [(1.0, 4.0), (4.0, 1.0), (0.25, 1.0)] {
        let (market, off) = learnt(&wire(fixed, bytes), &market(), 4, Duration::ZERO);
        let drift = market.drift("tcp");
        assert!((0.8..1.25).contains(&off), "{fixed} {bytes}: {off}, {drift:?}");
        for (is, should) in [(drift.fixed, fixed), (drift.bytes, bytes)] {
            assert!((0.7..1.4).contains(&(is.get() / should)), "{fixed} {bytes}: {drift:?}");
        }
    }
}

#[test]
fn what_is_right_stays() {
    let (market, off) = learnt(&wire(1.0, 1.0), &market(), 3, Duration::ZERO);
    let drift = market.drift("tcp");
    for factor in [drift.fixed, drift.bytes] {
        assert!((0.8..1.25).contains(&factor.get()), "{off} {drift:?}");
    }
}

/// All others wait for it, for fifty times as long as the collectives take: that is no slow network.
#[test]
fn who_is_always_late_teaches_nothing_wrong() {
    let (market, _) = learnt(&wire(1.0, 1.0), &market(), 3, Duration::from_millis(10));
    assert_eq!((market.epoch(), market.drift("tcp")), (0, Drift::default()));
}

fn choice(market: &Arc<Market>, collective: Collective, bytes: u64) -> fmi::plan::Choice {
    let question = Question {
        collective,
        demand: Demand::Commutative,
        size: RANKS,
        bytes: Some(bytes),
        cuttable: true,
        together: false,
        crowded: false,
        packing: Packing::None,
        store: Shelf::None,
    };
    let model = Model::new(Arc::clone(market), Topology::apart(RANKS));
    Chooser::new(model, Objective::Fast).choose(&question)
}

#[test]
fn reductions_run_as_before_unless_nobody_minds() {
    let flips = |market: &Market, collective| {
        let (before, after) =
            (Arc::new(market.clone()), learnt(&wire(8.0, 1.0), market, 3, Duration::ZERO).0);
        assert!(after.epoch() > 0 && after.reproducible == market.reproducible);
        let mut lengths = (0..27).map(|bit| 1 << bit);
        lengths.any(|bytes| choice(&before, collective, bytes) != choice(&after, collective, bytes))
    };
    assert!(flips(&market(), Collective::Bcast), "another plan is best");
    assert!(!flips(&market(), Collective::Allreduce));
    let faster = market().reproducible(false);
    assert!(flips(&faster, Collective::Allreduce), "another plan is best");
}

#[test]
fn parts_of_a_group_go_on_with_what_was_learnt() {
    let market = Arc::new(market());
    let report = Sim::new(RANKS).channel(&wire(4.0, 4.0)).run(|comm| {
        let comm = comm.with_model(&market);
        async move {
            work(&comm).await?;
            // What is seen in a part counts for the whole.
            let half =
                comm.split(Some(comm.rank() as u64 % 2), 0).await?.expect("all have a color");
            for _ in 0..12 {
                half.barrier().await?;
            }
            let learnt = comm.calibrate().await?;
            let half =
                learnt.split(Some(learnt.rank() as u64 % 2), 0).await?.expect("all have a color");
            half.allreduce(1_u64, op::sum()).await?;
            let epochs = [&learnt, &half, &learnt.dup(), &learnt.hint(Objective::Cheap)]
                .map(|comm| comm.model().unwrap().market.epoch());
            // Nothing new was seen: nothing changes.
            let again = learnt.calibrate().await?;
            Ok::<_, fmi::Error>((epochs, again.model().unwrap().market.epoch()))
        }
    });
    for value in report.values() {
        assert_eq!(value, Ok(([1; 4], 1)));
    }
}

#[test]
fn without_a_model_there_is_nothing_to_learn() {
    let report = Sim::new(RANKS)
        .run(|comm| async move { Ok::<_, fmi::Error>(comm.calibrate().await?.model().is_none()) });
    assert!(report.values().into_iter().all(|none| none == Ok(true)));
}
