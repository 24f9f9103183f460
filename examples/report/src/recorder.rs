//! Takes the times and the traffic of a program's phases, on all ranks.

use crate::{Failure, Phase, Report, Traffic, median, peak_memory};
use fmi::Context;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Instant};

/// Measures phases that all ranks go through together.
///
/// A phase begins and ends with a barrier; the time that a rank waits in it for the others is not
/// counted. What the ranks of a process have sent in a phase is told by the lowest of them. The barrier at
/// its end is in the phase's traffic.
#[derive(Debug)]
pub struct Recorder {
    ctx: Context,
    /// Whether this rank tells what its process has done.
    speaks: bool,
    began: Instant,
    before: Traffic,
    phases: Vec<Own>,
}

/// What one rank has seen of a phase.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Own {
    name: String,
    seconds: f64,
    traffic: Traffic,
}

/// What one rank tells at the end.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    speaks: bool,
    phases: Vec<Own>,
    total: Traffic,
    peak_memory: Option<u64>,
}

impl Recorder {
    /// The first phase begins. All ranks call it.
    ///
    /// # Errors
    /// As a barrier.
    pub async fn start(ctx: &Context) -> Result<Self, Failure> {
        let speaks = lowest_here(ctx)? == ctx.rank();
        ctx.barrier().await?;
        let before = if speaks { Traffic::of(ctx) } else { Traffic::default() };
        Ok(Self { ctx: ctx.clone(), speaks, began: Instant::now(), before, phases: Vec::new() })
    }

    /// A phase ends, and the next one begins. All ranks call it, with the same names.
    ///
    /// # Errors
    /// As a barrier.
    pub async fn end_phase(&mut self, name: &str) -> Result<(), Failure> {
        let seconds = self.began.elapsed().as_secs_f64();
        self.ctx.barrier().await?;
        let now = if self.speaks { Traffic::of(&self.ctx) } else { Traffic::default() };
        let traffic = now - self.before;
        self.before = now;
        self.phases.push(Own { name: name.to_owned(), seconds, traffic });
        self.began = Instant::now();
        Ok(())
    }

    /// All ranks' phases together, on rank 0.
    ///
    /// # Errors
    /// As a gather; and if another rank tells what this program does not understand.
    pub async fn report(self, program: &str) -> Result<Option<Report>, Failure> {
        let total = if self.speaks { Traffic::of(&self.ctx) } else { Traffic::default() };
        let Self { ctx, speaks, phases, .. } = self;
        let own = Told { speaks, phases, total, peak_memory: peak_memory() };
        let Some(told) = ctx.gather(serde_json::to_string(&own)?, 0).await? else {
            return Ok(None);
        };
        let told: Result<Vec<Told>, _> =
            told.iter().map(|text| serde_json::from_str(text)).collect();
        Ok(Some(together(program, &told?)))
    }
}

/// The lowest rank in this process.
fn lowest_here(ctx: &Context) -> fmi::Result<usize> {
    let process = ctx.peer(ctx.rank())?.process;
    for rank in 0..ctx.rank() {
        if ctx.peer(rank)?.process == process {
            return Ok(rank);
        }
    }
    Ok(ctx.rank())
}

fn together(program: &str, told: &[Told]) -> Report {
    let mut total = Traffic::default();
    told.iter().for_each(|rank| total += rank.total);
    let names = told.first().map(|rank| rank.phases.iter().map(|phase| phase.name.clone()));
    let phase = |(place, name): (usize, String)| {
        let of_ranks: Vec<&Own> = told.iter().filter_map(|rank| rank.phases.get(place)).collect();
        let mut traffic = Traffic::default();
        of_ranks.iter().for_each(|own| traffic += own.traffic);
        let seconds: Vec<f64> = of_ranks.iter().map(|own| own.seconds).collect();
        Phase {
            name,
            slowest_seconds: seconds.iter().copied().fold(0.0, f64::max),
            median_seconds: median(&seconds),
            inside: traffic.inside,
            outside: traffic.outside,
        }
    };
    Report {
        program: program.to_owned(),
        ranks: told.len(),
        processes: told.iter().filter(|rank| rank.speaks).count(),
        phases: names.into_iter().flatten().enumerate().map(phase).collect(),
        requests: total.requests,
        dollars: total.dollars,
        peak_memory_bytes: told.iter().filter_map(|rank| rank.peak_memory).max(),
        facts: BTreeMap::new(),
    }
}
