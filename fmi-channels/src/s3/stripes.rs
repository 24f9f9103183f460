//! An item as an object: a header, then its content in stripes, each with a checksum behind it, so
//! that whoever reads a range can check what it reads.

use super::object::{self, HEADER, Kind, NotOurs};
use bytes::Bytes;
use std::ops::Range;

/// Bytes of the content in a stripe; the last one may have fewer.
pub(super) const STRIPE: u64 = 64 << 10;
/// Bytes of a stripe with its checksum.
pub(super) const SEALED: u64 = STRIPE + SUM as u64;
const SUM: usize = 4;

/// An object that need not be in memory as a whole.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    key: &'a str,
    header: object::Header,
    content: &'a Bytes,
}

impl<'a> Layout<'a> {
    pub(super) fn new(key: &'a str, readers: u32, content: &'a Bytes) -> Self {
        let header = object::header(Kind::Item, key, readers, content.len() as u64, &[]);
        Self { key, header, content }
    }

    /// Bytes of the object.
    pub(super) fn len(&self) -> u64 {
        let content = self.content.len() as u64;
        HEADER as u64 + content + content.div_ceil(STRIPE) * SUM as u64
    }

    /// Some bytes of it.
    pub(super) fn bytes(&self, range: Range<u64>) -> Bytes {
        let mut bytes = Vec::with_capacity((range.end - range.start) as usize);
        // Adds what a part that lies at `at` has of the range.
        let mut add = |at: u64, part: &[u8]| {
            let end = at + part.len() as u64;
            let (from, to) = (range.start.clamp(at, end), range.end.clamp(at, end));
            bytes.extend_from_slice(&part[(from - at) as usize..(to - at) as usize]);
        };
        add(0, &self.header);
        let head = HEADER as u64;
        let first = range.start.saturating_sub(head) / SEALED;
        let last = range.end.saturating_sub(head).div_ceil(SEALED);
        for stripe in first..last {
            let from = (stripe * STRIPE) as usize;
            let to = self.content.len().min(from + STRIPE as usize);
            let Some(part) = self.content.get(from..to).filter(|part| !part.is_empty()) else {
                break;
            };
            let (at, sum) = (head + stripe * SEALED, sum(self.key, stripe, [part].into_iter()));
            add(at, part);
            add(at + part.len() as u64, &sum.to_le_bytes());
        }
        bytes.into()
    }
}

/// Which bytes of the object have these stripes; the header goes with the first.
pub(super) fn range(stripes: &Range<u64>) -> Range<u64> {
    let place = |stripe: u64| HEADER as u64 + stripe * SEALED;
    let from = if stripes.start == 0 { 0 } else { place(stripes.start) };
    from..place(stripes.end)
}

/// Bytes of the content of an object of so many.
pub(super) fn length(total: u64) -> Result<u64, NotOurs> {
    let cut = NotOurs::Length { expected: HEADER as u64, found: total };
    let body = total.checked_sub(HEADER as u64).ok_or_else(|| cut.clone())?;
    let (whole, rest) = (body / SEALED * STRIPE, body % SEALED);
    match rest.checked_sub(SUM as u64) {
        Some(rest @ 1..) => Ok(whole + rest),
        None if rest == 0 => Ok(whole),
        _ => Err(cut),
    }
}

/// What a range of stripes contained.
#[derive(Debug)]
pub(super) struct Opened {
    /// For how many readers it was put there; only the first stripe says so.
    pub(super) readers: Option<u32>,
    /// The content, in pieces.
    pub(super) content: Vec<Bytes>,
}

/// Checks stripes of an object of `total` bytes, as many of them as there are.
pub(super) fn open(
    key: &str,
    stripes: Range<u64>,
    total: u64,
    mut pieces: Vec<Bytes>,
) -> Result<Opened, NotOurs> {
    let mut readers = None;
    if stripes.start == 0 {
        let head = object::take_header(&mut pieces);
        // What is none of ours says so first.
        let length = length(total).unwrap_or(u64::MAX);
        let nothing = std::iter::empty();
        readers = Some(object::check(Kind::Item, key, &head, length, nothing)?.0);
    }
    let length = length(total)?;
    let last = stripes.end.min(length.div_ceil(STRIPE));
    let mut walk = Walk { pieces: pieces.into_iter(), left: Bytes::new() };
    let mut content = Vec::new();
    for stripe in stripes.start..last {
        let bytes = STRIPE.min(length - stripe * STRIPE) as usize;
        let first = content.len();
        walk.take(bytes, |part| content.push(part))?;
        let mut found = Vec::with_capacity(SUM);
        walk.take(SUM, |part| found.extend_from_slice(&part))?;
        let parts = content[first..].iter().map(|part| &part[..]);
        if found != sum(key, stripe, parts).to_le_bytes() {
            return Err(NotOurs::Sum);
        }
    }
    Ok(Opened { readers, content })
}

