//! Ranks in functions of AWS Lambda: a group of invocations is a job.
//!
//! The function's program is a handler that is called once for each of its ranks:
//!
//! ```no_run
//! use fmi::prelude::*;
//!
//! fn main() -> std::process::ExitCode {
//!     fmi::lambda::run(|ctx: fmi::Context, samples: Vec<f64>| async move {
//!         let own = samples.iter().skip(ctx.rank()).step_by(ctx.size()).sum::<f64>();
//!         ctx.allreduce(own, op::sum()).await
//!     })
//! }
//! ```
//!
//! Any other program is a function, too, once it is built with the feature `lambda`: [`fmi::run`](crate::run), and
//! so `#[fmi::rank]`, serves invocations where it finds itself in one. The payload has its arguments,
//! `{"arguments": ["--check"]}`, which [`Context::args`] gives, and what its ranks
//! [finish](Context::finish) with goes back.
//!
//! Whoever starts the job (`fmi run --on lambda`, or any program that can invoke functions) invokes the
//! function once for each process of the job, all at the same time, with an [`Invocation`]. The ranks
//! find each other where that says: in a store (`redis://…`, `s3://…`), or at a rendezvous that all can
//! reach, over which they also get links through address translations. Each invocation ends with a
//! [`Reply`].
//!
//! What the environment of the function says ([`Config::from_env`](crate::Config::from_env)) holds for
//! all its invocations: channels, profile, prices. `examples/lambda` has the whole way, from the program to
//! the answer.

mod invocation;
mod pack;

pub use invocation::{Invocation, Reply};

use crate::{Config, Context, Outcome, logging};
use invocation::{Arguments, unreadable};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use pack::Pack;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{fmt::Display, future::Future, process::ExitCode, sync::Arc, time::Instant};

/// Serves invocations, one after the other, until the platform ends the process.
///
/// For each of an invocation's ranks `handler` is called with the rank's context and the payload; the
/// values that the ranks return go back to whoever invoked the function. When one of them returns an error
/// or panics, the job fails on all its ranks, in all functions, and the invocation ends with the first
/// cause.
///
/// Of one invocation nothing is left for the next in the same process: each joins a job of its own, and
/// has left it when it ends. The ranks are given up before the platform would end the function; how long
/// they have says [`Context::remaining`]. If one of them still computes then, the process ends.
pub fn run<P, R, E, F, Fut>(handler: F) -> ExitCode
where
    P: DeserializeOwned + 'static,
    R: Serialize,
    E: Display,
    F: Fn(Context, P) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, E>> + 'static,
{
    logging::start();
    let handler = Arc::new(handler);
    serve_with(
        |payload| P::deserialize(payload).map(drop).map_err(|error| unreadable(&error)),
        move |ctx, payload| {
            let handler = Arc::clone(&handler);
            async move {
                let payload = P::deserialize(&payload).map_err(|error| unreadable(&error));
                let payload = payload.map_err(|error| error.to_string())?;
                let result = handler(ctx.clone(), payload).await;
                let result = result.map_err(|error| error.to_string())?;
                ctx.finish(result).map_err(|error| error.to_string())
            }
        },
    )
}

/// Whether this process is a function's.
pub(crate) fn is_here() -> bool {
    std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some()
}

/// The same for a program that takes arguments, and [finishes](Context::finish) with a value or with none.
pub(crate) fn serve<F, Fut>(main: F) -> ExitCode
where
    F: Fn(Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: Outcome> + 'static,
{
    let main = Arc::new(main);
    serve_with(
        |payload| Arguments::read(payload).map(drop),
        move |ctx, payload| {
            let main = Arc::clone(&main);
            async move {
                let words = Arguments::read(&payload).map_err(|error| error.to_string())?;
                main(ctx.with_arguments(words.arguments)).await.outcome()
            }
        },
    )
}

fn serve_with<F, Fut>(check: fn(&Value) -> crate::Result<()>, main: F) -> ExitCode
where
    F: Fn(Context, Value) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), String>> + 'static,
{
    let base = match Config::from_env() {
        Ok(base) => base,
        Err(error) => return failed(&error),
    };
    let (main, began) = (Arc::new(main), Instant::now());
    let invoked = move |event: LambdaEvent<Invocation>| {
        let pack = Pack::new(&base, &event.payload, event.context.deadline, began.elapsed());
        // Before anybody waits for these ranks.
        let pack = check(&event.payload.payload).and(pack);
        let (main, payload) = (Arc::clone(&main), event.payload.payload);
        async move {
            let told = |error: crate::Error| Diagnostic {
                error_type: "fmi::Error".to_owned(),
                error_message: explained(&error),
            };
            pack.map_err(told)?.run(main, payload).await.map_err(told)
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = runtime.map_err(lambda_runtime::Error::from).and_then(|runtime| {
        runtime.block_on(async { lambda_runtime::run(service_fn(invoked)).await })
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

/// As whoever invoked it reads it, who knows the function's settings alone.
fn explained(error: &crate::Error) -> String {
    match error {
        crate::Error::RankLost { rank, reason: crate::Reason::Deadline } => format!(
            "rank {rank} was given up before its function's time limit: raise that, or give a rank less to do"
        ),
        error => error.to_string(),
    }
}

fn failed(error: &dyn Display) -> ExitCode {
    eprintln!("fmi: {error}");
    ExitCode::FAILURE
}
