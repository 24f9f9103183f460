//! Requests to one bucket, each retried as long as that makes sense.

use super::{
    client,
    counts::{Counts, Request},
    error::{Kind, Operation, Trouble},
    options::Options,
    url::Location,
};
use aws_sdk_s3::{Client, primitives::ByteStream};
use bytes::Bytes;
use futures::{StreamExt, stream};
use std::{fmt, future::Future, time::Duration};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};

/// Requests under way at once.
const REQUESTS: usize = 128;
/// DELETEs among them: plain ones, which AWS does not bill.
const DELETES: usize = 16;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(3);
/// Bytes a second that even a slow store moves; requests that carry much have time for that.
const SLOWEST: usize = 256 << 10;

/// A bucket and the way there.
pub(super) struct Bucket {
    client: Client,
    pub(super) location: Location,
    pub(super) options: Options,
    pub(super) counts: Counts,
    slots: Semaphore,
}

/// What a request gave.
#[derive(Debug)]
pub(super) struct Done<T> {
    pub(super) value: T,
    /// It may have been done more than once.
    pub(super) doubtful: bool,
}

/// Bytes of an object, or of a range of one.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) pieces: Vec<Bytes>,
    /// Bytes of the whole object.
    pub(super) total: u64,
}

/// A page of a list.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) keys: Vec<String>,
    /// Where the next page begins.
    pub(super) next: Option<String>,
}

impl Bucket {
    /// Finds the credentials, no more.
    pub(super) async fn open(location: Location, options: Options) -> Result<Self, Trouble> {
        let client = client::client(&location, &options).await?;
        let (counts, slots) = (Counts::default(), Semaphore::new(REQUESTS));
        Ok(Self { client, location, options, counts, slots })
    }

    /// Writes an object.
    pub(super) async fn put(&self, key: &str, content: &Bytes) -> Result<Done<()>, Trouble> {
        let bytes = content.len();
        self.counts.sent(bytes);
        self.retried(Operation::Put, Request::Put, bytes, || async move {
            let request = self.client.put_object().bucket(&self.location.bucket).key(key);
            let request = request.body(ByteStream::from(content.clone()));
            let sent = match self.encrypted() {
                // TLS keeps it whole, and its checksum is ours: one pass over it is saved.
                true => request.customize().disable_payload_signing().send().await,
                false => request.send().await,
            };
            sent.map(drop).map_err(|error| Trouble::of(Operation::Put, &self.location, &error))
        })
        .await
    }