struct Walk {
    pieces: std::vec::IntoIter<Bytes>,
    left: Bytes,
}

impl Walk {
    fn take(&mut self, mut bytes: usize, mut part: impl FnMut(Bytes)) -> Result<(), NotOurs> {
        let expected = bytes as u64;
        while bytes > 0 {
            if self.left.is_empty() {
                let cut = NotOurs::Length { expected, found: expected - bytes as u64 };
                self.left = self.pieces.next().ok_or(cut)?;
            }
            let taken = self.left.split_to(bytes.min(self.left.len()));
            bytes -= taken.len();
            if !taken.is_empty() {
                part(taken);
            }
        }
        Ok(())
    }
}

fn sum<'a>(key: &str, stripe: u64, parts: impl Iterator<Item = &'a [u8]>) -> u32 {
    let sum = crc32c::crc32c_append(crc32c::crc32c(key.as_bytes()), &stripe.to_le_bytes());
    parts.fold(sum, crc32c::crc32c_append)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(length: usize) -> Bytes {
        (0..length).map(|at| (at * 7 + at / 251) as u8).collect::<Vec<_>>().into()
    }

    #[test]
    fn stripes_come_back_in_any_pieces() {
        let stripe = STRIPE as usize;
        for bytes in [0, 1, stripe - 1, stripe, stripe + 1, 3 * stripe, 3 * stripe + 77] {
            let content = content(bytes);
            let layout = Layout::new("key", 5, &content);
            let total = layout.len();
            assert_eq!(length(total).unwrap(), bytes as u64);
            let whole = layout.bytes(0..total);
            assert_eq!(whole.len() as u64, total);
            for (from, to) in [(0, 4), (0, 1), (1, 3), (2, 4), (3, 4)] {
                let asked = range(&(from..to));
                let end = asked.end.min(total);
                if asked.start >= end {
                    continue;
                }
                assert_eq!(
                    layout.bytes(asked.start..end),
                    whole.slice(asked.start as usize..end as usize)
                );
                let part = whole.slice(asked.start as usize..end as usize);
                for cut in [0, 1, part.len() / 2, part.len() - 1] {
                    let pieces = vec![part.slice(..cut), part.slice(cut..)];
                    let opened = open("key", from..to, total, pieces).unwrap();
                    assert_eq!(opened.readers, (from == 0).then_some(5));
                    let first = (from as usize * stripe).min(bytes);
                    let last = (to as usize * stripe).min(bytes);
                    assert_eq!(opened.content.concat(), &content[first..last]);
                }
            }
        }
    }

    #[test]
    fn parts_of_any_size_make_up_the_object() {
        let content = content(200_000);
        let layout = Layout::new("key", 1, &content);
        let (total, whole) = (layout.len(), layout.bytes(0..layout.len()));
        for part in [1_000, 65_540, 70_000] {
            let parts: Vec<_> = (0..total.div_ceil(part))
                .map(|at| layout.bytes(at * part..total.min((at + 1) * part)))
                .collect();
            assert_eq!(parts.concat(), whole);
        }
    }

    #[test]
    fn what_is_altered_cut_or_foreign_is_noticed() {
        let content = content(70_000);
        let layout = Layout::new("key", 1, &content);
        let (total, whole) = (layout.len(), layout.bytes(0..layout.len()));
        for at in [3, 12, 30, 65_000, 65_561, 65_570, 70_030] {
            let mut altered = whole.to_vec();
            altered[at] ^= 1;
            assert!(open("key", 0..2, total, vec![altered.into()]).is_err(), "byte {at}");
        }
        let second = range(&(1..2)).start as usize;
        let part = whole.slice(second..);
        assert!(open("key", 1..2, total, vec![part.clone()]).is_ok());
        let swapped = open("other", 1..2, total, vec![part.clone()]);
        assert_eq!(swapped.unwrap_err(), NotOurs::Sum);
        let cut = open("key", 1..2, total, vec![part.slice(..part.len() - 1)]);
        assert!(matches!(cut.unwrap_err(), NotOurs::Length { .. }));
        let foreign = Bytes::from_static(b"<html>");
        assert_eq!(open("key", 0..1, 6, vec![foreign]).unwrap_err(), NotOurs::Magic);
        assert!(length(HEADER as u64 + 3).is_err() && length(5).is_err());
    }
}
