//! What lies in the store, as bytes: letters in mailboxes, items on the shelf.
//!
//! | bytes | letter | item |
//! |---|---|---|
//! | 0..4 | `fmiL` | `fmiI` |
//! | 4 | version | version |
//! | 5 | kind | 0 |
//! | 6..8 | 0 | 0 |
//! | 8..12 | from which process | parts that follow in keys of their own |
//! | 12..16 | job epoch | CRC-32C of the content |
//! | 16..20 | bytes of the body | bytes of the content, |
//! | 20..24 | CRC-32C of all that, and of the body | 8 of them |
//! | 24..28 | | CRC-32C of all that |
//!
//! All numbers are little-endian. A store is shared: what does not look like this is not ours.

use bytes::Bytes;
use fmi_actors::frame::{BadHeader, Flags, Frame, HEADER_LEN, Header, SIGNATURE_LEN, Signature};
use fmi_actors::{Error, Payload};

const LETTER: &[u8; 4] = b"fmiL";
const ITEM: &[u8; 4] = b"fmiI";
const VERSION: u8 = 1;
/// Bytes before a letter's body.
pub(super) const LETTER_HEAD: usize = 24;
/// Bytes before an item's content.
pub(super) const ITEM_HEAD: usize = 28;

/// What a letter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// The sender will write.
    Open = 1,
    /// Frames, one after the other.
    Frames = 2,
    /// A frame whose payload is a value of its own.
    Value = 3,
    /// What the sender of this had been sent may be lost: send it again.
    Replay = 4,
    /// The sender leaves. Nothing more comes from it.
    End = 5,
}

/// Why something in the store is not ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadContent {
    #[error("nothing that fmi has written")]
    Foreign,
    #[error("of version {0} of fmi's format, this program writes {VERSION}")]
    Version(u8),
    #[error("altered: its sum is wrong")]
    Altered,
    #[error("no frame: {0}")]
    Frame(#[from] BadHeader),
    #[error("{0}")]
    Memory(Error),
}

/// A letter that is being written.
#[derive(Debug)]
pub(super) struct Draft(Vec<u8>);

impl Draft {
    pub(super) fn new() -> Self {
        Self(vec![0; LETTER_HEAD])
    }

    /// Bytes of its body so far.
    pub(super) fn len(&self) -> usize {
        self.0.len() - LETTER_HEAD
    }

    /// Adds a frame whose payload is bytes.
    pub(super) fn push(&mut self, frame: &Frame) {
        self.head(frame);
        self.0.extend_from_slice(frame.payload.bytes().unwrap_or_default());
    }

    /// A frame whose payload is the value of this number.
    pub(super) fn value(frame: &Frame, number: u64) -> Self {
        let mut draft = Self::new();
        draft.0.extend_from_slice(&number.to_le_bytes());
        let sum = crc32c::crc32c(frame.payload.bytes().unwrap_or_default());
        draft.0.extend_from_slice(&sum.to_le_bytes());
        draft.head(frame);
        draft
    }

    fn head(&mut self, frame: &Frame) {
        self.0.extend_from_slice(&frame.header.encode());
        if let Some(signature) = &frame.signature {
            self.0.extend_from_slice(&signature.0);
        }
    }

    /// The letter.
    pub(super) fn seal(mut self, kind: Kind, from: u32, epoch: u32) -> Vec<u8> {
        let body = self.len() as u32;
        let head = &mut self.0[..LETTER_HEAD];
        head[..4].copy_from_slice(LETTER);
        head[4] = VERSION;
        head[5] = kind as u8;
        head[8..12].copy_from_slice(&from.to_le_bytes());
        head[12..16].copy_from_slice(&epoch.to_le_bytes());
        head[16..20].copy_from_slice(&body.to_le_bytes());
        let sum = crc32c::crc32c_append(crc32c::crc32c(&self.0[..20]), &self.0[LETTER_HEAD..]);
        self.0[20..24].copy_from_slice(&sum.to_le_bytes());
        self.0
    }
}

/// A letter without a body.
pub(super) fn note(kind: Kind, from: u32, epoch: u32) -> Vec<u8> {
    Draft::new().seal(kind, from, epoch)
}

/// A letter that was read.
#[derive(Debug)]
pub(super) struct Letter<'a> {
    pub(super) kind: Kind,
    pub(super) from: u32,
    pub(super) epoch: u32,
    body: &'a [u8],
}

