//! What an object contains: a header that says whose it is and sums up everything, then its body.
//!
//! | bytes | field |
//! |---|---|
//! | 0..4 | `fmi` and a kind: `m`ail, an `i`tem |
//! | 4..8 | version |
//! | 8..12 | CRC-32C of the key, of the header without this field, and of the body of mail |
//! | 12..16 | readers of an item; what stands before the frames of mail |
//! | 16..24 | bytes of the body |
//!
//! All numbers are little-endian. An object that was copied to another key, cut or altered does not
//! pass as one of ours.

use bytes::Bytes;

/// Bytes of the header.
pub(super) const HEADER: usize = 24;
const VERSION: u32 = 1;
const MAGIC: [u8; 3] = *b"fmi";

/// What an object is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Mail = b'm' as isize,
    Item = b'i' as isize,
}

/// Why something is no object of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotOurs {
    #[error("it is none of fmi's objects")]
    Magic,
    #[error("it is of version {0}, this program speaks {VERSION}: use one version everywhere")]
    Version(u32),
    #[error("its content has {found} bytes where {expected} belong: it is cut")]
    Length { expected: u64, found: u64 },
    #[error("its checksum is wrong: it was altered, or belongs to another key")]
    Sum,
    #[error("what it contains makes no sense")]
    Content,
}

impl NotOurs {
    /// Whether reading it again may help.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Length { .. } | Self::Sum)
    }
}

/// The header of an object whose body has a checksum of its own, or none.
pub(super) fn header(kind: Kind, key: &str, count: u32, length: u64, body: &[&[u8]]) -> Header {
    let mut header = [0; HEADER];
    header[..3].copy_from_slice(&MAGIC);
    header[3] = kind as u8;
    header[4..8].copy_from_slice(&VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&count.to_le_bytes());
    header[16..].copy_from_slice(&length.to_le_bytes());
    let sum = sum(key, &header, body.iter().copied());
    header[8..12].copy_from_slice(&sum.to_le_bytes());
    header
}

/// A header as it lies there.
pub(super) type Header = [u8; HEADER];

/// The whole of a small object.
pub(super) fn whole(kind: Kind, key: &str, count: u32, body: &[&[u8]]) -> Bytes {
    let length: usize = body.iter().map(|part| part.len()).sum();
    let mut bytes = header(kind, key, count, length as u64, body).to_vec();
    body.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes.into()
}

/// What an object contained, in the pieces that it came in.
#[derive(Debug)]
pub(super) struct Content {
    /// See the table above.
    pub(super) count: u32,
    /// The body.
    pub(super) body: Vec<Bytes>,
}

impl Content {
    /// The body in one piece.
    pub(super) fn joined(mut self) -> Bytes {
        match self.body.len() {
            1 => self.body.remove(0),
            _ => self.body.concat().into(),
        }
    }
}

/// Takes the header off the pieces of an object; fewer bytes if it has fewer.
pub(super) fn take_header(pieces: &mut [Bytes]) -> Vec<u8> {
    let mut head = Vec::with_capacity(HEADER);
    for piece in pieces {
        let part = piece.split_to(piece.len().min(HEADER - head.len()));
        head.extend_from_slice(&part);
    }
    head
}

/// Checks a header: the count and the length of the body that it tells.
pub(super) fn check<'a>(
    kind: Kind,
    key: &str,
    head: &[u8],
    found: u64,
    body: impl Iterator<Item = &'a [u8]>,
) -> Result<(u32, u64), NotOurs> {
    if head.get(..3) != Some(&MAGIC[..]) {
        return Err(NotOurs::Magic);
    }
    let Some(head) = head.first_chunk::<HEADER>() else {
        return Err(NotOurs::Length { expected: HEADER as u64, found });
    };
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if word(4) != VERSION {
        return Err(NotOurs::Version(word(4)));
    }
    let length = u64::from(word(16)) | u64::from(word(20)) << 32;
    if length != found {
        return Err(NotOurs::Length { expected: length, found });
    }
    let mut bare = *head;
    bare[8..12].fill(0);
    if sum(key, &bare, body) != word(8) {
        return Err(NotOurs::Sum);
    }
    if head[3] != kind as u8 {
        return Err(NotOurs::Magic);
    }
    Ok((word(12), length))
}

/// Checks a small object that came in these pieces.
pub(super) fn open(kind: Kind, key: &str, mut pieces: Vec<Bytes>) -> Result<Content, NotOurs> {
    let head = take_header(&mut pieces);
    let found = pieces.iter().map(Bytes::len).sum::<usize>() as u64;
    let (count, _) = check(kind, key, &head, found, pieces.iter().map(|piece| &piece[..]))?;
    pieces.retain(|piece| !piece.is_empty());
    Ok(Content { count, body: pieces })
}

fn sum<'a>(key: &str, bare: &[u8; HEADER], body: impl Iterator<Item = &'a [u8]>) -> u32 {
    let sum = crc32c::crc32c_append(crc32c::crc32c(key.as_bytes()), bare);
    body.fold(sum, crc32c::crc32c_append)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_in_any_pieces() {
        let body: &[&[u8]] = &[b"hello, ", b"world"];
        let bytes = whole(Kind::Item, "key", 5, body);
        for cut in 0..=bytes.len() {
            let pieces = vec![bytes.slice(..cut), bytes.slice(cut..)];
            let content = open(Kind::Item, "key", pieces).unwrap();
            assert_eq!(content.count, 5);
            assert_eq!(&content.joined()[..], b"hello, world");
        }
        let empty = whole(Kind::Mail, "key", 0, &[]);
        assert!(open(Kind::Mail, "key", vec![empty]).unwrap().joined().is_empty());
    }

    #[test]
    fn every_altered_bit_is_noticed() {
        let bytes = whole(Kind::Mail, "key", 1, &[b"content"]);
        for bit in 0..bytes.len() * 8 {
            let mut altered = bytes.to_vec();
            altered[bit / 8] ^= 1 << (bit % 8);
            let altered = open(Kind::Mail, "key", vec![altered.into()]);
            assert!(altered.is_err(), "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert!(open(Kind::Mail, "key", vec![bytes.slice(..cut)]).is_err(), "cut at {cut}");
        }
        assert_eq!(open(Kind::Mail, "other", vec![bytes.clone()]).unwrap_err(), NotOurs::Sum);
        assert_eq!(open(Kind::Item, "key", vec![bytes]).unwrap_err(), NotOurs::Magic);
        let foreign = Bytes::from_static(b"<html>");
        assert_eq!(open(Kind::Mail, "key", vec![foreign]).unwrap_err(), NotOurs::Magic);
    }
}
