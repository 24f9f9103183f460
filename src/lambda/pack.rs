//! The ranks of one invocation: they join the job, run, and leave it.

use super::{Invocation, Reply};
use crate::{Config, Context, Error, Result, run_with};
use parking_lot::Mutex;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// What is kept for the end of the ranks before the platform ends the function: the time in which ranks
/// that were given up may end by themselves, and then leave the job.
const MARGIN: Duration = Duration::from_secs(2);
/// Of short limits, this part of what is left.
const MARGIN_PART: u32 = 4;

/// What a function may take at most. A deadline that is no later is no point in time but a span, as
/// cargo-lambda's emulator has it.
const LONGEST: Duration = Duration::from_secs(15 * 60);

pub(super) struct Pack {
    config: Config,
    cold: bool,
    age: Duration,
}

/// What its ranks leave behind.
#[derive(Default)]
struct Traces {
    results: Mutex<BTreeMap<usize, Value>>,
    began: Mutex<Option<(u64, u64)>>,
    ranks: Mutex<BTreeSet<usize>>,
    /// How many have begun and not ended.
    running: AtomicUsize,
}

/// Counts a rank as long as it runs.
struct Running(Arc<Traces>);

impl Traces {
    /// The last one that a rank hands in counts.
    fn take(&self, rank: usize, json: &str) -> Result<()> {
        let value = serde_json::from_str(json).map_err(|error| Error::Argument {
            operation: "finish",
            message: format!("the value is not JSON: {error}"),
        })?;
        self.results.lock().insert(rank, value);
        Ok(())
    }
}

impl Pack {
    /// `deadline`: when the platform ends the function, in ms since 1970; 0 if it does not say. `age`:
    /// how long this process has served.
    pub(super) fn new(
        base: &Config,
        event: &Invocation,
        deadline: u64,
        age: Duration,
    ) -> Result<Self> {
        static WARM: AtomicBool = AtomicBool::new(false);
        let now = SystemTime::now();
        let mut config = event.configure(base)?;
        if deadline > 0 {
            let deadline = Duration::from_millis(deadline);
            let origin = if deadline <= LONGEST { now } else { UNIX_EPOCH };
            let left = (origin + deadline).duration_since(now).unwrap_or_default();
            config = config.until(now + left - MARGIN.min(left / MARGIN_PART));
        }
        Ok(Self { config, cold: !WARM.swap(true, Ordering::Relaxed), age })
    }

    /// Runs them, and returns when all have ended and everything sent has arrived.
    pub(super) async fn run<F, Fut>(self, main: Arc<F>, payload: Value) -> Result<Reply>
    where
        F: Fn(Context, Value) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + 'static,
    {
        let Self { config, cold, age } = self;
        let traces = Arc::<Traces>::default();
        let kept = Arc::clone(&traces);
        let main = move |ctx: Context| {
            let (running, results) =
                (Running::new(Arc::clone(&kept), ctx.rank()), Arc::clone(&kept));
            let ctx = ctx.with_results(move |rank, json| results.take(rank, json));
            let rank = main(ctx, payload.clone());
            async move {
                let _running = running;
                rank.await
            }
        };
        // It waits for the ranks, which have threads of their own.
        let ran = tokio::task::spawn_blocking(move || run_with(config, main)).await;
        let ran = ran.unwrap_or(Err(Error::Closed { operation: "run" }));
        let running = traces.running.load(Ordering::Acquire);
        if running > 0 {
            // Their threads would take the time of the next invocation.
            eprintln!(
                "fmi: {running} ranks still compute near the function's time limit: the process ends ({})",
                ran.err().unwrap_or(Error::Closed { operation: "run" }),
            );
            process::exit(1);
        }
        ran?;
        let results = std::mem::take(&mut *traces.results.lock()).into_iter().collect();
        let began = traces.began.lock().unwrap_or_default();
        let ranks = std::mem::take(&mut *traces.ranks.lock()).into_iter().collect();
        Ok(Reply::new(ranks, results, began, cold, age.as_millis() as u64))
    }
}

impl Running {
    fn new(traces: Arc<Traces>, rank: usize) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = now.as_micros() as u64;
        traces.running.fetch_add(1, Ordering::AcqRel);
        traces.ranks.lock().insert(rank);
        let mut began = traces.began.lock();
        let (first, last) = began.unwrap_or((now, now));
        *began = Some((first.min(now), last.max(now)));
        drop(began);
        Self(traces)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_given_up_before_the_function_is() {
        let event = Invocation::new("job", 2, "file:///tmp", "secret").ranks([0]);
        let left = |deadline| {
            let pack = Pack::new(&Config::default(), &event, deadline, Duration::ZERO).unwrap();
            let until = pack.config.until?;
            Some(until.duration_since(SystemTime::now()).unwrap_or_default().as_secs_f64())
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        let near = |left: Option<f64>, seconds: f64| (left.unwrap() - seconds).abs() < 0.5;
        assert!(near(left(now + 60_000), 58.0));
        assert!(near(left(now + 4_000), 3.0));
        assert!(near(left(now - 4_000), 0.0));
        assert!(near(left(600_000), 598.0), "a span");
        assert_eq!(left(0), None);
    }
}
