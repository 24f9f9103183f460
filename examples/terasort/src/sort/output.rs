//! All ranks write one output.
//!
//! Into a file each writes where its records belong. An object is made of parts, which are long, and no part
//! can be written by two: the rank with the first record of a part writes it, and those behind it send it the
//! records that they have of it, their *heads*. The output has its name when all have agreed that all is
//! written, and if they do not, nothing is left.

use super::store::Sorted;
use crate::{
    Failure,
    files::{self, Writer},
    place::{Created, Parts, Place},
    record::RECORD,
};
use app_report::{ProgressBar, agree};
use fmi::Context;
use std::ops::Range;

/// Writes the sorted records of all ranks, these of this one. None: another rank says why not.
pub(super) async fn write(
    ctx: &Context,
    place: &Place,
    parts: Parts,
    own: Range<u64>,
    sorted: Sorted,
    bar: &ProgressBar,
) -> Result<Option<()>, Failure> {
    match place {
        Place::File(path) => {
            let made = match ctx.rank() {
                0 => Created::new(place, parts).await.map(Some),
                _ => Ok(None),
            };
            let Some(made) = agree(ctx, made).await? else { return Ok(None) };
            let opened = match made {
                Some(Created::File(file)) => Ok(file),
                _ => files::Created::join(path),
            };
            let Some(file) = agree(ctx, opened).await? else { return Ok(None) };
            let written = into_file(&file, own, sorted, bar);
            let Some(()) = agree(ctx, written).await? else { return Ok(None) };
            agree(ctx, file.keep()).await
        }
        #[cfg(feature = "s3")]
        Place::Object(url) => object::write(ctx, url, parts, own, sorted, bar).await,
    }
}

fn into_file(
    file: &files::Created,
    own: Range<u64>,
    sorted: Sorted,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let mut writer = Writer::new(own.start * RECORD as u64, |bytes: &[u8], at| {
        bar.inc(bytes.len() as u64);
        file.write_at(bytes, at)
    });
    sorted.write(|record| writer.write(record))?;
    writer.end().map(drop)
}

#[cfg(feature = "s3")]
mod object {
    //! Into an object.

    use super::{Context, Failure, Parts, ProgressBar, Range, Sorted, agree};
    use crate::{objects::Created, place::wait, record::RECORD};
    use fmi::s3::Part;
    use serde::{Deserialize, Serialize};

    /// What a rank has written.
    #[derive(Debug, Clone, Serialize, Deserialize, fmi::Message)]
    struct Written(Vec<Part>);

    /// The tag of heads.
    const HEAD: u32 = 1;

    pub(super) async fn write(
        ctx: &Context,
        url: &str,
        parts: Parts,
        own: Range<u64>,
        sorted: Sorted,
        bar: &ProgressBar,
    ) -> Result<Option<()>, Failure> {
        let Some(object) = create(ctx, url).await? else { return Ok(None) };
        let all: Vec<Range<u64>> = {
            let ends = ctx.allgather(own.end).await?;
            (0..ends.len())
                .map(|rank| if rank == 0 { 0 } else { ends[rank - 1] }..ends[rank])
                .collect()
        };
        let duties = Duties::of(parts, &all, ctx.rank());
        // All have stopped writing before anybody gives up.
        let written = whole_parts(&object, parts, own.start, sorted, bar);
        let Some((head, mut last)) = agree(ctx, written).await? else { return Ok(None) };

        if let Some(owner) = duties.owner {
            ctx.send(head, owner, HEAD).await?;
        }
        for rank in duties.heads {
            last.extend(ctx.recv::<Vec<u8>>(rank, HEAD).await?);
        }
        let written = match duties.last {
            Some(number) => object.write_part(number, last).await,
            None => Ok(()),
        };
        let Some(()) = agree(ctx, written).await? else { return Ok(None) };

        let kept = match ctx.gather(Written(object.written()), 0).await? {
            Some(all) => {
                let others = all.into_iter().skip(1).flat_map(|Written(parts)| parts);
                object.keep(others.collect()).await.map(|()| None)
            }
            None => Ok(Some(object)),
        };
        let Some(others) = agree(ctx, kept).await? else { return Ok(None) };
        if let Some(object) = others {
            object.leave();
        }
        Ok(Some(()))
    }

    /// Rank 0 begins, the others learn what.
    async fn create(ctx: &Context, url: &str) -> Result<Option<Created>, Failure> {
        let begun = match ctx.rank() {
            0 => Created::new(url).await.map(Some),
            _ => Ok(None),
        };
        let Some(begun) = agree(ctx, begun).await? else { return Ok(None) };
        let id: String = ctx.bcast(begun.as_ref().map(|own| own.id().to_owned()), 0).await?;
        let joined = match begun {
            Some(own) => Ok(own),
            None => Created::join(url, &id).await,
        };
        agree(ctx, joined).await
    }

