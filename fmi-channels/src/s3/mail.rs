//! Objects of a mailbox: frames one after the other, as they waited.
//!
//! Before them stand the numbers of objects that may have been written twice: if the reader had
//! deleted the first copy, the second came back to life. Then reports of what the writer has read of
//! the reader's items.

use super::{
    ledger::{REPORT, Report},
    object::{self, Content, Kind, NotOurs},
};
use bytes::{Buf, Bytes};
use fmi_actors::{
    AlignedBuf, Error, Node, Payload,
    frame::{Flags, Frame, HEADER_LEN, Header, SIGNATURE_LEN, Signature},
    pair::{Path, Violation},
};

/// Bytes of an object from which on no further frame joins it.
pub(super) const FULL: usize = 4 << 20;
/// No object of a mailbox is larger.
pub(super) const MOST: u64 = 16 << 20;
/// Numbers that one object can bear.
pub(super) const NUMBERS: usize = 4096;
/// Reports that one object can bear.
pub(super) const REPORTS: usize = 1024;

/// Why the content of an object was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("{0}")]
    NotOurs(#[from] NotOurs),
    #[error("a frame in it breaks the protocol: {0}")]
    Violation(#[from] Violation),
    #[error("{0}")]
    Memory(Error),
}

/// Bytes that a frame takes in an object.
pub(super) fn length(frame: &Frame) -> usize {
    HEADER_LEN + SIGNATURE_LEN + frame.payload.size_hint()
}

/// An object of these frames.
pub(super) fn encode(key: &str, again: &[u64], reports: &[Report], frames: &[Frame]) -> Bytes {
    let mut before: Vec<u8> = again.iter().flat_map(|number| number.to_le_bytes()).collect();
    before.extend(reports.iter().flat_map(Report::encode));
    let count = again.len() as u32 | (reports.len() as u32) << 16;
    let heads: Vec<Vec<u8>> = frames
        .iter()
        .map(|frame| {
            let mut head = frame.header.encode().to_vec();
            if let Some(signature) = &frame.signature {
                head.extend_from_slice(&signature.0);
            }
            head
        })
        .collect();
    let mut body: Vec<&[u8]> = vec![&before];
    for (head, frame) in heads.iter().zip(frames) {
        body.extend([head, frame.payload.bytes().unwrap_or_default()]);
    }
    object::whole(Kind::Mail, key, count, &body)
}

/// What stands before the frames.
#[derive(Debug)]
pub(super) struct Before {
    /// Numbers of objects that may have been written twice.
    pub(super) again: Vec<u64>,
    /// What was read of items of this process.
    pub(super) reports: Vec<Report>,
}

/// Gives the frames of an object to the node, and back what stands before them.
pub(super) fn deliver(
    content: Content,
    node: &Node,
    from: u32,
    path: Path,
) -> Result<Before, Refused> {
    let (numbers, reports) = ((content.count & 0xffff) as usize, (content.count >> 16) as usize);
    let mut body = content.joined();
    if numbers > NUMBERS || reports > REPORTS || body.len() < numbers * 8 + reports * REPORT {
        return Err(NotOurs::Content.into());
    }
    let again = (0..numbers).map(|_| body.get_u64_le()).collect();
    let reports = body.split_to(reports * REPORT);
    let (reports, _) = reports.as_chunks();
    let reports = reports.iter().map(|report| Report::decode(report).ok_or(NotOurs::Content));
    let reports = reports.collect::<Result<_, _>>()?;
    while !body.is_empty() {
        let (header, signature) = head(&mut body)?;
        let length = header.length as usize;
        if body.len() < length {
            return Err(NotOurs::Content.into());
        }
        let payload = body.split_to(length);
        let (payload, place) = match node.place(from, &header) {
            Some(mut buf) => {
                buf.extend(&payload);
                (Payload::empty(), Some(buf))
            }
            None => (copied(&payload, header.datatype.align())?, None),
        };
        node.accept(from, path, Frame { header, signature, payload }, place)?;
    }
    Ok(Before { again, reports })
}

fn head(body: &mut Bytes) -> Result<(Header, Option<Signature>), NotOurs> {
    let bytes = body.first_chunk::<HEADER_LEN>().ok_or(NotOurs::Content)?;
    let header = Header::decode(bytes).map_err(|_| NotOurs::Content)?;
    body.advance(HEADER_LEN);
    let mut signature = None;
    if header.flags.has(Flags::SIGNED) {
        let bytes = body.first_chunk::<SIGNATURE_LEN>().ok_or(NotOurs::Content)?;
        signature = Some(Signature(*bytes));
        body.advance(SIGNATURE_LEN);
    }
    Ok((header, signature))
}

fn copied(bytes: &[u8], align: usize) -> Result<Payload, Refused> {
    if bytes.len() <= Payload::INLINE {
        return Payload::copy_from(bytes, 1).map_err(Refused::Memory);
    }
    let mut buf = AlignedBuf::with_capacity(bytes.len(), align).map_err(Refused::Memory)?;
    buf.extend(bytes);
    Ok(buf.into())
}