impl<'a> Letter<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, BadContent> {
        let (head, body) = bytes.split_first_chunk::<LETTER_HEAD>().ok_or(BadContent::Foreign)?;
        check(head, LETTER)?;
        if body.len() != u32_at(head, 16) as usize {
            return Err(BadContent::Altered);
        }
        if crc32c::crc32c_append(crc32c::crc32c(&head[..20]), body) != u32_at(head, 20) {
            return Err(BadContent::Altered);
        }
        let kind = match head[5] {
            1 => Kind::Open,
            2 => Kind::Frames,
            3 => Kind::Value,
            4 => Kind::Replay,
            5 => Kind::End,
            _ => return Err(BadContent::Foreign),
        };
        Ok(Self { kind, from: u32_at(head, 8), epoch: u32_at(head, 12), body })
    }

    /// The next of its frames.
    pub(super) fn frame(&mut self) -> Result<Option<Frame>, BadContent> {
        if self.body.is_empty() {
            return Ok(None);
        }
        let (header, signature) = self.head()?;
        let (payload, rest) =
            self.body.split_at_checked(header.length as usize).ok_or(BadContent::Altered)?;
        let align = header.datatype.align();
        let payload = Payload::copy_from(payload, align).map_err(BadContent::Memory)?;
        self.body = rest;
        Ok(Some(Frame { header, signature, payload }))
    }

    /// Number and sum of the value, and what the frame is but for its payload.
    pub(super) fn value(mut self) -> Result<ValueFrame, BadContent> {
        let (number, rest) = self.body.split_first_chunk().ok_or(BadContent::Altered)?;
        let (sum, rest) = rest.split_first_chunk().ok_or(BadContent::Altered)?;
        self.body = rest;
        let (header, signature) = self.head()?;
        Ok(ValueFrame {
            number: u64::from_le_bytes(*number),
            sum: u32::from_le_bytes(*sum),
            header,
            signature,
        })
    }

    fn head(&mut self) -> Result<(Header, Option<Signature>), BadContent> {
        let (head, rest) =
            self.body.split_first_chunk::<HEADER_LEN>().ok_or(BadContent::Altered)?;
        let header = Header::decode(head)?;
        self.body = rest;
        let mut signature = None;
        if header.flags.has(Flags::SIGNED) {
            let (bytes, rest) =
                self.body.split_first_chunk::<SIGNATURE_LEN>().ok_or(BadContent::Altered)?;
            signature = Some(Signature(*bytes));
            self.body = rest;
        }
        Ok((header, signature))
    }
}

/// A frame whose payload is a value of its own.
#[derive(Debug)]
pub(super) struct ValueFrame {
    pub(super) number: u64,
    sum: u32,
    pub(super) header: Header,
    pub(super) signature: Option<Signature>,
}

impl ValueFrame {
    /// Whether this is the payload.
    pub(super) fn check(&self, payload: &[u8]) -> Result<(), BadContent> {
        match payload.len() == self.header.length as usize && crc32c::crc32c(payload) == self.sum {
            true => Ok(()),
            false => Err(BadContent::Altered),
        }
    }
}

/// What is said before an item's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ItemHead {
    /// Keys that hold the content, if it is not behind this.
    pub(super) parts: u32,
    pub(super) sum: u32,
    pub(super) total: u64,
}

impl ItemHead {
    pub(super) fn new(content: &Bytes, parts: u32) -> Self {
        Self { parts, sum: crc32c::crc32c(content), total: content.len() as u64 }
    }

    pub(super) fn encode(&self) -> [u8; ITEM_HEAD] {
        let mut head = [0; ITEM_HEAD];
        head[..4].copy_from_slice(ITEM);
        head[4] = VERSION;
        head[8..12].copy_from_slice(&self.parts.to_le_bytes());
        head[12..16].copy_from_slice(&self.sum.to_le_bytes());
        head[16..24].copy_from_slice(&self.total.to_le_bytes());
        let sum = crc32c::crc32c(&head[..24]);
        head[24..28].copy_from_slice(&sum.to_le_bytes());
        head
    }

    /// The head of an item, and what is behind it.
    pub(super) fn read(bytes: &[u8]) -> Result<(Self, &[u8]), BadContent> {
        let (head, content) = bytes.split_first_chunk::<ITEM_HEAD>().ok_or(BadContent::Foreign)?;
        check(head, ITEM)?;
        if crc32c::crc32c(&head[..24]) != u32_at(head, 24) {
            return Err(BadContent::Altered);
        }
        let total = u64::from(u32_at(head, 16)) | u64::from(u32_at(head, 20)) << 32;
        Ok((Self { parts: u32_at(head, 8), sum: u32_at(head, 12), total }, content))
    }

    /// Whether this is the content.
    pub(super) fn check(&self, content: &[u8]) -> Result<(), BadContent> {
        match content.len() as u64 == self.total && crc32c::crc32c(content) == self.sum {
            true => Ok(()),
            false => Err(BadContent::Altered),
        }
    }
}

