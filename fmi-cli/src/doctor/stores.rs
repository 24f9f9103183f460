//! `fmi doctor redis` and `fmi doctor s3`: whether a store will do, how fast it is, and what of it
//! will hurt.

#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "s3")]
mod s3;

use super::{Desk, Finding};
use crate::{failure::Failure, run::lacking};
use fmi::{
    Config,
    config::{ChannelSpec, Rendezvous},
};
use fmi_channels::handshake::Token;
use std::time::{Duration, Instant};

/// Examines a Redis server: whether it lets this user in, how fast it is, and what of its
/// configuration will hurt.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  fmi doctor redis redis://127.0.0.1:6379
  FMI_CHANNELS=redis://:PASSWORD@cache:6379 fmi doctor redis     a password that no ps shows

Leaves nothing in the server.")]
pub(super) struct RedisArgs {
    /// redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]. [default: the one that is configured]
    url: Option<String>,

    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Examines an S3 bucket: what the credentials allow, how fast it is, and who cleans up there.
///
/// Sends about 80 requests, which cost less than a tenth of a cent. Credentials are found as the
/// AWS SDK finds them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, a role.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  fmi doctor s3 s3://my-bucket/jobs?region=eu-central-1
  fmi doctor s3 's3://bucket/jobs?endpoint=http://127.0.0.1:9000'
  fmi doctor s3 --policy s3://my-bucket/jobs         the least IAM policy
  fmi doctor s3 --lifecycle s3://my-bucket/jobs      the rule that cleans up after crashes

Leaves nothing in the bucket.")]
pub(super) struct S3Args {
    /// s3://BUCKET/PREFIX[?region=…&endpoint=…]. [default: the one that is configured]
    url: Option<String>,

    /// Print one line of JSON.
    #[arg(long)]
    json: bool,

    /// Print the least IAM policy for the bucket and prefix, and ask nobody.
    #[arg(long, conflicts_with = "json")]
    policy: bool,

