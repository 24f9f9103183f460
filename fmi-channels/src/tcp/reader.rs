//! The receiving half of a TCP link: bytes to frames.
//!
//! Headers and small payloads go through a small staging buffer; the rest of a large payload is
//! read from the socket straight into its final place.

use super::{
    beat::BEAT,
    stream::Stream,
    sums::{self, SUMS, WrongSum},
};
use fmi_actors::{
    AlignedBuf, Error, Node, Payload,
    frame::{BadHeader, Flags, Frame, HEADER_LEN, Header, Kind, SIGNATURE_LEN, Signature},
    pair::{Path, Violation},
};
use std::{
    io::{self, ErrorKind},
    mem::MaybeUninit,
};

/// Bytes that one read may bring beyond what is needed now.
const STAGING: usize = 8 << 10;
/// Bytes after which [`Reader::read`] lets others have their turn.
const TURN: usize = 2 << 20;

/// Why a link cannot be read any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("closed by the peer")]
    Closed,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("not a frame: {0}")]
    Header(#[from] BadHeader),
    #[error("{0}")]
    Altered(#[from] WrongSum),
    #[error("protocol broken: {0}")]
    Violation(#[from] Violation),
    #[error("{0}")]
    Memory(Error),
    #[error("the process ends")]
    Gone,
}

/// Whether there may be more to read at once.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    WouldBlock,
    Over,
}

#[derive(Debug)]
pub(super) struct Reader {
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

impl Reader {
    pub(super) fn new(process: u32, checked: bool, beats: bool) -> Self {
        Self {
            process,
            checked,
            beats,
            staging: Box::new([0; STAGING]),
            start: 0,
            end: 0,
            current: None,
        }
    }

    /// Reads and delivers until the socket is empty or the turn is over; says whether anything
    /// came.
    pub(super) fn read(
        &mut self,
        stream: &Stream,
        node: &Node,
        path: Path,
    ) -> Result<(bool, Turn), ReadError> {
        let mut total = 0;
        loop {
            self.deliver(node, path)?;
            if total >= TURN {
                return Ok((true, Turn::Over));
            }
            match self.fill(stream) {
                Ok((0, _)) => return Err(ReadError::Closed),
                Ok((bytes, more)) => {
                    total += bytes;
                    if !more {
                        // One call saved.
                        self.deliver(node, path)?;
                        return Ok((true, Turn::WouldBlock));
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok((total > 0, Turn::WouldBlock));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The link is dead: a half-read buffer goes back to its message.
    pub(super) fn abort(&mut self, node: &Node, path: Path) {
        if let Some(incoming) = self.current.take()
            && incoming.in_place
        {
            let Incoming { header, mut buf, until, .. } = incoming;
            buf.truncate(until - header.length as usize);
            node.give_back(path, &header, buf);
        }
    }

    /// One read: into the payload's place first, then into the staging buffer.
    fn fill(&mut self, stream: &Stream) -> io::Result<(usize, bool)> {
        if self.start > 0 {
            self.staging.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let free = &mut self.staging[self.end..];
        let Some(incoming) = &mut self.current else {
            let (bytes, more) = stream.recv(&mut [], as_uninit(free))?;
            self.end += bytes;
            return Ok((bytes, more));
        };
        let missing = incoming.until - incoming.buf.len();
        let place = &mut incoming.buf.spare()[..missing];
        let (bytes, more) = stream.recv(place, as_uninit(free))?;
        let placed = bytes.min(missing);
        // SAFETY: `placed` bytes were written there.
        unsafe { incoming.buf.advance(placed) };
        self.end += bytes - placed;
        Ok((bytes, more))
    }

    /// Delivers all frames that are whole.
    fn deliver(&mut self, node: &Node, path: Path) -> Result<(), ReadError> {
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
    fn begin(&mut self, node: &Node, path: Path) -> Result<bool, ReadError> {
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
            let payload = Payload::copy_from(bytes, 1).map_err(ReadError::Memory)?;
            self.start += length;
            node.accept(self.process, path, Frame { header, signature, payload }, None)?;
            return Ok(true);
        }
        let (buf, in_place) = match node.place(self.process, &header) {
            Some(buf) => (buf, true),
            None => {
                let buf = AlignedBuf::with_capacity(length, header.datatype.align());
                (buf.map_err(ReadError::Memory)?, false)
            }
        };
        let until = buf.len() + length;
        self.current = Some(Incoming { header, signature, buf, until, in_place, sum });
        Ok(true)
    }
}

/// Initialised bytes may be overwritten by a read as if they were not.
fn as_uninit(bytes: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    // SAFETY: u8 and MaybeUninit<u8> have one layout, and recv only writes initialised bytes.
    unsafe { &mut *(std::ptr::from_mut(bytes) as *mut [MaybeUninit<u8>]) }
}
