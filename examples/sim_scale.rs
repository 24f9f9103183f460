//! Every collective on thousands of simulated ranks:
//! `cargo run --release --example sim_scale -- 10000 [bytes] [name…]`.
//!
//! Prints rounds (the longest chain of messages), simulated time, frames, and what the
//! simulation itself took.

use fmi::{prelude::*, sim::Sim};
use futures::{FutureExt, future::LocalBoxFuture};
use std::time::Instant;

type Body = fn(Communicator, Vec<u8>) -> LocalBoxFuture<'static, fmi::Result<()>>;

/// New collectives go here.
const COLLECTIVES: &[(&str, Body)] = &[
    ("barrier", |comm, _| async move { comm.barrier().await }.boxed_local()),
    ("bcast", |comm, data| async move { comm.bcast(Some(data), 0).await.map(drop) }.boxed_local()),
    ("gather", |comm, data| async move { comm.gather(data, 0).await.map(drop) }.boxed_local()),
    ("scatter", |comm, data| {
        let values = (comm.rank() == 0).then(|| vec![data; comm.size()]);
        async move { comm.scatter(values, 0).await.map(drop) }.boxed_local()
    }),
    // Every rank ends with all values: as numbers, so that a rank holds nothing but their bytes.
    ("allgather", |comm, data| {
        let value = u64::from(data.first().copied().unwrap_or_default());
        async move { comm.allgather(value).await.map(drop) }.boxed_local()
    }),
    // A byte for each rank, the least that there is.
    ("alltoall", |comm, _| {
        async move { comm.alltoall(vec![1_u8; comm.size()]).await.map(drop) }.boxed_local()
    }),
    ("reduce_scatter", |comm, _| {
        let values = vec![1_u8; comm.size()];
        async move { comm.reduce_scatter(values, op::sum()).await.map(drop) }.boxed_local()
    }),
    ("reduce", |comm, data| {
        async move { comm.reduce(data, op::max(), 0).await.map(drop) }.boxed_local()
    }),
    ("allreduce", |comm, data| {
        async move { comm.allreduce(data, op::max()).await.map(drop) }.boxed_local()
    }),
    ("scan", |comm, data| async move { comm.scan(data, op::max()).await.map(drop) }.boxed_local()),
    ("exscan", |comm, data| {
        async move { comm.exscan(data, op::max()).await.map(drop) }.boxed_local()
    }),
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| {
        arguments.next().map_or(default, |text| text.parse().expect("ranks, bytes, names"))
    };
    let (ranks, bytes): (usize, usize) = (number(1000), number(8));
    let names: Vec<String> = arguments.collect();
    println!("{ranks} ranks, {bytes} bytes each");
    println!(
        "{:<16}{:>8}{:>14}{:>12}{:>12}{:>10}{:>12}",
        "collective", "rounds", "simulated µs", "frames", "MB", "wall s", "peak MB"
    );
    for (name, body) in COLLECTIVES {
        if !names.is_empty() && !names.iter().any(|wanted| wanted == name) {
            continue;
        }
        let start = Instant::now();
        let report = Sim::new(ranks).run(|comm| body(comm, vec![1; bytes]));
        let wall = start.elapsed().as_secs_f64();
        let (rounds, time) = (report.rounds, report.time.as_secs_f64() * 1e6);
        let (frames, sent) = (report.frames, report.bytes as f64 / 1e6);
        println!(
            "{name:<16}{rounds:>8}{time:>14.1}{frames:>12}{sent:>12.1}{wall:>10.2}{:>12}",
            peak() >> 20
        );
        for result in report.values() {
            result.expect("nothing goes wrong on this wire");
        }
    }
}

/// Bytes of memory that this program has had at most.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) << 10
}
