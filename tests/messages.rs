//! Point-to-point messages as users send them.

#![cfg(feature = "tcp")]

mod common;

use bytes::Bytes;
use common::{Rendezvous, Wire, World, bounded, each};
use fmi::{ANY, Buf, Communicator, Config, Message, Status};
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt::Debug, time::Duration};

on_both!(
    every_type_arrives,
    numbers_of_every_length,
    status_tells_source_tag_and_length,
    any_source_takes_all_in_order,
    probes_leave_the_message,
    receives_match_in_the_order_called,
    a_dropped_receive_leaves_the_message,
    a_ring_of_sendrecvs,
    many_operations_at_once,
    first_sends_that_cross,
    ssend_waits_for_the_receive,
    communicators_do_not_mix,
    messages_to_oneself,
    close_waits_for_what_was_sent,
    two_collectives_overlap,
);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Message)]
struct Particle {
    id: u64,
    name: String,
    position: [f64; 3],
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Message)]
enum Kind {
    Still,
    Moving { speed: f32 },
    Group(Vec<Particle>),
}

async fn there<T: Message + Clone + PartialEq + Debug>(comm: &Communicator, value: T) {
    if comm.rank() == 0 {
        comm.send(value.clone(), 1, 3).await.unwrap();
        comm.ssend(value, 1, 4).await.unwrap();
    } else {
        assert_eq!(comm.recv::<T>(0, 3).await.unwrap(), value);
        assert_eq!(comm.recv::<T>(ANY, ANY).await.unwrap(), value);
    }
}

async fn every_type_arrives(wire: Wire) {
    let world = World::new(wire, 2).await;
    let ends = world.each(|comm| async move {
        there(&comm, ()).await;
        there(&comm, true).await;
        there(&comm, 'ß').await;
        there(&comm, -7i8).await;
        there(&comm, u128::MAX - 1).await;
        there(&comm, 2.5f32).await;
        there(&comm, usize::MAX).await;
        there(&comm, String::new()).await;
        there(&comm, "grün".repeat(100_000)).await;
        there(&comm, Bytes::from_static(b"static")).await;
        there(&comm, Bytes::from(vec![7; 1_000_000])).await;
        there(&comm, Buf::from((0..100_000).map(f64::from).collect::<Vec<_>>())).await;
        there(&comm, [1u16, 2, 3]).await;
        there(&comm, (1u8, "two".to_owned(), vec![3.0f64])).await;
        there(&comm, vec!["a".to_owned(), String::new(), "b".repeat(400_000)]).await;
        there(&comm, vec![vec![1u32], vec![], vec![2, 3]]).await;
        there(&comm, Some(Box::new(5i64))).await;
        there(&comm, BTreeMap::from([(1u64, "one".to_owned()), (2, "two".to_owned())])).await;
        there(&comm, Duration::from_millis(1500)).await;
        let one = Particle { id: 1, name: "x".into(), position: [1.0; 3], kind: Kind::Still };
        let two = Particle { kind: Kind::Moving { speed: 0.5 }, ..one.clone() };
        let all = Particle { kind: Kind::Group(vec![one.clone(), two.clone()]), ..one.clone() };
        there(&comm, all.clone()).await;
        there(&comm, vec![one, two, all]).await;
    });
    bounded("a value", ends).await;
    world.close().await;
}

/// A vector is received as a vector or a buffer, a buffer as a vector; the receiver need not
/// know the length.
async fn numbers_of_every_length(wire: Wire) {
    let world = World::new(wire, 2).await;
    let ends = world.each(|comm| async move {
        for len in [0, 1, 2, 4, 5, 8, 1000, 1024, 32_768, 32_769, 40_000, 300_000, 700_001] {
            let values: Vec<u64> = (0..len).map(|i| i * i + len).collect();
            if comm.rank() == 0 {
                comm.send(values.clone(), 1, 0).await.unwrap();
                comm.send(Buf::from(values), 1, 1).await.unwrap();
            } else {
                assert!(comm.recv::<Buf<u64>>(0, 0).await.unwrap()[..] == values);
                assert!(comm.recv::<Vec<u64>>(0, 1).await.unwrap() == values);
            }
        }
    });
    ends.await;
    world.close().await;
}