    /// Reads an object, or the bytes `range` of it; `None` if there is none. More than `most`
    /// bytes are not read.
    pub(super) async fn get(
        &self,
        key: &str,
        range: Option<(u64, u64)>,
        most: u64,
    ) -> Result<Option<Got>, Trouble> {
        let bytes = range.map_or(0, |(from, until)| (until - from) as usize);
        let got = self
            .retried(Operation::Get, Request::Get, bytes, || self.get_once(key, range, most))
            .await;
        match got {
            Ok(got) => Ok(Some(got.value)),
            Err(trouble) if trouble.kind == Kind::Missing => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    async fn get_once(
        &self,
        key: &str,
        range: Option<(u64, u64)>,
        most: u64,
    ) -> Result<Got, Trouble> {
        let request = self.client.get_object().bucket(&self.location.bucket).key(key);
        let range = range.map(|(from, until)| format!("bytes={from}-{}", until.saturating_sub(1)));
        let got = request.set_range(range).send().await;
        let mut got = got.map_err(|error| Trouble::of(Operation::Get, &self.location, &error))?;
        let length = got.content_length().and_then(|length| u64::try_from(length).ok());
        let total = got.content_range().and_then(|range| range.rsplit_once('/')?.1.parse().ok());
        if let Some(length) = length.filter(|length| *length > most) {
            return Err(Trouble::foreign(format!(
                "it has {length} bytes, more than {most}: it is none of fmi's objects"
            )));
        }
        let (mut pieces, mut read) = (Vec::new(), 0u64);
        while let Some(piece) = got.body.next().await {
            let piece = piece.map_err(|error| Trouble::doubtful(format!("cut off: {error}")))?;
            read += piece.len() as u64;
            if read > most {
                return Err(Trouble::foreign(format!("it has more than {most} bytes")));
            }
            pieces.push(piece);
        }
        self.counts.received(read as usize);
        if let Some(length) = length.filter(|length| *length != read) {
            return Err(Trouble::doubtful(format!("cut off after {read} of {length} bytes")));
        }
        Ok(Got { pieces, total: total.unwrap_or(read) })
    }

    /// Whether an object is there.
    pub(super) async fn has(&self, key: &str) -> Result<bool, Trouble> {
        Ok(self.length(key).await?.is_some())
    }

    /// The length of an object; `None` if there is none.
    pub(super) async fn length(&self, key: &str) -> Result<Option<u64>, Trouble> {
        let found = self
            .retried(Operation::Head, Request::Head, 0, || async move {
                let request = self.client.head_object().bucket(&self.location.bucket).key(key);
                let found = request.send().await;
                found.map_err(|error| Trouble::of(Operation::Head, &self.location, &error))
            })
            .await;
        match found {
            Ok(found) => {
                let length = found.value.content_length();
                Ok(Some(length.and_then(|length| u64::try_from(length).ok()).unwrap_or(0)))
            }
            Err(trouble) if trouble.kind == Kind::Missing => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    /// Deletes an object, if it is there.
    pub(super) async fn delete(&self, key: &str) -> Result<(), Trouble> {
        let deleted = self
            .retried(Operation::Delete, Request::Delete, 0, || async move {
                let request = self.client.delete_object().bucket(&self.location.bucket).key(key);
                let deleted = request.send().await;
                deleted.map_err(|error| Trouble::of(Operation::Delete, &self.location, &error))
            })
            .await;
        match deleted {
            Ok(_) => Ok(()),
            Err(trouble) if trouble.kind == Kind::Missing => Ok(()),
            Err(trouble) => Err(trouble),
        }
    }

    /// Deletes objects, some at once. What cannot be deleted is left to the bucket's rule.
    pub(super) async fn delete_all(&self, keys: Vec<String>) -> Result<(), Trouble> {
        let deleted = keys.into_iter().map(|key| async move { self.delete(&key).await });
        let mut deleted = stream::iter(deleted).buffer_unordered(DELETES);
        let mut refused = Ok(());
        while let Some(result) = deleted.next().await {
            if let Err(trouble) = result {
                tracing::warn!(reason = %trouble.reason, "an object stays behind");
                if !trouble.may_pass() {
                    refused = Err(trouble);
                }
            }
        }
        refused
    }

    /// The first thousand keys, at most, that begin so and come after `next` of the page before.
    pub(super) async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, Trouble> {
        let listed = self.retried(Operation::List, Request::List, 0, || async move {
            let request = self.client.list_objects_v2().bucket(&self.location.bucket);
            let request = request.prefix(prefix).set_continuation_token(after.map(str::to_owned));
            let listed = request.send().await;
            listed.map_err(|error| Trouble::of(Operation::List, &self.location, &error))
        });
        let listed = listed.await?.value;
        let next = listed.next_continuation_token().map(str::to_owned);
        let next = next.filter(|_| listed.is_truncated() == Some(true));
        let keys = listed.contents.unwrap_or_default().into_iter();
        Ok(Page { keys: keys.filter_map(|object| object.key).collect(), next })
    }

    /// Everything whose key begins so.
    pub(super) async fn list_all(&self, prefix: &str) -> Result<Vec<String>, Trouble> {
        let (mut keys, mut after) = (Vec::new(), None);
        loop {
            let page = self.list(prefix, after.as_deref()).await?;
            keys.extend(page.keys);
            match page.next {
                // A server that repeats itself would never end.
                Some(next) if after.as_ref() != Some(&next) => after = Some(next),
                _ => return Ok(keys),
            }
        }
    }

    /// Asks until it succeeds, as long as that makes sense; with pauses drawn from ever longer
    /// spans, so that many who were turned away do not come back together.
    pub(super) async fn retried<T, F: Future<Output = Result<T, Trouble>>>(
        &self,
        operation: Operation,
        request: Request,
        bytes: usize,
        once: impl Fn() -> F,
    ) -> Result<Done<T>, Trouble> {
        let end = Instant::now() + self.options.patience;
        let answer = self.options.answer + Duration::from_secs((bytes / SLOWEST) as u64);
        let (mut pause, mut doubtful) = (FIRST_PAUSE, false);
        loop {
            let trouble = {
                let _slot = self.slots.acquire().await;
                self.counts.asked(request);
                match timeout(answer, once()).await {
                    Ok(Ok(value)) => return Ok(Done { value, doubtful }),
                    Ok(Err(trouble)) => trouble,
                    Err(_) => Trouble::doubtful(format!("no answer within {answer:?}")),
                }
            };
            match trouble.kind {
                Kind::Missing | Kind::Foreign | Kind::Fatal => return Err(trouble),
                Kind::Busy => {}
                Kind::Doubtful => doubtful = true,
            }
            self.counts.failed();
            tracing::debug!(operation = operation.name(), reason = %trouble.reason, "asked again");
            if Instant::now() + pause >= end {
                return Err(trouble);
            }
            sleep(pause.mul_f64(chance())).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn encrypted(&self) -> bool {
        self.location.endpoint.as_ref().is_none_or(|endpoint| endpoint.starts_with("https:"))
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bucket").field(&self.location).finish()
    }
}

/// Between 0 and 1.
fn chance() -> f64 {
    f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX)
}