    /// Print the lifecycle rule that removes what crashes leave behind, and ask nobody.
    #[arg(long, conflicts_with_all = ["json", "policy"])]
    lifecycle: bool,
}

/// How long two ranks may take to meet in a store and talk.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn run_redis(args: &RedisArgs) -> Result<bool, Failure> {
    let url = url(args.url.as_deref(), "redis")?;
    let mut desk = Desk { json: args.json, findings: Vec::new() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    desk.check("redis", || runtime.block_on(redis(&url)));
    desk.report()
}

pub(super) fn run_s3(args: &S3Args) -> Result<bool, Failure> {
    let url = url(args.url.as_deref(), "s3")?;
    if let Some(text) = document(args, &url)? {
        println!("{text}");
        return Ok(true);
    }
    let mut desk = Desk { json: args.json, findings: Vec::new() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    desk.check("s3", || runtime.block_on(s3(&url)));
    desk.report()
}

/// What is found out about a configured store.
pub(super) async fn store(spec: &ChannelSpec) -> Vec<Finding> {
    match (spec.name(), spec.url()) {
        ("redis", Some(url)) => redis(url).await,
        ("s3", Some(url)) => s3(url).await,
        _ => Vec::new(),
    }
}

/// Of a rendezvous that is a store: the store's own check says the rest.
pub(super) fn meeting(url: &Rendezvous) -> Finding {
    let text = format!("{url}: the processes meet in the store");
    let advice = "deaths are noticed after deadlines.silent, and a group that lost a rank cannot \
                  rejoin there; both take an `fmi rendezvous`";
    Finding::note("rendezvous", text, advice)
}

#[cfg(feature = "redis")]
async fn redis(url: &str) -> Vec<Finding> {
    redis::examine(url).await
}

#[cfg(not(feature = "redis"))]
async fn redis(_: &str) -> Vec<Finding> {
    Vec::new()
}

#[cfg(feature = "s3")]
async fn s3(url: &str) -> Vec<Finding> {
    s3::examine(url).await
}

#[cfg(not(feature = "s3"))]
async fn s3(_: &str) -> Vec<Finding> {
    Vec::new()
}

#[cfg(feature = "s3")]
fn document(args: &S3Args, url: &str) -> Result<Option<String>, Failure> {
    Ok(match (args.policy, args.lifecycle) {
        (true, _) => Some(fmi_channels::s3::policy(url)?),
        (_, true) => Some(fmi_channels::s3::lifecycle(url)?),
        _ => None,
    })
}

#[cfg(not(feature = "s3"))]
fn document(_: &S3Args, _: &str) -> Result<Option<String>, Failure> {
    Ok(None)
}

/// The URL that was given, else the one that is configured.
fn url(given: Option<&str>, name: &str) -> Result<String, Failure> {
    let spec: ChannelSpec = match given {
        Some(url) => url.parse().map_err(|error: fmi::Error| Failure::usage(error.to_string()))?,
        None => configured_as(name)?,
    };
    if spec.name() != name {
        return Err(Failure::usage(format!("{spec} is no URL of {name}: write {name}://…")));
    }
    if let Some(why) = spec.unavailable() {
        return Err(Failure::usage(lacking(name, &spec, why)));
    }
    Ok(spec.url().unwrap_or_default().to_owned())
}

/// The stores that a configuration names and this build has.
pub(super) fn configured(config: &Config) -> Vec<ChannelSpec> {
    let meeting = config.rendezvous.iter().filter_map(|url| url.url().parse().ok());
    let all = config.channels.iter().cloned().chain(meeting);
    let mut stores: Vec<ChannelSpec> = Vec::new();
    for spec in all.filter(|spec| spec.is_store() && spec.unavailable().is_none()) {
        if !stores.contains(&spec) {
            stores.push(spec);
        }
    }
    stores
}

fn configured_as(name: &str) -> Result<ChannelSpec, Failure> {
    let config = Config::from_env()?;
    configured(&config).into_iter().find(|spec| spec.name() == name).ok_or_else(|| {
        Failure::usage(format!(
            "no {name} is configured: give its URL, `fmi doctor {name} {name}://…`, or set \
             FMI_CHANNELS"
        ))
    })
}

/// Two ranks of this process meet in the store and send each other a message through it; how long
/// that took.
#[cfg_attr(not(any(feature = "redis", feature = "s3")), allow(dead_code, reason = "no store"))]
async fn exchange(url: &str) -> fmi::Result<Duration> {
    let start = Instant::now();
    // Nobody else's job has a name like this.
    let job = format!("doctor-{}", &Token::random()?.reveal()[..16]);
    let token = Token::random()?;
    let node = |rank| -> fmi::Result<Config> {
        Config::default()
            .job(&job)
            .size(2)
            .rank(rank)
            .token(token.reveal())
            .join_deadline(PATIENCE)
            .operation_deadline(PATIENCE)
            .rendezvous(url)?
            .channels(url)
    };
    let (first, second) = tokio::try_join!(node(0)?.join(), node(1)?.join())?;
    let (asked, answered) = tokio::try_join!(
        async {
            let asked: u32 = first.recv(1, 0).await?;
            first.send(asked + 1, 1, 0).await?;
            Ok(asked)
        },
        async {
            second.send(1_u32, 0, 0).await?;
            second.recv::<u32>(0, 0).await
        },
    )?;
    tokio::try_join!(first.close(), second.close())?;
    match (asked, answered) {
        (1, 2) => Ok(start.elapsed()),
        other => Err(fmi::Error::Codec {
            what: "u32".to_owned(),
            reason: format!("1 and 2 arrived as {other:?}"),
        }),
    }
}

/// A duration for people.
#[cfg_attr(not(any(feature = "redis", feature = "s3")), allow(dead_code, reason = "no store"))]
fn millis(time: Duration) -> String {
    match time.as_secs_f64() * 1000.0 {
        small if small < 1.0 => format!("{:.0} µs", small * 1000.0),
        millis => format!("{millis:.1} ms"),
    }
}

/// A rate for people.
#[cfg_attr(not(any(feature = "redis", feature = "s3")), allow(dead_code, reason = "no store"))]
fn rate(bytes_a_second: f64) -> String {
    format!("{:.0} MB/s", bytes_a_second / 1e6)
}