async fn status_tells_source_tag_and_length(wire: Wire) {
    let world = World::new(wire, 3).await;
    let ends = world.each(|comm| async move {
        if comm.rank() > 0 {
            comm.send(vec![1u32; 10 * comm.rank()], 0, 7 + comm.rank() as u32).await.unwrap();
            return;
        }
        let (value, status) = comm.recv_status::<Vec<u32>>(ANY, 9).await.unwrap();
        assert_eq!((value.len(), status), (20, Status { source: 2, tag: 9, bytes: 80 }));
        let (value, status) = comm.recv_status::<Vec<u32>>(1, ANY).await.unwrap();
        assert_eq!((value.len(), status), (10, Status { source: 1, tag: 8, bytes: 40 }));
    });
    ends.await;
    world.close().await;
}

async fn any_source_takes_all_in_order(wire: Wire) {
    let world = World::new(wire, 4).await;
    let ends = world.each(|comm| async move {
        for number in (0..200u64).filter(|_| comm.rank() > 0) {
            comm.send(number, 0, (number % 3) as u32).await.unwrap();
        }
        let mut next = [0; 4];
        for _ in (0..600).filter(|_| comm.rank() == 0) {
            let (number, status) = comm.recv_status::<u64>(ANY, ANY).await.unwrap();
            assert_eq!(number, next[status.source]);
            assert_eq!(u64::from(status.tag), number % 3);
            next[status.source] += 1;
        }
        assert_eq!(next, if comm.rank() == 0 { [0, 200, 200, 200] } else { [0; 4] });
    });
    ends.await;
    world.close().await;
}

async fn probes_leave_the_message(wire: Wire) {
    let world = World::new(wire, 2).await;
    let ends = world.each(|comm| async move {
        if comm.rank() == 0 {
            assert_eq!(comm.iprobe(1, ANY).unwrap(), None);
            comm.send(vec![1.5f64; 100_000], 1, 4).await.unwrap();
            comm.send(String::from("second"), 1, 5).await.unwrap();
            return;
        }
        let large = Status { source: 0, tag: 4, bytes: 800_000 };
        assert_eq!(comm.probe(ANY, ANY).await.unwrap(), large);
        let second = Status { source: 0, tag: 5, bytes: 6 };
        assert_eq!(comm.probe(0, 5).await.unwrap(), second);
        assert_eq!(comm.iprobe(0, ANY).unwrap(), Some(large));
        assert_eq!(comm.iprobe(ANY, 5).unwrap(), Some(second));
        assert_eq!(comm.iprobe(0, 6).unwrap(), None);
        assert_eq!(comm.iprobe(1, ANY).unwrap(), None);
        assert_eq!(comm.recv::<String>(0, 5).await.unwrap(), "second");
        assert_eq!(comm.recv::<Vec<f64>>(0, ANY).await.unwrap().len(), 100_000);
        assert_eq!(comm.iprobe(ANY, ANY).unwrap(), None);
    });
    ends.await;
    world.close().await;
}

