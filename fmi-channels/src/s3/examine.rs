//! What can be found out about a bucket by using it: how fast it is, and what it lets us do.

use super::{
    bucket::Bucket,
    error::{Operation, Trouble},
    options::Options,
    runtime,
    url::Location,
};
use aws_sdk_s3::error::ProvideErrorMetadata;
use bytes::Bytes;
use fmi_actors::Result;
use std::time::{Duration, Instant};

/// What a bucket is like.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Examination {
    /// Which bucket, and where.
    pub store: String,
    /// A GET of an object that is not there: the median of some. What a look costs in time.
    pub look: Duration,
    /// A PUT of a small object: the median of some.
    pub put: Duration,
    /// Bytes a second towards the store, in one object.
    pub up: f64,
    /// Bytes a second from it.
    pub down: f64,
    /// What is refused and needed, each with what to do.
    pub denied: Vec<String>,
    /// Whether a name can be taken once only (`If-None-Match`): what processes need that meet there.
    pub once_only: bool,
    /// Whether a rule of the bucket removes what crashes leave behind; `None` if it cannot be seen.
    pub cleaned: Option<bool>,
}

/// Requests of each kind that are measured.
const TRIES: usize = 7;
/// Bytes that go there and come back.
const BLOCK: usize = 4 << 20;
/// How long what may pass is tried again.
const PATIENCE: Duration = Duration::from_secs(5);

/// Uses the bucket that `url` names: about 25 requests, under a prefix that is empty afterwards.
///
/// # Errors
/// [`Error::Config`](fmi_actors::Error::Config) when the URL is none,
/// [`Error::Store`](fmi_actors::Error::Store) with what to do when the bucket cannot be used
/// at all.
pub async fn examine(url: &str) -> Result<Examination> {
    let location = Location::parse(url)?;
    runtime::run(async move {
        let failed = |trouble: Trouble| trouble.error(&location, "the bucket");
        let options = Options { patience: PATIENCE, ..Options::default() };
        let bucket = Bucket::open(location.clone(), options).await.map_err(failed)?;
        let slash = if location.prefix.is_empty() { "" } else { "/" };
        let random = getrandom::u64().unwrap_or_default();
        let root = format!("{}{slash}doctor-{random:016x}/", location.prefix);
        look(&bucket, &root).await
    })
    .await
}

async fn look(bucket: &Bucket, root: &str) -> Result<Examination> {
    let fatal = |trouble: Trouble| trouble.error(&bucket.location, "the bucket");
    let mut denied = Vec::new();
    // A refusal is a finding; a store that does not answer ends the examination.
    let mut found = |result: Result<(), Trouble>| -> Result<bool> {
        match result {
            Ok(()) => Ok(true),
            Err(trouble) if trouble.reason.starts_with("access denied") => {
                denied.push(trouble.reason);
                Ok(false)
            }
            Err(trouble) => Err(fatal(trouble)),
        }
    };
    let small = format!("{root}small");
    let (mut looks, mut puts) = (Vec::new(), Vec::new());
    for _ in 0..TRIES {
        let start = Instant::now();
        let got = bucket.get(&format!("{root}nothing"), None, 1).await.map(drop);
        looks.push(start.elapsed());
        if !found(got)? {
            break;
        }
    }
    let mut writable = true;
    for _ in 0..TRIES {
        let start = Instant::now();
        let put = bucket.put(&small, &Bytes::from_static(b"fmi")).await.map(drop);
        puts.push(start.elapsed());
        writable = found(put)?;
        if !writable {
            break;
        }
    }
    let large = format!("{root}large");
    let (mut up, mut down, mut once_only) = (0.0, 0.0, false);
    if writable {
        let block = Bytes::from(vec![0x5a; BLOCK]);
        let start = Instant::now();
        found(bucket.put(&large, &block).await.map(drop))?;
        up = rate(start);
        let start = Instant::now();
        if found(bucket.get(&large, None, BLOCK as u64).await.map(drop))? {
            down = rate(start);
        }
        once_only = refuses_a_second(bucket, &small).await.map_err(fatal)?;
        found(parts(bucket, &large).await)?;
    }
    found(bucket.list(root, None).await.map(drop))?;
    for key in [&small, &large] {
        // Deleting what is not there is allowed to whoever may delete.
        if !found(bucket.delete(key).await)? {
            break;
        }
    }
    Ok(Examination {
        store: bucket.location.to_string(),
        look: median(looks),
        put: median(puts),
        up,
        down,
        denied,
        once_only,
        cleaned: cleaned(bucket).await,
    })
}

/// Whether an object that is there is not written again by who asks for that.
async fn refuses_a_second(bucket: &Bucket, key: &str) -> Result<bool, Trouble> {
    let put = bucket.client().put_object().bucket(&bucket.location.bucket).key(key);
    match put.if_none_match("*").body(Bytes::from_static(b"again").into()).send().await {
        Ok(_) => Ok(false),
        Err(error) if error.code() == Some("PreconditionFailed") => Ok(true),
        Err(error) if error.raw_response().is_some_and(|raw| raw.status().as_u16() == 412) => {
            Ok(true)
        }
        Err(error) => match Trouble::of(Operation::Put, &bucket.location, &error) {
            trouble if trouble.may_pass() => Err(trouble),
            // It does not know the condition.
            _ => Ok(false),
        },
    }
}

/// Begins an upload in parts and gives it up.
async fn parts(bucket: &Bucket, key: &str) -> Result<(), Trouble> {
    let name = &bucket.location.bucket;
    let begun = bucket.client().create_multipart_upload().bucket(name).key(key).send().await;
    let begun = begun.map_err(|e| Trouble::of(Operation::Multipart, &bucket.location, &e))?;
    let Some(id) = begun.upload_id else { return Ok(()) };
    let given_up = bucket.client().abort_multipart_upload().bucket(name).key(key).upload_id(id);
    let given_up = given_up.send().await.map(drop);
    given_up.map_err(|error| Trouble::of(Operation::Abort, &bucket.location, &error))
}

/// Whether a rule removes what is left under the prefix.
async fn cleaned(bucket: &Bucket) -> Option<bool> {
    let asked = bucket.client().get_bucket_lifecycle_configuration();
    match asked.bucket(&bucket.location.bucket).send().await {
        Ok(rules) => Some(rules.rules().iter().any(|rule| {
            let prefix = rule.filter().and_then(|filter| filter.prefix()).unwrap_or_default();
            rule.status().as_str() == "Enabled"
                && rule.expiration().is_some_and(|expiration| expiration.days().is_some())
                && bucket.location.prefix.starts_with(prefix.trim_end_matches('/'))
        })),
        Err(error) if error.code() == Some("NoSuchLifecycleConfiguration") => Some(false),
        Err(_) => None,
    }
}

fn rate(start: Instant) -> f64 {
    BLOCK as f64 / start.elapsed().as_secs_f64().max(1e-9)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
