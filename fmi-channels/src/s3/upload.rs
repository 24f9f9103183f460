//! Writing a content of any size: one PUT, or parts side by side.

use super::{
    bucket::{Bucket, Done},
    counts::Request,
    error::{Kind, Operation, Trouble},
    stripes::Layout,
};
use aws_sdk_s3::{
    primitives::ByteStream,
    types::{CompletedMultipartUpload, CompletedPart},
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

/// Parts that an upload may have.
const PARTS: u64 = 10_000;

impl Bucket {
    /// Writes an item.
    pub(super) async fn put_item(
        &self,
        key: &str,
        readers: u32,
        content: &Bytes,
    ) -> Result<(), Trouble> {
        let layout = Layout::new(key, readers, content);
        let total = layout.len();
        if total > self.options.largest {
            return Err(Trouble::fatal(format!(
                "it has {total} bytes, S3 takes {} at most: send it in pieces",
                self.options.largest
            )));
        }
        if total <= self.options.part as u64 {
            return self.put(key, &layout.bytes(0..total)).await.map(drop);
        }
        let begun = self.begin(key).await?;
        // Before it can be read: once the readers have it this process may end.
        if begun.doubtful {
            self.give_up_others(key, &begun.value).await;
        }
        let done = self.fill(&layout, key, &begun.value).await;
        if done.is_err() {
            self.give_up(key, &begun.value).await;
        }
        done
    }

    pub(super) async fn begin(&self, key: &str) -> Result<Done<String>, Trouble> {
        let begun = self.retried(Operation::Multipart, Request::Put, 0, || async move {
            let request = self.client().create_multipart_upload();
            let begun = request.bucket(&self.location.bucket).key(key).send().await;
            begun.map_err(|error| Trouble::of(Operation::Multipart, &self.location, &error))
        });
        let Done { value, doubtful } = begun.await?;
        let id = value.upload_id.ok_or_else(|| {
            Trouble::fatal("the server began an upload in parts without a name for it")
        })?;
        Ok(Done { value: id, doubtful })
    }

    async fn fill(&self, layout: &Layout<'_>, key: &str, upload: &str) -> Result<(), Trouble> {
        let total = layout.len();
        let size = (self.options.part as u64).max(total.div_ceil(PARTS));
        let parts = (0..total.div_ceil(size)).map(|index| async move {
            let part = layout.bytes(index * size..total.min((index + 1) * size));
            self.part(key, upload, index as i32 + 1, part).await
        });
        let parts: Vec<_> =
            stream::iter(parts).buffered(self.options.parallel).try_collect().await?;
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let parts = &parts;
        // Large ones take servers a while.
        let complete =
            self.retried(Operation::Multipart, Request::Put, total as usize, || async move {
                let request = self.client().complete_multipart_upload();
                let request = request.bucket(&self.location.bucket).key(key).upload_id(upload);
                let done = request.multipart_upload(parts.clone()).send().await;
                match done
                    .map_err(|error| Trouble::of(Operation::Multipart, &self.location, &error))
                {
                    Ok(_) => Ok(()),
                    // The answer to an earlier attempt got lost, perhaps.
                    Err(trouble) if trouble.kind != Kind::Busy => match self.has(key).await {
                        Ok(true) => Ok(()),
                        _ => Err(trouble),
                    },
                    Err(trouble) => Err(trouble),
                }
            });
        complete.await.map(drop)
    }

    /// Writes a part; `Missing` if there is no such upload.
    pub(super) async fn part(
        &self,
        key: &str,
        upload: &str,
        number: i32,
        part: Bytes,
    ) -> Result<CompletedPart, Trouble> {
        let (bytes, part) = (part.len(), &part);
        self.counts.sent(bytes);
        let put = self.retried(Operation::Multipart, Request::Put, bytes, || async move {
            let request = self.client().upload_part().bucket(&self.location.bucket).key(key);
            let request = request.upload_id(upload).part_number(number);
            let request = request.body(ByteStream::from(part.clone()));
            let put = match self.encrypted() {
                true => request.customize().disable_payload_signing().send().await,
                false => request.send().await,
            };
            put.map_err(|error| Trouble::of(Operation::Multipart, &self.location, &error))
        });
        let tag = put.await?.value.e_tag;
        Ok(CompletedPart::builder().part_number(number).set_e_tag(tag).build())
    }

    /// Parts that belong to no object are billed until they are given up.
    async fn give_up(&self, key: &str, upload: &str) {
        if let Err(trouble) = self.given_up(key, upload).await {
            tracing::warn!(key, reason = %trouble.reason, "parts of an upload stay behind");
        }
    }

    /// Gives an upload up, if there is one.
    pub(super) async fn given_up(&self, key: &str, upload: &str) -> Result<(), Trouble> {
        let given_up = self.retried(Operation::Abort, Request::Delete, 0, || async move {
            let request = self.client().abort_multipart_upload().bucket(&self.location.bucket);
            let given_up = request.key(key).upload_id(upload).send().await;
            given_up.map_err(|error| Trouble::of(Operation::Abort, &self.location, &error))
        });
        match given_up.await {
            Ok(_) => Ok(()),
            Err(trouble) if trouble.kind == Kind::Missing => Ok(()),
            Err(trouble) => Err(trouble),
        }
    }

    /// It was begun more than once, perhaps: the answer to an attempt got lost, and its name with it.
    pub(super) async fn give_up_others(&self, key: &str, own: &str) {
        let listed = self.retried(Operation::List, Request::List, 0, || async move {
            let request = self.client().list_multipart_uploads().bucket(&self.location.bucket);
            let listed = request.prefix(key).send().await;
            listed.map_err(|error| Trouble::of(Operation::List, &self.location, &error))
        });
        match listed.await {
            Ok(listed) => {
                let others = listed.value.uploads.unwrap_or_default().into_iter();
                let others = others.filter(|upload| upload.key() == Some(key));
                for id in others.filter_map(|upload| upload.upload_id).filter(|id| id != own) {
                    self.give_up(key, &id).await;
                }
            }
            // It has no parts, which cost nothing; the bucket's rule takes it.
            Err(trouble) => tracing::debug!(key, reason = %trouble.reason, "an upload stays open"),
        }
    }
}
