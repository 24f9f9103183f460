//! Objects in files. All but lists is `s3s-fs`'s: that walks through the whole bucket, and through each
//! directory that ever was there, for every LIST, and lists no uploads.

use parking_lot::Mutex;
use s3s::{
    S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result,
    dto::{
        AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
        CompleteMultipartUploadOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput,
        DeleteObjectInput, DeleteObjectOutput, GetObjectInput, GetObjectOutput, HeadBucketInput,
        HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListMultipartUploadsInput,
        ListMultipartUploadsOutput, ListObjectsV2Input, ListObjectsV2Output, MultipartUpload,
        Object, PutObjectInput, PutObjectOutput, Timestamp, UploadPartInput, UploadPartOutput,
    },
    s3_error,
};
use s3s_fs::FileSystem;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The most that one answer lists.
const PAGE: i32 = 1000;

#[derive(Debug)]
pub(super) struct Files {
    files: FileSystem,
    root: PathBuf,
    /// Of each upload that was begun, the key.
    begun: Mutex<BTreeMap<String, String>>,
}

impl Files {
    pub(super) fn new(root: &Path) -> Self {
        let files = FileSystem::new(root).unwrap();
        Self { files, root: root.to_owned(), begun: Mutex::default() }
    }
}

/// What `s3s-fs` does as it should.
macro_rules! files {
    ($($operation:ident: $input:ty => $output:ty,)*) => {
        #[async_trait::async_trait]
        impl S3 for Files {
            $(async fn $operation(
                &self,
                request: S3Request<$input>,
            ) -> S3Result<S3Response<$output>> {
                self.files.$operation(request).await.map_err(as_s3_has_it)
            })*

            async fn create_multipart_upload(
                &self,
                request: S3Request<CreateMultipartUploadInput>,
            ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
                let key = request.input.key.clone();
                let begun = self.files.create_multipart_upload(request).await?;
                let id = begun.output.upload_id.clone().unwrap_or_default();
                self.begun.lock().insert(id, key);
                Ok(begun)
            }

            async fn list_multipart_uploads(
                &self,
                request: S3Request<ListMultipartUploadsInput>,
            ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
                Ok(S3Response::new(self.uploads(request.input)))
            }

            async fn list_objects_v2(
                &self,
                request: S3Request<ListObjectsV2Input>,
            ) -> S3Result<S3Response<ListObjectsV2Output>> {
                self.list(request.input).map(S3Response::new)
            }
        }
    };
}

files! {
    abort_multipart_upload: AbortMultipartUploadInput => AbortMultipartUploadOutput,
    complete_multipart_upload: CompleteMultipartUploadInput => CompleteMultipartUploadOutput,
    delete_object: DeleteObjectInput => DeleteObjectOutput,
    get_object: GetObjectInput => GetObjectOutput,
    head_bucket: HeadBucketInput => HeadBucketOutput,
    head_object: HeadObjectInput => HeadObjectOutput,
    put_object: PutObjectInput => PutObjectOutput,
    upload_part: UploadPartInput => UploadPartOutput,
}

/// Of an upload that is complete or given up, `s3s-fs` says that it belongs to somebody else.
fn as_s3_has_it(error: S3Error) -> S3Error {
    match error.code() {
        S3ErrorCode::AccessDenied => s3_error!(NoSuchUpload),
        _ => error,
    }
}

impl Files {
    /// Those that are neither complete nor given up.
    fn uploads(&self, input: ListMultipartUploadsInput) -> ListMultipartUploadsOutput {
        let prefix = input.prefix.clone().unwrap_or_default();
        let mut begun = self.begun.lock();
        begun.retain(|id, _| self.root.join(format!(".upload-{id}.json")).exists());
        let uploads = begun.iter().filter(|(_, key)| key.starts_with(&prefix));
        let uploads = uploads.map(|(id, key)| MultipartUpload {
            key: Some(key.clone()),
            upload_id: Some(id.clone()),
            ..MultipartUpload::default()
        });
        ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            uploads: Some(uploads.collect()),
            prefix: input.prefix,
            is_truncated: Some(false),
            ..ListMultipartUploadsOutput::default()
        }
    }

    fn list(&self, input: ListObjectsV2Input) -> S3Result<ListObjectsV2Output> {
        let bucket = self.root.join(&input.bucket);
        if !bucket.is_dir() {
            return Err(s3_error!(NoSuchBucket));
        }
        if input.delimiter.is_some() {
            return Err(s3_error!(NotImplemented));
        }
        let prefix = input.prefix.clone().unwrap_or_default();
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut found = Vec::new();
        super::walk(&bucket.join(folder), &mut found);
        let after = input.continuation_token.clone().max(input.start_after.clone());
        let key = |path: &Path| Some(path.strip_prefix(&bucket).ok()?.to_str()?.to_owned());
        let mut keys: Vec<_> = found.iter().filter_map(|path| key(path)).collect();
        keys.retain(|key| key.starts_with(&prefix) && after.as_ref().is_none_or(|it| key > it));
        keys.sort_unstable();
        let most = input.max_keys.unwrap_or(PAGE).clamp(0, PAGE) as usize;
        let more = keys.len() > most;
        keys.truncate(most);
        // An object may go while it is looked at.
        let contents: Vec<_> =
            keys.iter().filter_map(|key| object(&bucket.join(key), key).ok()).collect();
        Ok(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: input.prefix,
            max_keys: Some(PAGE),
            key_count: i32::try_from(contents.len()).ok(),
            contents: Some(contents),
            is_truncated: Some(more),
            next_continuation_token: keys.pop().filter(|_| more),
            continuation_token: input.continuation_token,
            start_after: input.start_after,
            ..ListObjectsV2Output::default()
        })
    }
}

fn object(path: &Path, key: &str) -> std::io::Result<Object> {
    let metadata = path.metadata()?;
    Ok(Object {
        key: Some(key.to_owned()),
        last_modified: Some(Timestamp::from(metadata.modified()?)),
        size: i64::try_from(metadata.len()).ok(),
        ..Object::default()
    })
}