    /// Writes the parts that lie within a rank's records; returns what is before and after them.
    fn whole_parts(
        object: &Created,
        parts: Parts,
        start: u64,
        sorted: Sorted,
        bar: &ProgressBar,
    ) -> Result<(Vec<u8>, Vec<u8>), Failure> {
        let mut number = start.div_ceil(parts.each);
        let mut missing = (number * parts.each - start) as usize * RECORD;
        let whole = parts.each as usize * RECORD;
        let (mut head, mut part) = (Vec::with_capacity(missing), Vec::new());
        sorted.write(|record| {
            bar.inc(RECORD as u64);
            if missing > 0 {
                missing -= RECORD;
                head.extend_from_slice(record);
                return Ok(());
            }
            if part.capacity() == 0 {
                part.reserve_exact(whole);
            }
            part.extend_from_slice(record);
            if part.len() == whole {
                wait(object.write_part(number, std::mem::take(&mut part)))?;
                number += 1;
            }
            Ok(())
        })?;
        Ok((head, part))
    }

    /// What a rank has to do with parts that belong to several.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Duties {
        /// Who writes the part of its first records, if that is another.
        owner: Option<usize>,
        /// The part that begins in its records and does not end there.
        last: Option<u64>,
        /// Those who have more of that, in their order.
        heads: Vec<usize>,
    }

    impl Duties {
        /// Of this rank, where these are the records of all.
        fn of(parts: Parts, all: &[Range<u64>], rank: usize) -> Self {
            let begins = |number: u64| {
                let first = number * parts.each;
                all.iter().position(|range| range.contains(&first))
            };
            // Where there are no records there is a part of nothing.
            if parts.records == 0 {
                return Self { last: (rank == 0).then_some(0), ..Self::default() };
            }
            // The part in whose middle a rank's records begin.
            let torn = |range: &Range<u64>| {
                let is_torn = !range.is_empty() && !range.start.is_multiple_of(parts.each);
                is_torn.then_some(range.start / parts.each)
            };
            let own = &all[rank];
            let ends = own.end / parts.each;
            let last = (!own.is_empty() && !own.end.is_multiple_of(parts.each)).then_some(ends);
            let last = last.filter(|number| begins(*number) == Some(rank));
            let behind = (rank + 1..all.len()).filter(|other| torn(&all[*other]) == last);
            Self {
                owner: torn(own).and_then(begins),
                last,
                heads: if last.is_some() { behind.collect() } else { Vec::new() },
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use proptest::{collection::vec, prelude::proptest};

        proptest! {
            #[test]
            fn every_part_is_written_once_and_whole(lengths in vec(0..30_u64, 1..9), each in 1..12_u64) {
                let mut end = 0;
                let all: Vec<Range<u64>> = lengths
                    .iter()
                    .map(|length| {
                        end += length;
                        end - length..end
                    })
                    .collect();
                let parts = Parts { records: end, each };
                let mut written: Vec<Vec<u64>> = vec![Vec::new(); parts.count() as usize];
                let head = |range: &Range<u64>| {
                    range.start..range.end.min(range.start.next_multiple_of(each))
                };
                for (rank, own) in all.iter().enumerate() {
                    let duties = Duties::of(parts, &all, rank);
                    let head_goes = duties.owner.map(|owner| Duties::of(parts, &all, owner).heads);
                    assert_eq!(
                        head_goes.is_some_and(|heads| heads.contains(&rank)),
                        !head(own).is_empty(),
                    );
                    let mut rest = head(own).end..own.end;
                    while rest.end - rest.start >= each {
                        let number = rest.start / each;
                        assert!(written[number as usize].is_empty());
                        written[number as usize].extend(rest.start..rest.start + each);
                        rest.start += each;
                    }
                    assert_eq!(duties.last.is_some(), !rest.is_empty() || end == 0 && rank == 0);
                    if let Some(number) = duties.last {
                        assert!(written[number as usize].is_empty());
                        let heads = duties.heads.iter().flat_map(|other| head(&all[*other]));
                        written[number as usize].extend(rest.chain(heads));
                    }
                }
                for (number, part) in written.iter().enumerate() {
                    assert!(part.iter().copied().eq(parts.range(number as u64)), "{number}: {part:?}");
                }
            }
        }
    }
}
