//! How often to measure, and what to make of it.

use fmi::{Communicator, Result, op};
use std::time::{Duration, Instant};

/// What warming up takes of the time of a case.
const WARM: u32 = 7;
const LEAST: usize = 10;
const MOST: usize = 100_000;

/// How often each algorithm of an operation gets its turn. A moment in which the machine is slow
/// then hits all of them, and does not decide which one looks best.
pub(super) const TURNS: usize = 10;

/// What the user asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    /// What the iterations of a case should take, all turns together.
    pub(super) aim: Duration,
    pub(super) iters: Option<usize>,
    pub(super) warmup: Option<usize>,
    /// Into how many turns the iterations are divided.
    pub(super) turns: usize,
}

impl Budget {
    /// For a turn after the first, of so many iterations.
    pub(super) fn later(self, iters: usize) -> Self {
        Self { iters: Some(iters), warmup: Some(1), turns: 1, ..self }
    }

    /// How many iterations a turn has if `count` took `spent`.
    fn turn(self, spent: Duration, count: usize) -> usize {
        self.iters.unwrap_or_else(|| enough(self.aim, spent, count)).div_ceil(self.turns)
    }
}

/// Runs `batch(n)`, which measures `n` iterations on this rank in microseconds: first to warm up
/// and to learn how long one takes, then to measure. All ranks run the same numbers, those that
/// rank 0 says. On rank 0 the result is, per iteration, the largest of the ranks' durations.
pub(super) async fn sample(
    comm: &Communicator,
    budget: Budget,
    mut batch: impl AsyncFnMut(usize) -> Result<Vec<f64>>,
) -> Result<Vec<f64>> {
    let fixed = budget.warmup.or(budget.iters.map(|iters| (iters / 10).clamp(1, 1000)));
    let mut count = fixed.unwrap_or(LEAST);
    let long = budget.aim / WARM;
    let iters = loop {
        let start = Instant::now();
        batch(count).await?;
        let spent = start.elapsed();
        let warm = fixed.is_some() || spent >= long || count >= MOST / 4;
        let next = match warm {
            true => (0, budget.turn(spent, count) as u64),
            false => (more(long, spent, count) as u64, 0),
        };
        match comm.bcast(Some(next), 0).await? {
            (0, iters) => break iters as usize,
            (again, _) => count = again as usize,
        }
    };
    let own = batch(iters).await?;
    let largest = comm.reduce(own, op::max(), 0).await?;
    Ok(largest.unwrap_or_default())
}

/// One operation after another on all ranks, each after a barrier. `call` gets a value that is
/// ready before the clock starts: what `keep` made of the last result, else a copy of
/// `template`. Results are dropped when the clock has stopped.
pub(super) async fn operations<T: Clone, R>(
    comm: &Communicator,
    budget: Budget,
    template: T,
    call: impl AsyncFn(T) -> Result<R>,
    keep: impl Fn(R) -> Option<T>,
) -> Result<Vec<f64>> {
    let mut kept = None;
    let batch = async |iters| {
        let mut samples = Vec::with_capacity(iters);
        for _ in 0..iters {
            let value = kept.take().unwrap_or_else(|| template.clone());
            comm.barrier().await?;
            let start = Instant::now();
            let result = call(value).await?;
            samples.push(micros(start.elapsed()));
            kept = keep(result);
        }
        Ok(samples)
    };
    sample(comm, budget, batch).await
}

pub(super) fn micros(span: Duration) -> f64 {
    span.as_nanos() as f64 / 1000.0
}

/// Median and 99th percentile.
pub(super) fn summary(mut samples: Vec<f64>) -> (f64, f64) {
    samples.sort_by(f64::total_cmp);
    let Some(last) = samples.len().checked_sub(1) else { return (0.0, 0.0) };
    let median = (samples[last / 2] + samples[last.div_ceil(2)]) / 2.0;
    (median, samples[(samples.len() * 99).div_ceil(100) - 1])
}

/// Iterations that take about as long as `aim`, if `count` took `spent`.
fn enough(aim: Duration, spent: Duration, count: usize) -> usize {
    let each = (spent.as_secs_f64() / count.max(1) as f64).max(1e-9);
    ((aim.as_secs_f64() / each) as usize).clamp(LEAST, MOST)
}

/// Iterations for the next round of warming up, which has to be longer than `spent`.
fn more(long: Duration, spent: Duration, count: usize) -> usize {
    let factor = long.as_secs_f64() * 1.2 / spent.as_secs_f64().max(1e-6);
    (count as f64 * factor.clamp(2.0, 8.0)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_percentile() {
        assert_eq!(summary(vec![]), (0.0, 0.0));
        assert_eq!(summary(vec![3.0]), (3.0, 3.0));
        assert_eq!(summary(vec![4.0, 1.0]), (2.5, 4.0));
        let (median, p99) = summary((1..=200).rev().map(f64::from).collect());
        assert_eq!((median, p99), (100.5, 198.0));
    }

    #[test]
    fn iterations_fit_the_time_and_the_bounds() {
        let enough = |spent, count| enough(Duration::from_millis(700), spent, count);
        assert!((699..=700).contains(&enough(Duration::from_millis(100), 100)));
        assert_eq!(enough(Duration::from_secs(10), 10), LEAST);
        assert_eq!(enough(Duration::from_nanos(1), 1000), MOST);
        assert_eq!(enough(Duration::ZERO, 0), MOST);
        let more = |spent| more(Duration::from_millis(100), spent, 10);
        assert_eq!(more(Duration::from_micros(1)), 80);
        assert_eq!(more(Duration::from_millis(90)), 20);
    }
}
