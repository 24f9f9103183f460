//! Bytes to frames, whatever stream they come from.
//!
//! Headers and small payloads go through a small staging buffer; the rest of a large payload is
//! read straight into its final place.

use super::{
    BEAT,
    sums::{self, SUMS, WrongSum},
};
use fmi_actors::{
    AlignedBuf, Error, Node, Payload,
    frame::{BadHeader, Flags, Frame, HEADER_LEN, Header, Kind, SIGNATURE_LEN, Signature},
    pair::{Path, Violation},
};
use std::mem::MaybeUninit;

/// Bytes that one read may bring beyond what is needed now.
const STAGING: usize = 8 << 10;

/// Why what was read cannot be frames.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("not a frame: {0}")]
    Header(#[from] BadHeader),
    #[error("{0}")]
    Altered(#[from] WrongSum),
    #[error("protocol broken: {0}")]
    Violation(#[from] Violation),
    #[error("{0}")]
    Memory(Error),
}

/// The frames of one stream.
#[derive(Debug)]
pub(crate) struct Frames {
    /// The process at the other end.
    process: u32,
    /// Frames carry sums.
    checked: bool,
    /// The peer gives signs of life.
    beats: bool,
    staging: Box<[u8; STAGING]>,
    start: usize,
    end: usize,
    current: Option<Incoming>,
}

/// A frame whose payload is not whole yet.
#[derive(Debug)]
struct Incoming {
    header: Header,
    signature: Option<Signature>,
    buf: AlignedBuf,
    /// Filled length at which the frame is whole.
    until: usize,
    in_place: bool,
    /// What its sum must be, if it carries one.
    sum: Option<u32>,
}

impl Frames {
    /// Of a stream from this process, whose frames carry sums if it is `checked`, and which has
    /// signs of life between them if it `beats`.
    pub(crate) fn new(process: u32, checked: bool, beats: bool) -> Self {
        let staging = Box::new([0; STAGING]);
        Self { process, checked, beats, staging, start: 0, end: 0, current: None }
    }

    /// Where the next bytes go: what is missing of a payload, empty if nothing is, and then the
    /// staging buffer.
    pub(crate) fn room(&mut self) -> (&mut [MaybeUninit<u8>], &mut [MaybeUninit<u8>]) {
        if self.start > 0 {
            self.staging.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let place = match &mut self.current {
            Some(incoming) => {
                let missing = incoming.until - incoming.buf.len();
                &mut incoming.buf.spare()[..missing]
            }
            None => &mut [],
        };
        (place, as_uninit(&mut self.staging[self.end..]))
    }

    /// So many bytes have been written to the [room](Self::room), from its beginning on.
    ///
    /// # Safety
    /// They have been.
    pub(crate) unsafe fn filled(&mut self, bytes: usize) {
        let mut placed = 0;
        if let Some(incoming) = &mut self.current {
            placed = bytes.min(incoming.until - incoming.buf.len());
            // SAFETY: `placed` bytes were written there, says the caller.
            unsafe { incoming.buf.advance(placed) };
        }
        self.end += bytes - placed;
    }

    /// The link is dead: a half-read buffer goes back to its message.
    pub(crate) fn abort(&mut self, node: &Node, path: Path) {
        if let Some(incoming) = self.current.take()
            && incoming.in_place
        {
            let Incoming { header, mut buf, until, .. } = incoming;
            buf.truncate(until - header.length as usize);
            node.give_back(path, &header, buf);
        }
    }

    /// Delivers all frames that are whole.
    pub(crate) fn deliver(&mut self, node: &Node, path: Path) -> Result<(), FrameError> {
        loop {
            if let Some(incoming) = &mut self.current {
                let missing = incoming.until - incoming.buf.len();
                let here = missing.min(self.end - self.start);
                incoming.buf.extend(&self.staging[self.start..self.start + here]);
                self.start += here;
                if here < missing {
                    return Ok(());
                }
            }
            if let Some(incoming) = &self.current
                && let Some(sum) = incoming.sum
            {
                let payload = incoming.until - incoming.header.length as usize;
                let payload = &incoming.buf.as_slice()[payload..];
                sums::check(incoming.signature.as_ref(), payload, sum)?;
            }
            if let Some(Incoming { header, signature, buf, in_place, .. }) = self.current.take() {
                let (payload, place) =
                    if in_place { (Payload::empty(), Some(buf)) } else { (buf.into(), None) };
                node.accept(self.process, path, Frame { header, signature, payload }, place)?;
            }
            if !self.begin(node, path)? {
                return Ok(());
            }
        }
    }

    /// Starts the next frame from the staging buffer. A frame that is there whole and short is
    /// delivered at once. False if the header is not there yet.
    fn begin(&mut self, node: &Node, path: Path) -> Result<bool, FrameError> {
        let staged = &self.staging[self.start..self.end];
        let Some(head) = staged.first_chunk::<HEADER_LEN>() else { return Ok(false) };
        if self.beats && *head == BEAT {
            self.start += HEADER_LEN;
            return Ok(true);
        }
        let mut head_len = HEADER_LEN;
        let mut sum = None;
        if self.checked {
            let Some(head) = staged.first_chunk() else { return Ok(false) };
            sum = Some(sums::check_header(head)?);
            head_len += SUMS;
        }
        let header = Header::decode(head)?;
        let mut signature = None;
        if header.flags.has(Flags::SIGNED) {
            let Some(bytes) = staged[head_len..].first_chunk::<SIGNATURE_LEN>() else {
                return Ok(false);
            };
            signature = Some(Signature(*bytes));
            head_len += SIGNATURE_LEN;
        }
        self.start += head_len;
        let length = header.length as usize;
        if length <= Payload::INLINE && header.kind != Kind::Data {
            if self.end - self.start < length {
                self.start -= head_len;
                return Ok(false);
            }
            let bytes = &self.staging[self.start..self.start + length];
            if let Some(sum) = sum {
                sums::check(signature.as_ref(), bytes, sum)?;
            }
            let payload = Payload::copy_from(bytes, 1).map_err(FrameError::Memory)?;
            self.start += length;
            node.accept(self.process, path, Frame { header, signature, payload }, None)?;
            return Ok(true);
        }
        let (buf, in_place) = match node.place(self.process, &header) {
            Some(buf) => (buf, true),
            None => {
                let buf = AlignedBuf::with_capacity(length, header.datatype.align());
                (buf.map_err(FrameError::Memory)?, false)
            }
        };
        let until = buf.len() + length;
        self.current = Some(Incoming { header, signature, buf, until, in_place, sum });
        Ok(true)
    }
}

/// Initialised bytes may be overwritten by a read as if they were not.
fn as_uninit(bytes: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    // SAFETY: u8 and MaybeUninit<u8> have one layout, and a read only writes initialised bytes.
    unsafe { &mut *(std::ptr::from_mut(bytes) as *mut [MaybeUninit<u8>]) }
}