/// A receive joins the queue when it is called, in whatever order they are awaited.
async fn receives_match_in_the_order_called(wire: Wire) {
    let world = World::new(wire, 2).await;
    let ends = world.each(|comm| async move {
        if comm.rank() == 0 {
            comm.recv::<()>(1, 1).await.unwrap();
            for number in 0..10u8 {
                comm.send(number, 1, 0).await.unwrap();
            }
            return;
        }
        let mut receives: Vec<_> = (0..10).map(|_| comm.recv::<u8>(0, ANY)).collect();
        comm.send((), 0, 1).await.unwrap();
        receives.reverse();
        let mut got = Vec::new();
        for receive in receives {
            got.push(receive.await.unwrap());
        }
        assert_eq!(got, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    });
    ends.await;
    world.close().await;
}

async fn a_dropped_receive_leaves_the_message(wire: Wire) {
    let world = World::new(wire, 2).await;
    let ends = world.each(|comm| async move {
        for len in [1usize, 1_000_000] {
            if comm.rank() == 0 {
                comm.recv::<()>(1, 1).await.unwrap();
                for value in [1u8, 2] {
                    comm.send(vec![value; len], 1, 0).await.unwrap();
                }
                comm.send((), 1, 2).await.unwrap();
                continue;
            }
            let posted = comm.recv::<Vec<u8>>(0, 0);
            comm.send((), 0, 1).await.unwrap();
            // Behind the other two.
            comm.recv::<()>(0, 2).await.unwrap();
            drop(posted);
            // Given up by the deadline.
            let never = comm.recv::<u8>(0, 9).deadline(Duration::from_millis(1)).await;
            assert!(matches!(never, Err(fmi::Error::Timeout { .. })), "{never:?}");
            assert_eq!(comm.recv::<Vec<u8>>(0, 0).await.unwrap(), vec![1; len]);
            assert_eq!(comm.recv::<Vec<u8>>(0, 0).await.unwrap(), vec![2; len]);
        }
    });
    ends.await;
    world.close().await;
}

async fn a_ring_of_sendrecvs(wire: Wire) {
    for size in [1, 2, 5] {
        let world = World::new(wire, size).await;
        let ends = world.each(|comm| async move {
            let (rank, size) = (comm.rank(), comm.size());
            let (next, last) = ((rank + 1) % size, (rank + size - 1) % size);
            for len in [0, 10, 200_000] {
                let mut value = vec![rank as u64; len];
                for _ in 0..size {
                    value = comm.sendrecv(value, next, 1, last, 1).await.unwrap();
                }
                assert_eq!(value, vec![rank as u64; len]);
            }
            // What is sent may be of another type than what is received.
            let text: String = if rank % 2 == 0 || size % 2 == 1 {
                comm.sendrecv(rank.to_string(), next, 0, last, 0).await.unwrap()
            } else {
                comm.sendrecv::<_, String>(rank.to_string(), next, 0, last, 0).await.unwrap()
            };
            assert_eq!(text, last.to_string());
        });
        ends.await;
        world.close().await;
    }
}

/// Sends, receives and collectives are plain futures: hundreds may be in progress.
async fn many_operations_at_once(wire: Wire) {
    let world = World::new(wire, 4).await;
    let ends = world.each(|comm| async move {
        let rank = comm.rank() as u64;
        let sends = (0..400u64).map(|number| {
            let len = if number % 50 == 0 { 70_000 } else { 3 };
            comm.send(vec![rank * 1000 + number; len], number as usize % 4, number as u32)
        });
        let receives = (0..400u64)
            .filter(|number| number % 4 == rank)
            .flat_map(|number| (0..4).map(move |from| (number, from)));
        let receives = receives.map(|(number, from)| {
            let receive = comm.recv::<Vec<u64>>(from as usize, number as u32);
            async move {
                let got = receive.await.unwrap();
                assert!(got.iter().all(|value| *value == from * 1000 + number));
                assert_eq!(got.len(), if number % 50 == 0 { 70_000 } else { 3 });
            }
        });
        let barriers = (0..20).map(|_| comm.barrier());
        let (sent, _, met) =
            futures::join!(join_all(sends), join_all(receives), join_all(barriers));
        assert!(sent.iter().chain(&met).all(Result::is_ok));
    });
    ends.await;
    world.close().await;
}

/// Nobody receives before all have sent.
async fn first_sends_that_cross(wire: Wire) {
    for len in [1usize, 40_000, 800_000] {
        let world = World::new(wire, 3).await;
        let ends = world.each(|comm| async move {
            for to in 0..3 {
                comm.send(vec![comm.rank() as u64; len], to, 0).await.unwrap();
            }
            for from in 0..3 {
                assert_eq!(comm.recv::<Vec<u64>>(from, 0).await.unwrap(), vec![from as u64; len]);
            }
            if wire == Wire::Tcp {
                let channel = comm.peer((comm.rank() + 1) % 3).unwrap().channel;
                assert_eq!(channel, Some("tcp"));
            }
            assert_eq!(comm.peer(comm.rank()).unwrap().channel, Some("local"));
        });
        ends.await;
        world.close().await;
    }
}

async fn ssend_waits_for_the_receive(wire: Wire) {
    let world = World::new(wire, 2).await;
    let ends = world.each(|comm| async move {
        for len in [1usize, 1_000_000] {
            if comm.rank() == 1 {
                comm.probe(0, 0).await.unwrap();
                comm.send((), 0, 1).await.unwrap();
                comm.recv::<()>(0, 2).await.unwrap();
                comm.recv::<Vec<u8>>(0, 0).await.unwrap();
                continue;
            }
            let mut matched = std::pin::pin!(comm.ssend(vec![1u8; len], 1, 0));
            // It has arrived, and yet:
            let early = futures::future::select(&mut matched, comm.recv::<()>(1, 1)).await;
            assert!(matches!(early, futures::future::Either::Right(_)), "ended unmatched");
            assert!(futures::poll!(&mut matched).is_pending(), "ended unmatched");
            comm.send((), 1, 2).await.unwrap();
            matched.await.unwrap();
        }
    });
    ends.await;
    world.close().await;
}

/// A communicator gets only what was sent on it, by itself or its other ends.
async fn communicators_do_not_mix(wire: Wire) {
    let world = World::new(wire, 4).await;
    let ends = world.each(|comm| async move {
        let rank = comm.rank();
        let dup = comm.dup();
        let part = comm.split(Some(rank as u64 / 2), 0).await.unwrap().unwrap();
        let peer = rank ^ 1;
        comm.send(1u8, peer, 0).await.unwrap();
        dup.send(2u8, peer, 0).await.unwrap();
        part.send(3u8, 1 - part.rank(), 0).await.unwrap();
        assert_eq!(part.recv::<u8>(ANY, ANY).await.unwrap(), 3);
        assert_eq!(dup.recv::<u8>(ANY, ANY).await.unwrap(), 2);
        let (value, status) = comm.recv_status::<u8>(ANY, ANY).await.unwrap();
        assert_eq!((value, status.source), (1, peer));
        for comm in [&comm, &dup, &part] {
            assert_eq!(comm.iprobe(ANY, ANY).unwrap(), None);
        }
        comm.barrier().await.unwrap();
        // Ranks in a status are those of the communicator.
        part.send((), 0, 5).await.unwrap();
        if part.rank() == 0 {
            let sources = [(), ()].map(|()| part.recv_status::<()>(ANY, 5));
            let mut sources: Vec<_> =
                join_all(sources).await.into_iter().map(|got| got.unwrap().1.source).collect();
            sources.sort_unstable();
            assert_eq!(sources, [0, 1]);
        }
        // Left behind on a communicator that is dropped.
        dup.send(vec![9u8; 500_000], peer, 0).await.unwrap();
        comm.barrier().await.unwrap();
        drop(dup);
    });
    ends.await;
    world.close().await;
}

async fn messages_to_oneself(wire: Wire) {
    let world = World::new(wire, 2).await;
    let ends = world.each(|comm| async move {
        let own = comm.rank();
        let early = comm.recv::<String>(own, 1);
        comm.send("later".to_owned(), own, 2).await.unwrap();
        comm.send("early".to_owned(), own, 1).await.unwrap();
        assert_eq!(early.await.unwrap(), "early");
        let (matched, got) =
            futures::join!(comm.ssend(vec![1u8; 1_000_000], own, 3), comm.recv::<Vec<u8>>(own, 3));
        matched.unwrap();
        assert_eq!(got.unwrap().len(), 1_000_000);
        assert_eq!(comm.recv::<String>(ANY, ANY).await.unwrap(), "later");
    });
    ends.await;
    world.close().await;
}

/// What was sent before `close` can be received after the sender has left.
async fn close_waits_for_what_was_sent(wire: Wire) {
    let world = World::new(wire, 2).await;
    let (left, stays) = (world.ranks[0].clone(), world.ranks[1].clone());
    bounded("closing", async {
        for number in 0..100u32 {
            left.send(vec![number; 100], 1, number).await.unwrap();
        }
        left.close().await.unwrap();
        let closed = fmi::Error::Closed { operation: "send" };
        assert_eq!(left.send(1u8, 1, 0).await.unwrap_err(), closed);
        assert_eq!(
            left.recv::<u8>(1, 0).await.unwrap_err(),
            fmi::Error::Closed { operation: "recv" }
        );
        assert_eq!(left.barrier().await.unwrap_err(), fmi::Error::Closed { operation: "barrier" });
        for number in 0..100u32 {
            assert_eq!(stays.recv::<Vec<u32>>(0, number).await.unwrap(), [number; 100]);
        }
        let gone = fmi::Error::RankLost { rank: 0, reason: fmi::Reason::Left };
        assert_eq!(stays.recv::<u8>(0, 0).await.unwrap_err(), gone);
        assert_eq!(stays.send(1u8, 0, 0).await.unwrap_err(), gone);
        stays.close().await.unwrap();
        // Once more does no harm.
        left.close().await.unwrap();
    })
    .await;
}

/// As the documentation shows it.
async fn two_collectives_overlap(wire: Wire) {
    let world = World::new(wire, 3).await;
    let ends = world.each(|comm| async move {
        let rank = comm.rank() as u64;
        for len in [1, 100_000] {
            let (a, b) = tokio::join!(
                comm.allreduce(vec![rank; len], fmi::op::sum()),
                comm.allreduce(vec![rank + 1; len], fmi::op::prod()),
            );
            assert_eq!((a.unwrap(), b.unwrap()), (vec![3; len], vec![6; len]));
            // Awaited in another order than called.
            let first = comm.bcast((rank == 0).then_some(len), 0);
            let second = comm.gather(rank, 2);
            let third = comm.barrier();
            third.await.unwrap();
            assert_eq!(second.await.unwrap(), (rank == 2).then(|| vec![0, 1, 2]));
            assert_eq!(first.await.unwrap(), len);
        }
    });
    ends.await;
    world.close().await;
}

/// Jobs whose names and ranks run together: FMI's C++ original built keys of both.
#[tokio::test]
async fn app1_with_rank_2_never_meets_app_with_rank_12() {
    let rendezvous = Rendezvous::start();
    let join = async |job: &str, size: usize| {
        let pack = rendezvous.reach(Config::default().job(job).size(size));
        let joins = (0..size).map(|rank| pack.clone().rank(rank).join());
        join_all(joins).await.into_iter().map(Result::unwrap).collect::<Vec<_>>()
    };
    let (app1, app) = futures::join!(join("App1", 3), join("App", 13));
    let chatter = |ranks: Vec<Communicator>, name: &'static str| async move {
        each(&ranks, |comm| async move {
            let (rank, size) = (comm.rank(), comm.size());
            for to in 0..size {
                comm.send(format!("{name} {rank}"), to, 2).await.unwrap();
            }
            for from in 0..size {
                let text = comm.recv::<String>(from, 2).await.unwrap();
                assert_eq!(text, format!("{name} {from}"));
            }
            assert_eq!(comm.allreduce(1usize, fmi::op::sum()).await.unwrap(), size);
            assert_eq!(comm.iprobe(ANY, ANY).unwrap(), None);
            comm.close().await.unwrap();
        })
        .await;
    };
    futures::join!(chatter(app1, "App1"), chatter(app, "App"));
}
