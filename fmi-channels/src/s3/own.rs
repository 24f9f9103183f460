//! Objects of the user's own, besides those of the job: read in ranges, written in parts, by several
//! processes at once.

use super::{
    bucket::Bucket,
    counts::Request,
    error::{Kind, Operation, Trouble},
    options::Options,
    runtime,
    url::Location,
};
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use fmi_actors::{Error, Result};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    future::Future,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// An object in a bucket, there or not. Cheap to clone.
///
/// Requests are made as those of the channel `s3`: with the credentials that the SDK finds, again where that
/// may help, on a thread of their own, for whoever waits. They are not on the job's bill.
#[derive(Clone)]
pub struct Object {
    bucket: Arc<Bucket>,
    key: Arc<str>,
}

/// An object that is written in parts. Nobody sees any of it before it is [complete](Self::complete); one
/// that never is stays in the bucket, and is billed, until it is [given up](Self::give_up).
#[derive(Debug, Clone)]
pub struct Upload {
    object: Object,
    id: Arc<str>,
}

/// A part that has been written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    number: u32,
    bytes: u64,
    tag: Option<String>,
}

impl Object {
    /// That a URL names, `s3://BUCKET/KEY?region=…&endpoint=…`. Nothing is asked of S3.
    ///
    /// # Errors
    /// [`Error::Config`] if the URL is wrong, [`Error::Store`] if there are no credentials.
    pub async fn at(url: &str) -> Result<Self> {
        let mut location = Location::parse(url)?;
        if location.prefix.is_empty() {
            return Err(Error::Config {
                origin: "the URL of S3".to_owned(),
                message: "it names a bucket and no object: s3://BUCKET/KEY".to_owned(),
            });
        }
        let key: Arc<str> = std::mem::take(&mut location.prefix).into();
        // What is said of permissions is said of the folder.
        location.prefix = key.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        runtime::run(async move {
            let opened = Bucket::open(location.clone(), Options::default()).await;
            let bucket = opened.map_err(|trouble| trouble.error(&location, "the bucket"))?;
            Ok(Self { bucket: Arc::new(bucket), key })
        })
        .await
    }

    /// Its length; `None` if there is no such object.
    ///
    /// # Errors
    /// [`Error::Store`], with what to do.
    pub async fn length(&self) -> Result<Option<u64>> {
        self.ask("look for", |object| async move { object.bucket.length(&object.key).await }).await
    }

    /// These of its bytes, in pieces as they came.
    ///
    /// # Errors
    /// [`Error::Store`], with what to do; also if it is shorter.
    pub async fn read(&self, range: Range<u64>) -> Result<Vec<Bytes>> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        self.ask("read", |object| async move {
            let length = range.end - range.start;
            let got =
                object.bucket.get(&object.key, Some((range.start, range.end)), length).await?;
            let pieces = got.ok_or_else(|| Trouble::fatal("there is no such object"))?.pieces;
            match pieces.iter().map(|piece| piece.len() as u64).sum::<u64>() == length {
                true => Ok(pieces),
                false => Err(Trouble::foreign("it is shorter than it should be")),
            }
        })
        .await
    }

    /// Begins to write it; what has this name stays until that is complete.
    ///
    /// # Errors
    /// [`Error::Store`], with what to do.
    pub async fn begin(&self) -> Result<Upload> {
        let id = self.ask("write", |object| async move {
            let begun = object.bucket.begin(&object.key).await?;
            if begun.doubtful {
                object.bucket.give_up_others(&object.key, &begun.value).await;
            }
            Ok(begun.value)
        });
        Ok(self.upload(&id.await?))
    }

    /// What another process has begun, by its [id](Upload::id).
    #[must_use]
    pub fn upload(&self, id: &str) -> Upload {
        Upload { object: self.clone(), id: id.into() }
    }

    async fn ask<T, F>(&self, what: &str, how: impl FnOnce(Self) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Trouble>> + Send + 'static,
    {
        let what = format!("to {what} {}", self.key);
        let (asked, bucket) = (how(self.clone()), Arc::clone(&self.bucket));
        runtime::run(
            async move { asked.await.map_err(|trouble| trouble.error(&bucket.location, what)) },
        )
        .await
    }
}

impl Upload {
    /// Bytes that each part must have at least, but for the last.
    pub const LEAST: u64 = 5 << 20;
    /// Parts that there may be at most.
    pub const MOST: u64 = 10_000;

    /// What other processes know it by.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Writes a part, again if it has been written before. They are counted from 1.
    ///
    /// # Errors
    /// [`Error::Store`], with what to do; also if it was given up.
    pub async fn part(&self, number: u32, content: Bytes) -> Result<Part> {
        let id = Arc::clone(&self.id);
        let written = self.object.ask("write", move |object| async move {
            let bytes = content.len() as u64;
            let (bucket, key) = (&object.bucket, &object.key);
            let part = bucket.part(key, &id, number as i32, content).await.map_err(over)?;
            Ok(Part { number, bytes, tag: part.e_tag })
        });
        written.await
    }

    /// Makes the object of all its parts, whoever wrote them; from 1 on, without a gap.
    ///
    /// # Errors
    /// [`Error::Store`], with what to do; also if it was given up.
    pub async fn complete(&self, mut parts: Vec<Part>) -> Result<()> {
        parts.sort_by_key(|part| part.number);
        let id = Arc::clone(&self.id);
        let done = self.object.ask("write", move |object| async move {
            let (bucket, key) = (&object.bucket, &object.key);
            let bytes: u64 = parts.iter().map(|part| part.bytes).sum();
            let part = |part: Part| {
                let number = CompletedPart::builder().part_number(part.number as i32);
                number.set_e_tag(part.tag).build()
            };
            let parts = parts.into_iter().map(part).collect();
            let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
            let (parts, id) = (&parts, &id);
            // Attempts that may have done it.
            let attempts = &AtomicUsize::new(0);
            let once = || async move {
                let before = attempts.fetch_add(1, Ordering::Relaxed);
                let request = bucket.client().complete_multipart_upload();
                let request = request.bucket(&bucket.location.bucket).key(&**key).upload_id(&**id);
                let done = request.multipart_upload(parts.clone()).send().await;
                let done = done
                    .map_err(|error| Trouble::of(Operation::Multipart, &bucket.location, &error));
                match done {
                    Ok(_) => Ok(()),
                    // It was done, and the answer got lost.
                    Err(trouble) if trouble.kind == Kind::Missing && before > 0 => Ok(()),
                    Err(trouble) => {
                        if trouble.kind == Kind::Busy {
                            attempts.fetch_sub(1, Ordering::Relaxed);
                        }
                        Err(trouble)
                    }
                }
            };
            let done =
                bucket.retried(Operation::Multipart, Request::Put, bytes as usize, once).await;
            done.map(drop).map_err(over)
        });
        done.await
    }

    /// Removes all parts. Whoever still writes one has to do it again afterwards: a part that was under way
    /// may stay.
    ///
    /// # Errors
    /// [`Error::Store`], with what to do. It is none if there is nothing to give up.
    pub async fn give_up(&self) -> Result<()> {
        let id = Arc::clone(&self.id);
        let given_up = self.object.ask("give up parts of", move |object| async move {
            object.bucket.given_up(&object.key, &id).await
        });
        given_up.await
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Object").field(&self.bucket.location.bucket).field(&self.key).finish()
    }
}

/// Of an upload that is not there any more.
fn over(trouble: Trouble) -> Trouble {
    match trouble.kind {
        Kind::Missing => Trouble::fatal("what was written of it has been given up"),
        _ => trouble,
    }
}
