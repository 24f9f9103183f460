//! The receiving half of a TCP link: bytes to frames.
//!
//! Headers and small payloads go through a small staging buffer; the rest of a large payload is
//! read from the socket straight into its final place.

use fmi_actors::{
    AlignedBuf, Error, Node, Payload,
    frame::{BadHeader, Flags, Frame, HEADER_LEN, Header, Kind, SIGNATURE_LEN, Signature},
    pair::{Path, Violation},
};
use socket2::{MaybeUninitSlice, Socket};
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
}

impl Reader {
    pub(super) fn new(process: u32) -> Self {
        Self { process, staging: Box::new([0; STAGING]), start: 0, end: 0, current: None }
    }

    /// Reads and delivers until the socket is empty or the turn is over; says whether anything
    /// came.
    pub(super) fn read(
        &mut self,
        socket: &Socket,
        node: &Node,
        path: Path,
    ) -> Result<(bool, Turn), ReadError> {
        let mut total = 0;
        loop {
            self.deliver(node, path)?;
            if total >= TURN {
                return Ok((true, Turn::Over));
            }
            match self.fill(socket) {
                Ok(0) => return Err(ReadError::Closed),
                Ok(bytes) => {
                    total += bytes;
                    if self.end < STAGING {
                        // A short read means that the socket is empty: one call saved.
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
    fn fill(&mut self, socket: &Socket) -> io::Result<usize> {
        if self.start > 0 {
            self.staging.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let free = &mut self.staging[self.end..];
        let Some(incoming) = &mut self.current else {
            let bytes = socket.recv(as_uninit(free))?;
            self.end += bytes;
            return Ok(bytes);
        };
        let missing = incoming.until - incoming.buf.len();
        let place = &mut incoming.buf.spare()[..missing];
        let mut parts = [MaybeUninitSlice::new(place), MaybeUninitSlice::new(as_uninit(free))];
        let (bytes, _) = socket.recv_vectored(&mut parts)?;
        let placed = bytes.min(missing);
        // SAFETY: the kernel has written `placed` bytes there.
        unsafe { incoming.buf.advance(placed) };
        self.end += bytes - placed;
        Ok(bytes)
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
        let header = Header::decode(head)?;
        let signed = header.flags.has(Flags::SIGNED);
        let head_len = HEADER_LEN + if signed { SIGNATURE_LEN } else { 0 };
        if staged.len() < head_len {
            return Ok(false);
        }
        let signature =
            signed.then(|| staged[HEADER_LEN..head_len].try_into().ok().map(Signature)).flatten();
        self.start += head_len;
        let length = header.length as usize;
        if length <= Payload::INLINE && header.kind != Kind::Data {
            if self.end - self.start < length {
                self.start -= head_len;
                return Ok(false);
            }
            let bytes = &self.staging[self.start..self.start + length];
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
        self.current = Some(Incoming { header, signature, buf, until, in_place });
        Ok(true)
    }
}

/// Initialised bytes may be overwritten by a read as if they were not.
fn as_uninit(bytes: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    // SAFETY: u8 and MaybeUninit<u8> have one layout, and recv only writes initialised bytes.
    unsafe { &mut *(std::ptr::from_mut(bytes) as *mut [MaybeUninit<u8>]) }
}
