//! Reading an object of any size: the first range tells how large it is, the others are read side
//! by side.

use super::{
    bucket::Bucket,
    error::Trouble,
    object::{self, Content, Kind},
    stripes::{self, Opened, SEALED, STRIPE},
};
use bytes::Bytes;
use fmi_actors::AlignedBuf;
use futures::{StreamExt, TryStreamExt, stream};
use std::{ops::Range, pin::pin};

/// An item that was there.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) content: AlignedBuf,
    /// For how many readers it was put there, if that was read.
    pub(super) readers: Option<u32>,
}

/// A reader may be lucky the next time, but not for ever.
const ATTEMPTS: usize = 4;

impl Bucket {
    /// Reads and checks an object; `None` if there is none.
    pub(super) async fn read(
        &self,
        kind: Kind,
        key: &str,
        most: u64,
    ) -> Result<Option<Content>, Trouble> {
        let mut attempts = 0;
        loop {
            let Some(pieces) = self.pieces(key, most).await? else { return Ok(None) };
            attempts += 1;
            match object::open(kind, key, pieces) {
                Ok(content) => return Ok(Some(content)),
                Err(wrong) if wrong.may_pass() && attempts < ATTEMPTS => {
                    tracing::debug!(key, %wrong, "read again");
                    self.counts.failed();
                }
                Err(wrong) => return Err(Trouble::foreign(wrong.to_string())),
            }
        }
    }

    async fn pieces(&self, key: &str, most: u64) -> Result<Option<Vec<Bytes>>, Trouble> {
        Ok(self.get(key, None, most).await?.map(|got| got.pieces))
    }

    /// Reads and checks the content of an item, or a range of it; `None` if it is not there (yet).
    pub(super) async fn item(
        &self,
        key: &str,
        range: Option<Range<u64>>,
        align: usize,
    ) -> Result<Option<Found>, Trouble> {
        let abreast = (self.options.part as u64 / SEALED).max(1);
        // Of an empty range only the header is read: it is there.
        let range = range.map(|range| if range.is_empty() { 0..0 } else { range });
        let start = range.as_ref().map_or(0, |range| range.start);
        let first = start / STRIPE;
        let until = range.as_ref().map_or(u64::MAX, |range| range.end).div_ceil(STRIPE);
        let head = first..until.min(first + abreast);
        let Some((opened, total)) = self.stripes(key, head.clone()).await? else { return Ok(None) };
        let length = stripes::length(total).map_err(|wrong| Trouble::foreign(wrong.to_string()))?;
        let end = range.map_or(length, |range| range.end);
        if end > length {
            let reason = format!("it has {length} bytes where {end} belong");
            return Err(Trouble::foreign(reason));
        }
        if total > self.options.largest {
            let most = self.options.largest;
            return Err(Trouble::foreign(format!("it has {total} bytes, {most} at most are ours")));
        }
        let bytes =
            usize::try_from(end - start).map_err(|error| Trouble::fatal(error.to_string()))?;
        let buf = AlignedBuf::with_capacity(bytes, align);
        let mut buf = buf.map_err(|error| Trouble::fatal(error.to_string()))?;
        let readers = opened.readers;
        let mut skip = start - first * STRIPE;
        let mut add = |content: &[Bytes]| {
            for piece in content {
                let from = skip.min(piece.len() as u64);
                skip -= from;
                let room = buf.spare().len();
                let piece = &piece[from as usize..];
                buf.extend(&piece[..piece.len().min(room)]);
            }
        };
        add(&opened.content);
        let last = end.div_ceil(STRIPE);
        let rest = (head.end..last)
            .step_by(abreast as usize)
            .map(|first| async move { self.stripes(key, first..last.min(first + abreast)).await });
        let mut rest = pin!(stream::iter(rest).buffered(self.options.parallel));
        while let Some(part) = rest.try_next().await? {
            // Deleted in between: whoever wrote it has given it up.
            let Some((opened, _)) = part else { return Ok(None) };
            add(&opened.content);
        }
        match buf.is_full() {
            true => Ok(Some(Found { content: buf, readers })),
            false => Err(Trouble::foreign("it was replaced while it was read")),
        }
    }

    /// Stripes of an item, and the bytes of its object.
    async fn stripes(
        &self,
        key: &str,
        stripes: Range<u64>,
    ) -> Result<Option<(Opened, u64)>, Trouble> {
        let range = stripes::range(&stripes);
        let mut attempts = 0;
        loop {
            let got =
                self.get(key, Some((range.start, range.end)), range.end - range.start).await?;
            let Some(got) = got else { return Ok(None) };
            attempts += 1;
            match stripes::open(key, stripes.clone(), got.total, got.pieces) {
                Ok(opened) => return Ok(Some((opened, got.total))),
                Err(wrong) if wrong.may_pass() && attempts < ATTEMPTS => {
                    tracing::debug!(key, %wrong, "read again");
                    self.counts.failed();
                }
                Err(wrong) => return Err(Trouble::foreign(wrong.to_string())),
            }
        }
    }
}
