//! A directory's names in a bucket: `PREFIX/JOB/directory/RUN/WHAT`.
//!
//! What must exist once is written with `If-None-Match: *`. AWS, MinIO, Ceph and R2 hold to that; it
//! is tried at first, as servers that do not know it would let two processes have one name. Times are
//! those that the server gives to objects: of whole seconds, mostly.

use super::{
    bucket::Bucket,
    counts::Request,
    error::{self, Operation},
    keys,
    options::Options,
    runtime,
    url::Location,
};
use crate::directory::names::{self, Found, Pace, Result, Trouble};
use aws_sdk_s3::{
    error::ProvideErrorMetadata,
    primitives::{ByteStream, DateTime},
};
use bytes::Bytes;
use fmi_actors::meter::{Meter, Purpose};
use futures::future::BoxFuture;
use std::{
    future::Future,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// A job's part of a bucket.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    bucket: Arc<Bucket>,
    /// What all keys begin with.
    root: String,
}

/// How long what can be retried is.
const PATIENCE: Duration = Duration::from_secs(10);

impl Names {
    /// Finds credentials, and tries what is needed.
    pub(crate) async fn open(url: &str, job: &str) -> Result<Self> {
        let location = Location::parse(url).map_err(|error| Trouble::lasting(error.to_string()))?;
        let slash = if location.prefix.is_empty() { "" } else { "/" };
        let root = format!("{}{slash}{}/directory/", location.prefix, keys::encoded(job));
        let names = on_thread(async move {
            let options = Options { patience: PATIENCE, ..Options::default() };
            let bucket = Arc::new(Bucket::open(location, options).await.map_err(trouble)?);
            Ok(Self { bucket, root })
        });
        let names = names.await?;
        names.try_once_only().await?;
        Ok(names)
    }

    /// Whether a name can be taken once only.
    async fn try_once_only(&self) -> Result<()> {
        let names = self.clone();
        on_thread(async move {
            let random = getrandom::u64().map_err(Trouble::lasting)?;
            let key = format!("{}try-{random:016x}", names.root);
            let probe = Bytes::from_static(b"fmi");
            let first = names.put_new(&key, &probe).await;
            let again = names.put_new(&key, &Bytes::from_static(b"again")).await;
            names.bucket.delete(&key).await.map_err(trouble)?;
            match (first?, again?) {
                (true, false) => Ok(()),
                _ => Err(Trouble::lasting(
                    "this server does not know conditional writes (If-None-Match), so processes \
                     cannot find each other there: set FMI_RENDEZVOUS to another place, such as \
                     tcp:// or redis://; the channel s3 works all the same",
                )),
            }
        })
        .await
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.root)
    }

    /// Writes an object unless there is one of that name; then false.
    async fn put_new(&self, key: &str, content: &Bytes) -> Result<bool> {
        let put = self.bucket.retried(Operation::Put, Request::Put, content.len(), || async move {
            let request = self.bucket.client().put_object().bucket(&self.bucket.location.bucket);
            let request = request.key(key).if_none_match("*");
            let sent = request.body(ByteStream::from(content.clone())).send().await;
            match sent {
                Ok(_) => Ok(true),
                Err(error) if error.code() == Some("PreconditionFailed") => Ok(false),
                Err(error)
                    if error.raw_response().is_some_and(|raw| raw.status().as_u16() == 412) =>
                {
                    Ok(false)
                }
                Err(error) => {
                    Err(error::Trouble::of(Operation::Put, &self.bucket.location, &error))
                }
            }
        });
        let put = put.await.map_err(trouble)?;
        if put.value || !put.doubtful {
            return Ok(put.value);
        }
        // It may be what an attempt of ours has written that got no answer.
        let there = self.get(key, content.len() + 1).await?;
        Ok(there.is_some_and(|there| there == content[..]))
    }

    async fn get(&self, key: &str, most: usize) -> Result<Option<Vec<u8>>> {
        let got = self.bucket.get(key, None, most as u64).await;
        match got {
            Ok(got) => Ok(got.map(|got| got.pieces.concat())),
            // None of ours.
            Err(trouble) if trouble.kind == error::Kind::Foreign => Ok(Some(Vec::new())),
            Err(error) => Err(trouble(error)),
        }
    }

    /// When an object was written.
    async fn written(&self, key: &str) -> Result<Option<SystemTime>> {
        let head = self.bucket.retried(Operation::Head, Request::Head, 0, || async move {
            let request = self.bucket.client().head_object().bucket(&self.bucket.location.bucket);
            let head = request.key(key).send().await;
            head.map_err(|error| error::Trouble::of(Operation::Head, &self.bucket.location, &error))
        });
        match head.await {
            Ok(head) => Ok(head.value.last_modified().and_then(time)),
            Err(trouble) if trouble.kind == error::Kind::Missing => Ok(None),
            Err(error) => Err(trouble(error)),
        }
    }

    async fn all(&self) -> Result<Vec<Found>> {
        let (mut all, mut after) = (Vec::new(), None::<String>);
        loop {
            let token = after.as_deref();
            let page = self.bucket.retried(Operation::List, Request::List, 0, || async move {
                let request = self.bucket.client().list_objects_v2();
                let request = request.bucket(&self.bucket.location.bucket).prefix(&self.root);
                let listed = request.set_continuation_token(token.map(str::to_owned)).send().await;
                listed.map_err(|error| {
                    error::Trouble::of(Operation::List, &self.bucket.location, &error)
                })
            });
            let page = page.await.map_err(trouble)?.value;
            let more = page.next_continuation_token().map(str::to_owned);
            let more = more.filter(|_| page.is_truncated() == Some(true));
            for object in page.contents() {
                let name = object.key().and_then(|key| key.strip_prefix(&self.root));
                let at = object.last_modified().and_then(time);
                all.extend(name.zip(at).and_then(|(name, at)| Found::new(name, at)));
            }
            match more {
                // A server that repeats itself would never end.
                Some(next) if after.as_ref() != Some(&next) => after = Some(next),
                _ => return Ok(all),
            }
        }
    }
}

