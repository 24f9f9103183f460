//! Rule 5: what is wanted of a collective is agreed, whether or not the ranks would choose the same for it.

use crate::job::{local, soon, tcp};
use fmi::{
    Communicator, Error, Result, op,
    plan::{
        Chooser, Collective, Demand, Packing, Question, Shelf,
        price::{Channels, Market},
    },
    sim::{End, Sim},
};
use fmi_model::{Objective, Profile, Seconds, channel::Requests, prices::Request};
use futures::future::join_all;
use std::sync::Arc;

const SIZE: usize = 4;

/// Each message costs something, and what is published costs nothing and takes long: who is in a hurry
/// does not choose what who saves does, inside a process or between processes.
fn market() -> Arc<Market> {
    let mut profile = Profile::shipped("lan").unwrap();
    let requests = Requests { send: Request::Put, receive: Request::Get, look: Seconds::ZERO };
    let mut shelf = profile.channel("local").clone();
    shelf.latency = Seconds::new(1.0);
    for name in ["local", "tcp"] {
        profile.channels.get_mut(name).unwrap().requests = Some(requests);
    }
    profile.channels.insert("local-shelf".to_owned(), shelf);
    Arc::new(Market::of(profile).over(Channels::only("tcp")))
}

fn objective(text: &str) -> Objective {
    text.parse().unwrap()
}

async fn allreduce(comm: &Communicator, hint: &str) -> Result<u64> {
    comm.hint(objective(hint)).allreduce(1_u64, op::sum()).await
}

/// What the errors of all ranks say, if the rank `odd` gives another hint.
fn both_named(ends: &[Result<u64>], odd: usize, hints: [&str; 2]) {
    let said = |rank: usize| {
        let hint = hints[usize::from(rank != odd)];
        format!("allreduce(sum) of u64 (8 bytes), hint {hint}")
    };
    for end in ends {
        let Err(Error::Mismatch { rank, ours, peer, theirs }) = end else { panic!("{ends:?}") };
        assert_eq!((ours, theirs), (&said(*rank), &said(*peer)));
        assert!((*rank == odd) != (*peer == odd));
    }
}

const HINTS: [[&str; 2]; 4] = [
    ["cheap", "fast"],
    ["fast within $0.001", "fast within $0.002"],
    ["cheap within 20 ms", "cheap"],
    ["fast", "cheap within 1 s"],
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_5_another_hint_is_told_on_all_ranks() {
    for ranks in [local(SIZE).await, tcp(SIZE).await] {
        // With nothing to choose by, all run the same; with a model they do not.
        let market = market();
        let modelled = ranks.iter().map(|comm| comm.with_model(&market)).collect();
        for ranks in [ranks, modelled] {
            for (odd, hints) in (0..SIZE).flat_map(|odd| HINTS.map(|hints| (odd, hints))) {
                let calls = ranks.iter().map(|comm| {
                    allreduce(comm, if comm.rank() == odd { hints[0] } else { hints[1] })
                });
                both_named(&soon(join_all(calls)).await, odd, hints);
                let calls = ranks.iter().map(|comm| allreduce(comm, hints[0]));
                assert_eq!(soon(join_all(calls)).await, vec![Ok(SIZE as u64); SIZE]);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_5_the_hints_of_that_test_lead_to_different_algorithms() {
    for ranks in [local(SIZE).await, tcp(SIZE).await] {
        let model = ranks[0].with_model(&market()).model().unwrap().clone();
        let question = Question {
            collective: Collective::Allreduce,
            demand: Demand::Commutative,
            size: SIZE,
            bytes: Some(8),
            cuttable: false,
            together: model.topology.processes() == 1,
            crowded: false,
            packing: Packing::None,
            store: Shelf::None,
        };
        let [cheap, fast] = HINTS[0]
            .map(|hint| Chooser::new(model.clone(), objective(hint)).choose(&question).algorithm);
        assert_ne!(cheap, fast);
    }
}

#[test]
fn rule_5_another_hint_is_told_in_a_simulation() {
    let market = market();
    for (modelled, pack) in [(false, 1), (true, 1), (true, 2), (true, 4)] {
        for (odd, hints) in (0..SIZE).flat_map(|odd| HINTS.map(|hints| (odd, hints))) {
            let market = Arc::clone(&market);
            let report = Sim::new(SIZE).pack(pack).run(move |comm| {
                let comm = if modelled { comm.with_model(&market) } else { comm };
                async move {
                    let hint = if comm.rank() == odd { hints[0] } else { hints[1] };
                    Ok::<_, Error>(allreduce(&comm, hint).await)
                }
            });
            let ends = report.ends.into_iter().map(|end| match end {
                End::Done(Ok(end)) => end,
                other => panic!("{other:?}"),
            });
            both_named(&ends.collect::<Vec<_>>(), odd, hints);
        }
    }
}

/// Whatever is wanted and whatever the model says, collectives do what they are for.
#[test]
fn rule_5_choices_by_the_model_are_alike() {
    for (pack, profile, store) in
        [(1, "aws-lambda", "s3"), (3, "loopback", "redis"), (7, "lan", "tcp"), (2, "lan", "s3")]
    {
        for hint in ["fast", "cheap", "fast within $0.00001", "cheap within 5 ms"] {
            let market = Market::of(Profile::shipped(profile).unwrap());
            let market = Arc::new(market.over(Channels::new("tcp", "tcp", store)));
            let report = Sim::new(7).pack(pack).run(move |comm| {
                let comm = comm.with_model(&market).hint(hint.parse().unwrap());
                async move {
                    let (rank, size) = (comm.rank(), comm.size());
                    let half =
                        comm.split(Some(rank as u64 % 2), 0).await?.expect("all have a color");
                    for comm in [&comm, &half, &comm.dup()] {
                        let (rank, size) = (comm.rank(), comm.size());
                        for length in [1, 1000, 300_000] {
                            let sums = comm.allreduce(vec![rank as u64; length], op::sum()).await?;
                            assert_eq!(sums, vec![(size * (size - 1) / 2) as u64; length]);
                            let value = (rank == 1).then(|| vec![7_u32; length]);
                            assert_eq!(comm.bcast(value, 1).await?, vec![7; length]);
                            let all = comm.allgather(vec![rank as u8; length]).await?;
                            assert_eq!(all.len(), size);
                        }
                        comm.barrier().await?;
                        let texts = comm.gather(format!("rank {rank}"), 0).await?;
                        assert_eq!(texts.is_some(), rank == 0);
                    }
                    Ok::<_, Error>(rank + size)
                }
            });
            let right = |end: &End<_>| matches!(end, End::Done(Ok(_)));
            assert!(report.ends.iter().all(right), "{:?}", report.ends);
        }
    }
}
