//! The model that FMI's authors published, for comparison: as their notebook computes it, in ms and MB.

use super::Source;
use crate::{Bytes, Seconds};

/// What one sends to so many.
#[must_use]
pub fn fan_out(source: Source, consumers: usize, bytes: Bytes) -> Seconds {
    exchange(source, 1, consumers, bytes, 5.0)
}

/// What a collective takes.
#[must_use]
pub fn collective(source: Source, operation: &str, ranks: usize, bytes: Bytes) -> Seconds {
    let others = ranks - 1;
    // Objects in S3 were looked for every 20 ms.
    let of = |producers, consumers| exchange(source, producers, consumers, bytes, 20.0);
    if source == Source::Direct {
        let rounds = libm::log2(ranks as f64);
        return match operation {
            "bcast" | "reduce" => of(1, 1) * rounds,
            "allreduce" | "scan" => of(1, 1) * (2.0 * rounds),
            _ => (1..=rounds as u64).map(|round| exchange(source, 1, 1, bytes * round, 20.0)).sum(),
        };
    }
    match operation {
        "bcast" | "scatter" => of(1, others),
        "allreduce" => of(others, 1) + of(1, others),
        _ => of(others, 1),
    }
}

fn exchange(
    source: Source,
    producers: usize,
    consumers: usize,
    bytes: Bytes,
    poll: f64,
) -> Seconds {
    let (producers, consumers) = (producers as f64, consumers as f64);
    let megabytes = bytes.get() as f64 / 1e6;
    let pairs = producers * consumers;
    let (overhead, transfer) = match source {
        Source::S3 => (40.4 + poll / 2.0, megabytes / 50.0),
        Source::Redis => (5.2, pairs * megabytes / (100.0 * pairs).min(400.0)),
        Source::Direct if consumers == 1.0 => (0.34, pairs * megabytes / 400.0),
        Source::Direct => (0.34, pairs * megabytes / 240.0),
    };
    Seconds::new((libm::log2(producers + consumers) * overhead + 1000.0 * transfer) / 1000.0)
}