impl names::Names for Names {
    fn list(&self) -> BoxFuture<'_, Result<Vec<Found>>> {
        let names = self.clone();
        Box::pin(on_thread(async move { names.all().await }))
    }

    fn read<'a>(&'a self, name: &'a str, most: usize) -> BoxFuture<'a, Result<Option<Vec<u8>>>> {
        let (names, key) = (self.clone(), self.key(name));
        Box::pin(on_thread(async move { names.get(&key, most).await }))
    }

    fn create<'a>(
        &'a self,
        name: &'a str,
        content: Vec<u8>,
    ) -> BoxFuture<'a, Result<Option<SystemTime>>> {
        let (names, key) = (self.clone(), self.key(name));
        Box::pin(on_thread(async move {
            match names.put_new(&key, &Bytes::from(content)).await? {
                false => Ok(None),
                true => names.written(&key).await?.map(Some).ok_or_else(|| {
                    Trouble::lasting("an object that was just written is gone again")
                }),
            }
        }))
    }

    fn renew<'a>(
        &'a self,
        name: &'a str,
        content: Vec<u8>,
    ) -> BoxFuture<'a, Result<Option<SystemTime>>> {
        let (names, key) = (self.clone(), self.key(name));
        Box::pin(on_thread(async move {
            if names.written(&key).await?.is_none() {
                return Ok(None);
            }
            names.bucket.put(&key, &Bytes::from(content)).await.map_err(trouble)?;
            names.written(&key).await
        }))
    }

    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>> {
        let (names, key) = (self.clone(), self.key(name));
        Box::pin(on_thread(async move { names.bucket.delete(&key).await.map_err(trouble) }))
    }

    fn clear(&self, run: u64) -> BoxFuture<'_, Result<()>> {
        let (names, prefix) = (self.clone(), self.key(&names::name(run, "")));
        Box::pin(on_thread(async move {
            let keys = names.bucket.list_all(&prefix).await.map_err(trouble)?;
            for key in keys {
                names.bucket.delete(&key).await.map_err(trouble)?;
            }
            Ok(())
        }))
    }

    fn now(&self) -> BoxFuture<'_, Result<SystemTime>> {
        let names = self.clone();
        Box::pin(on_thread(async move {
            let random = getrandom::u64().map_err(Trouble::lasting)?;
            let key = format!("{}now-{random:016x}", names.root);
            names.bucket.put(&key, &Bytes::from_static(b"fmi")).await.map_err(trouble)?;
            let now = names.written(&key).await;
            names.bucket.delete(&key).await.map_err(trouble)?;
            now?.ok_or_else(|| Trouble::lasting("it does not say when objects were written"))
        }))
    }

    fn charge(&self, meter: &Arc<Meter>) {
        self.bucket.counts.account.charge(meter, Purpose::Upkeep);
    }

    /// Looking costs money: as much as a process writes signs of life.
    fn pace(&self) -> Pace {
        let ms = Duration::from_millis;
        Pace { forming: (ms(50), ms(1000)), running: (ms(500), ms(2500)), silence: ms(3000) }
    }
}

/// Runs requests on the thread that the process has for them.
async fn on_thread<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let done = runtime::run(async move { Ok(work.await) }).await;
    done.unwrap_or_else(|error| Err(Trouble::lasting(error.to_string())))
}

fn trouble(trouble: error::Trouble) -> Trouble {
    let passing = trouble.may_pass();
    Trouble { reason: trouble.reason, passing }
}

fn time(at: &DateTime) -> Option<SystemTime> {
    SystemTime::try_from(*at).ok()
}
