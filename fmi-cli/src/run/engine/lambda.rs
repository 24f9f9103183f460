//! AWS Lambda: one invocation of a function a process, all at the same time.
//!
//! The program is the function's name or ARN. Its processes meet, and talk, where functions can: in a store,
//! or at a rendezvous with a public address. An invocation cannot be taken back: when one fails, the ranks
//! of the others learn it from each other and end, and those that wait for one that never came when
//! their time for joining is over. All are waited for, so that nothing runs on unseen.

use super::{
    super::{
        contract::{Meeting, range_text},
        group::{Signals, at, tell},
        job::Job,
        output::News,
    },
    Engine,
};
use crate::failure::Failure;
use aws_config::{BehaviorVersion, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_lambda::{
    Client,
    config::{SharedHttpClient, StalledStreamProtectionConfig},
    error::{DisplayErrorContext, SdkError},
    operation::invoke::{InvokeError, InvokeOutput},
    primitives::Blob,
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use fmi::{
    Config,
    lambda::{Invocation, Reply},
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use serde_json::{Value, json};
use std::{path::Path, time::Duration};
use tokio::{
    sync::mpsc::Sender,
    time::{Instant, sleep},
};

/// AWS Lambda.
pub(super) struct Lambda;

/// An invocation that is refused because too many run is tried again after this, then after twice that, …
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(10);
/// As `timeout` has it.
const LATE: u8 = 124;

impl Engine for Lambda {
    fn describe(&self, job: &Job) -> Result<String, Failure> {
        let events = events(job, "…", "…", "…")?;
        let lines: Vec<_> = events.iter().map(|(_, event)| written(event)).collect();
        Ok(lines.join("\n") + "\n")
    }

    fn run<'a>(&'a self, job: &'a Job, news: Sender<News>) -> BoxFuture<'a, Result<u8, Failure>> {
        invoke_all(job, news).boxed()
    }
}

/// How an invocation ended.
struct Ended {
    ranks: String,
    /// The answer, or the exit code and what to tell.
    outcome: Result<Reply, (u8, String)>,
}

async fn invoke_all(job: &Job, news: Sender<News>) -> Result<u8, Failure> {
    let mut signals = Signals::listen()?;
    let meeting = Meeting::arrange(job).await?;
    let (url, token, name) = meeting.elsewhere().ok_or_else(|| {
        Failure::usage(
            "where do the functions meet? Write --rendezvous redis://… or s3://…, or the address of an \
             `fmi rendezvous` that they can reach",
        )
    })?;
    let client = client().await;
    // Who joined first waits so long for the others.
    let patience = Config::from_env()?.deadlines.join;
    let until = Instant::now() + patience;
    let mut running: FuturesUnordered<_> = events(job, url, token, &name)?
        .into_iter()
        .map(|(ranks, event)| invoke(&client, job, ranks, event, until))
        .collect();
    let (mut code, mut cold, processes) = (0, 0, running.len());
    let deadline = job.launch.deadline.map(|deadline| Instant::now() + deadline);
    loop {
        tokio::select! {
            ended = running.next() => match ended {
                None => break,
                Some(Ended { outcome: Ok(reply), .. }) => {
                    cold += usize::from(reply.cold);
                    if let Some(folder) = &job.folder {
                        report(folder, &reply)?;
                    }
                }
                Some(Ended { ranks, outcome: Err((failed, message)) }) => {
                    // The first one is the cause, or was told it.
                    if code == 0 || job.keep_going {
                        tell(job, Some((ranks, message)), &news).await;
                    }
                    code = if code == 0 { failed } else { code };
                }
            },
            number = signals.next() => {
                let left = running.len();
                let message = format!("{left} invocations run on until they end: none can be taken back");
                tell(job, Some((String::new(), message)), &news).await;
                return Ok(u8::try_from(128 + number).unwrap_or(u8::MAX));
            }
            () = at(deadline) => {
                let left = running.len();
                let message = format!("the job has not ended in time: {left} invocations run on");
                tell(job, Some((String::new(), message)), &news).await;
                return Ok(LATE);
            }
        }
    }
    // Where the time of a start goes is what people look for first.
    if cold > 0 {
        eprintln!("fmi run: {cold} of {processes} functions were started for this job (cold)");
    }
    Ok(code)
}

/// One invocation, until it has ended. Nobody is invoked twice: a rank that joins twice is an error.
async fn invoke(
    client: &Client,
    job: &Job,
    ranks: String,
    event: Invocation,
    until: Instant,
) -> Ended {
    let function = job.program.to_string_lossy();
    let mut pause = FIRST_PAUSE;
    let outcome = loop {
        let sent = client.invoke().function_name(&*function);
        let answer = sent.payload(Blob::new(written(&event))).send().await;
        match answer {
            Ok(answer) => break read(&ranks, &answer),
            // It has not begun.
            Err(error) if has_not_begun(&error) && Instant::now() + pause < until => {
                sleep(pause).await;
                pause = (pause * 2).min(LAST_PAUSE);
            }
            Err(error) => break Err(told(&ranks, &function, &error)),
        }
    };
    Ended { ranks, outcome }
}

fn has_not_begun(error: &SdkError<InvokeError>) -> bool {
    match error {
        SdkError::ServiceError(error) => error.err().is_too_many_requests_exception(),
        SdkError::DispatchFailure(failure) => {
            failure.as_connector_error().is_some_and(|error| !error.is_timeout() && error.is_io())
        }
        _ => false,
    }
}

/// What an invocation that was not made, or whose end nobody has heard, is told as.
fn told(ranks: &str, function: &str, error: &SdkError<InvokeError>) -> (u8, String) {
    let missing =
        error.as_service_error().is_some_and(InvokeError::is_resource_not_found_exception);
    let (code, why) = match error.as_service_error() {
        Some(_) if missing => (127, format!("there is no function {function:?} there")),
        Some(error) if error.is_too_many_requests_exception() => (
            1,
            "too many functions run already: raise the account's limit, or use fewer packs"
                .to_owned(),
        ),
        _ => (1, DisplayErrorContext(error).to_string()),
    };
    (code, format!("{}: {why}", named(ranks)))
}

fn read(ranks: &str, answer: &InvokeOutput) -> Result<Reply, (u8, String)> {
    let bytes = answer.payload().map_or(&[][..], |payload| payload.as_ref());
    let failed = |why: &str| Err((1, format!("{}: {why}", named(ranks))));
    let value: Value = match serde_json::from_slice(bytes) {
        Ok(value) => value,
        Err(_) => return failed(&format!("it answered {:?}", String::from_utf8_lossy(bytes))),
    };
    if let Some(message) = value["errorMessage"].as_str() {
        return failed(message);
    }
    if let Some(kind) = answer.function_error() {
        return failed(&format!("{kind}: {value}"));
    }
    serde_json::from_value(value)
        .or_else(|error| failed(&format!("its answer is not that of a function of fmi's: {error}")))
}

fn named(ranks: &str) -> String {
    match ranks.contains('-') {
        true => format!("the function with ranks {ranks}"),
        false => format!("the function with rank {ranks}"),
    }
}

/// What each process is invoked with.
fn events(
    job: &Job,
    url: &str,
    token: &str,
    name: &str,
) -> Result<Vec<(String, Invocation)>, Failure> {
    let set = |what: &str| {
        Failure::usage(format!(
            "{what} cannot be given to functions that are there already: set it in theirs"
        ))
    };
    if !job.launch.environment.is_empty() {
        return Err(set("--env"));
    }
    if job.launch.memory.is_some() {
        return Err(set("--memory"));
    }
    if !job.launch.rank_arguments.is_empty() {
        return Err(set("arguments of single ranks"));
    }
    let arguments: Vec<_> = job.arguments.iter().map(|word| word.to_string_lossy()).collect();
    let payload = match (&job.payload, arguments.is_empty()) {
        (Some(payload), true) => payload.clone(),
        (Some(_), false) => {
            return Err(Failure::usage(
                "--payload takes the place of arguments: leave one of them out",
            ));
        }
        (None, _) => json!({ "arguments": arguments }),
    };
    let channels = job.channel.iter();
    let channels: Vec<_> =
        channels.map(|channel| channel.url().unwrap_or(channel.name()).to_owned()).collect();
    let event = |pack| {
        let ranks = job.ranks_of(pack);
        let event = Invocation::new(name, job.ranks, url, token).payload(payload.clone());
        (range_text(&ranks), event.ranks(ranks).channels(channels.clone()))
    };
    Ok((0..job.packs).map(event).collect())
}

fn written(event: &Invocation) -> String {
    // Text, numbers and JSON: nothing that cannot be written.
    serde_json::to_string(event).unwrap_or_default()
}

/// Leaves an answer where processes leave their reports (`src/report.rs` of the library).
fn report(folder: &Path, reply: &Reply) -> std::io::Result<()> {
    let ranks = &reply.ranks;
    let (first, last) = reply.began_us;
    let joined = json!({ "ranks": ranks, "first_us": first, "last_us": last });
    let head = ranks.first().copied().unwrap_or_default();
    std::fs::write(folder.join(format!("{head}.joined")), joined.to_string())?;
    for (rank, value) in &reply.results {
        std::fs::write(folder.join(format!("{rank}.result")), value.to_string())?;
    }
    Ok(())
}

/// Region, credentials and endpoint are those of AWS's other tools.
async fn client() -> Client {
    let shared = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http())
        // What may be tried again is known here.
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).build())
        // An invocation is silent for as long as it takes.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .load()
        .await;
    Client::new(&shared)
}

fn http() -> SharedHttpClient {
    Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}
