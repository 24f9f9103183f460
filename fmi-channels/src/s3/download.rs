//! Reading an object of any size: the first range tells how large it is, the others are read side
//! by side.

use super::{
    bucket::Bucket,
    error::Trouble,
    object::{self, Content, Kind},
};
use futures::{StreamExt, TryStreamExt, stream};

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

    async fn pieces(&self, key: &str, most: u64) -> Result<Option<Vec<bytes::Bytes>>, Trouble> {
        let part = self.options.part as u64;
        let Some(first) = self.get(key, Some((0, part)), most).await? else { return Ok(None) };
        if first.total > most {
            return Err(Trouble::foreign(format!(
                "it has {} bytes, more than {most}: it is none of fmi's objects",
                first.total
            )));
        }
        let mut pieces = first.pieces;
        let total = first.total;
        let ranges = (1..total.div_ceil(part)).map(|index| {
            let range = (index * part, ((index + 1) * part).min(total));
            async move { self.get(key, Some(range), part).await }
        });
        let mut rest = stream::iter(ranges).buffered(self.options.parallel);
        while let Some(range) = rest.try_next().await? {
            // Deleted in between: whoever wrote it has given it up.
            let Some(range) = range else { return Ok(None) };
            pieces.extend(range.pieces);
        }
        Ok(Some(pieces))
    }
}
