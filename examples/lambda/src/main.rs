//! Estimates π by throwing darts, on as many functions as were invoked.
//!
//! ```text
//! {"job": "pi-1", "size": 8, "ranks": [0, 1], "rendezvous": "redis://…", "token": "…",
//!  "payload": {"darts": 100000000, "seed": 7}}
//! ```
//!
//! README.md says how it is built, put to AWS, and invoked.

use fmi::prelude::*;
use serde::{Deserialize, Serialize};
use std::process::ExitCode;

/// What each rank is told.
#[derive(Debug, Deserialize)]
struct Task {
    /// How many darts are thrown in all.
    darts: u64,
    #[serde(default)]
    seed: u64,
}

/// What each rank finds out; all the same.
#[derive(Debug, Serialize)]
struct Answer {
    pi: f64,
    darts: u64,
}

fn main() -> ExitCode {
    fmi::lambda::run(|ctx: fmi::Context, task: Task| async move {
        let Task { darts, seed } = task;
        if darts == 0 {
            return Err("no darts: say how many in the payload, {\"darts\": 1000000}".to_owned());
        }
        let (rank, size) = (ctx.rank() as u64, ctx.size() as u64);
        let own = darts / size + u64::from(rank < darts % size);
        let hits = throw(own, seed.wrapping_add(rank.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let hits = ctx.allreduce(hits, op::sum()).await.map_err(|error| error.to_string())?;
        Ok(Answer { pi: 4.0 * hits as f64 / darts as f64, darts })
    })
}

/// How many of so many darts at the unit square hit the circle. The random numbers are SplitMix64's.
fn throw(darts: u64, seed: u64) -> u64 {
    let mut state = seed;
    let mut random = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    };
    let hits = (0..darts).filter(|_| {
        let (x, y) = (random(), random());
        x * x + y * y <= 1.0
    });
    hits.count() as u64
}