fn check(head: &[u8], magic: &[u8; 4]) -> Result<(), BadContent> {
    match head.split_first_chunk() {
        Some((found, [VERSION, ..])) if found == magic => Ok(()),
        Some((found, [version, ..])) if found == magic => Err(BadContent::Version(*version)),
        _ => Err(BadContent::Foreign),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use fmi_actors::frame::{Datatype, Kind as FrameKind, Space};
    use proptest::prelude::*;

    fn frame(length: usize, signed: bool) -> Frame {
        let header = Header {
            kind: FrameKind::Message,
            flags: Flags::default().with(Flags::SIGNED, signed),
            length: length as u32,
            epoch: 1,
            source: 2,
            destination: 3,
            source_incarnation: 4,
            destination_incarnation: 5,
            space: Space::messages(6),
            tag: 7,
            datatype: Datatype::BYTES,
            sequence: 8,
            acknowledgement: 9,
            credit: [1, 2],
            message: 10,
            total: length as u64,
        };
        let payload = Payload::from_vec((0..length).map(|i| i as u8).collect::<Vec<u8>>());
        Frame { header, signature: signed.then_some(Signature([7; 32])), payload }
    }

    #[test]
    fn letters_come_as_they_went() {
        let frames = [frame(0, false), frame(5, true), frame(1000, false)];
        let mut draft = Draft::new();
        frames.iter().for_each(|frame| draft.push(frame));
        let bytes = draft.seal(Kind::Frames, 12, 34);
        let mut letter = Letter::read(&bytes).unwrap();
        assert_eq!((letter.kind, letter.from, letter.epoch), (Kind::Frames, 12, 34));
        for sent in frames {
            let got = letter.frame().unwrap().unwrap();
            assert_eq!((got.header, got.signature), (sent.header, sent.signature));
            assert_eq!(got.payload.bytes(), sent.payload.bytes());
        }
        assert!(letter.frame().unwrap().is_none());
    }

    #[test]
    fn values_are_compared_with_what_was_said_of_them() {
        let sent = frame(4000, true);
        let bytes = Draft::value(&sent, 99).seal(Kind::Value, 1, 2);
        let got = Letter::read(&bytes).unwrap().value().unwrap();
        assert_eq!((got.number, got.header, got.signature), (99, sent.header, sent.signature));
        let mut payload = sent.payload.bytes().unwrap().to_vec();
        assert_eq!(got.check(&payload), Ok(()));
        payload[77] ^= 1;
        assert_eq!(got.check(&payload), Err(BadContent::Altered));
        assert_eq!(got.check(&payload[1..]), Err(BadContent::Altered));
    }

    #[test]
    fn what_is_not_ours_has_its_name() {
        let bytes = note(Kind::End, 1, 2);
        assert_eq!(Letter::read(b"hello").unwrap_err(), BadContent::Foreign);
        assert_eq!(Letter::read(&[0; 100]).unwrap_err(), BadContent::Foreign);
        let item = ItemHead::new(&Bytes::from_static(b"abc"), 0).encode();
        assert_eq!(Letter::read(&item).unwrap_err(), BadContent::Foreign);
        assert_eq!(ItemHead::read(&bytes).unwrap_err(), BadContent::Foreign);
        let mut newer = bytes.clone();
        newer[4] = 9;
        assert_eq!(Letter::read(&newer).unwrap_err(), BadContent::Version(9));
        for at in 5..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 4;
            assert!(Letter::read(&altered).is_err(), "byte {at}");
        }
    }

    #[test]
    fn items_come_as_they_went() {
        let content = Bytes::from_static(b"some bytes");
        let head = ItemHead::new(&content, 0);
        let bytes = [&head.encode()[..], &content].concat();
        let (read, rest) = ItemHead::read(&bytes).unwrap();
        assert_eq!((read, read.check(rest)), (head, Ok(())));
        assert_eq!(read.check(b"some bites"), Err(BadContent::Altered));
        for at in 0..ITEM_HEAD {
            let mut altered = bytes.clone();
            altered[at] ^= 4;
            assert!(ItemHead::read(&altered).is_err(), "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(mut bytes: Vec<u8>, ours: bool) {
            if ours && bytes.len() >= LETTER_HEAD {
                let body = bytes.split_off(LETTER_HEAD);
                let mut draft = Draft::new();
                draft.0.extend_from_slice(&body);
                bytes = draft.seal(Kind::Frames, 1, 1);
            }
            if let Ok(mut letter) = Letter::read(&bytes) {
                while let Ok(Some(_)) = letter.frame() {}
            }
            if let Ok(letter) = Letter::read(&bytes) {
                let _ = letter.value();
            }
            let _ = ItemHead::read(&bytes);
        }
    }
}
