//! What the meter says of collectives, on the simulator's clock.

use fmi::{
    Communicator, Context,
    meter::{Bill, Seconds, Tier},
    op,
    plan::{
        allreduce,
        price::{Channels, Market},
    },
    sim::{self, Profile, Sim},
};
use std::{sync::Arc, time::Duration};

const ROUNDS: u64 = 4;

/// Barriers, bcasts and preferred allreduces of so many ranks a process: the bills of all processes, and
/// how long the barriers took, as each rank saw it.
fn bills(pack: usize, model: bool) -> (Bill, Seconds) {
    let mut lan = Profile::shipped("lan").unwrap();
    lan.channels.values_mut().for_each(|channel| channel.tail = Default::default());
    let market = Arc::new(Market::of(lan.clone()).over(Channels::only("tcp")));
    let report = Sim::new(8).pack(pack).channel(lan.channel("tcp")).run(|comm| {
        let comm = if model { comm.with_model(&market) } else { comm };
        async move {
            let mut barriers = Duration::ZERO;
            for _ in 0..ROUNDS {
                let before = sim::now();
                comm.barrier().await?;
                barriers += sim::now() - before;
                let value = (comm.rank() == 0).then(|| vec![1_u8; 1024]);
                comm.bcast(value, 0).await?;
                let own = comm.using(&allreduce::reduce_bcast::ALGORITHM);
                own.allreduce(1_u64, op::sum()).await?;
                sim::sleep(Duration::from_millis(1)).await;
            }
            Ok::<_, fmi::Error>((bill_once(&comm, pack), Seconds::from(barriers)))
        }
    });
    let values: Vec<_> = report.values().into_iter().map(Result::unwrap).collect();
    let barriers = values.iter().map(|(_, barriers)| *barriers).sum();
    (values.iter().filter_map(|(bill, _)| bill.as_ref()).sum(), barriers)
}

/// The last rank of a process to end has all of it; here, so they all end at once, that of the last number.
fn bill_once(comm: &Communicator, pack: usize) -> Option<Bill> {
    let is_last = (comm.rank() + 1).is_multiple_of(pack);
    is_last.then(|| Context::new(comm.clone(), "sim").meter()).flatten()
}

fn calls(bill: &Bill, operation: &str) -> fmi::meter::Calls {
    let mut lines = bill.lines.iter().filter(|line| line.operation == operation);
    let line = lines.find(|line| line.calls.calls > 0);
    let line = line.unwrap_or_else(|| panic!("no {operation}: {bill}"));
    assert_eq!((&*line.channel, line.tier), ("tcp", Some(Tier::Network)), "{bill}");
    line.calls
}

#[test]
fn collectives_are_timed_beside_what_was_foretold() {
    let (bill, barriers) = bills(1, true);
    let barrier = calls(&bill, "barrier");
    assert_eq!((barrier.calls, barrier.predicted_calls), (8 * ROUNDS, 8 * ROUNDS));
    // The same clock, the same span: not a nanosecond more.
    assert!((barrier.time - barriers).get().abs() < 1e-9, "{} {barriers}", barrier.time);
    assert_eq!(barrier.predicted_calls_time, barrier.time);
    let off = barrier.predicted / barrier.time;
    assert!((0.5..2.0).contains(&off), "{bill}");
    // Those that learn what runs from the first frame as well as the root.
    let bcast = calls(&bill, "bcast");
    assert_eq!((bcast.calls, bcast.predicted_calls), (8 * ROUNDS, 8 * ROUNDS), "{bill}");
    // What somebody prefers, no model has priced.
    let allreduce = calls(&bill, "allreduce");
    assert_eq!((allreduce.calls, allreduce.predicted_calls), (8 * ROUNDS, 0), "{bill}");
    assert!(allreduce.time > Seconds::ZERO);
    let all = bill.calls();
    assert!((all.gib_seconds.get() - all.time.get()).abs() < 1e-9, "functions of 1 GiB");
    assert!(all.function <= bill.function, "{bill}");
}

#[test]
fn ranks_of_a_process_have_shares_of_its_function() {
    let (bill, _) = bills(4, true);
    assert_eq!(bill.processes, 2);
    let all = bill.calls();
    let lines: u64 =
        ["barrier", "bcast", "allreduce"].map(|name| calls(&bill, name).calls).iter().sum();
    assert!(all.calls == lines && lines <= 3 * 8 * ROUNDS, "{bill}");
    assert!((all.gib_seconds.get() * 4.0 / all.time.get() - 1.0).abs() < 1e-9, "{bill}");
    assert!(all.function <= bill.function, "{bill}");
}

#[test]
fn without_a_model_nobody_looks_at_the_clock() {
    let (bill, _) = bills(1, false);
    assert_eq!(bill.calls().calls, 0, "{bill}");
    assert!(bill.counts().messages > 0);
}
