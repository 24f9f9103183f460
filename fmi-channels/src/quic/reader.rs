//! The receiving half of a stream of a QUIC link: bytes to frames.
//!
//! As on TCP, headers and small payloads go through a small staging buffer, the rest of a large
//! payload into its final place.

use fmi_actors::{
    AlignedBuf, Error, Node, Payload,
    frame::{BadHeader, Flags, Frame, HEADER_LEN, Header, Kind, SIGNATURE_LEN, Signature},
    pair::{Path, Violation},
};
use quinn::RecvStream;
use std::{
    mem::MaybeUninit,
    task::{Context, Poll},
};
use tokio::io::ReadBuf;

/// Bytes that one read may bring beyond what is needed now.
const STAGING: usize = 8 << 10;

/// Why a link cannot be read any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("{0}")]
    Stream(#[from] quinn::ReadError),
    #[error("not a frame: {0}")]
    Header(#[from] BadHeader),
    #[error("protocol broken: {0}")]
    Violation(#[from] Violation),
    #[error("{0}")]
    Memory(Error),
    #[error("the process ends")]
    Gone,
}

/// What a read came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// All there is is read; the task is woken when there is more.
    Empty,
    /// There may be more.
    Over,
    /// There will not be more.
    End,
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

    /// Reads about `limit` bytes and delivers; says whether any came.
    pub(super) fn read(
        &mut self,
        stream: &mut RecvStream,
        limit: usize,
        (node, path): (&Node, Path),
        context: &mut Context<'_>,
    ) -> Result<(bool, Turn), ReadError> {
        let mut total = 0;
        while total < limit {
            match self.fill(stream, context) {
                Poll::Ready(Ok(0)) => return Ok((total > 0, Turn::End)),
                Poll::Ready(Ok(bytes)) => total += bytes,
                Poll::Ready(Err(error)) => return Err(error.into()),
                Poll::Pending => return Ok((total > 0, Turn::Empty)),
            }
            self.deliver(node, path)?;
        }
        Ok((true, Turn::Over))
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

    /// One read: into the payload's place, and if that is full into the staging buffer.
    fn fill(
        &mut self,
        stream: &mut RecvStream,
        context: &mut Context<'_>,
    ) -> Poll<Result<usize, quinn::ReadError>> {
        if self.start > 0 {
            self.staging.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let mut placed = 0;
        if let Some(incoming) = &mut self.current
            && incoming.buf.len() < incoming.until
        {
            let missing = incoming.until - incoming.buf.len();
            placed = match read(stream, &mut incoming.buf.spare()[..missing], context) {
                Poll::Ready(Ok(bytes)) => bytes,
                other => return other,
            };
            // SAFETY: the read has written `placed` bytes there.
            unsafe { incoming.buf.advance(placed) };
            if placed < missing {
                return Poll::Ready(Ok(placed));
            }
        }
        match read(stream, as_uninit(&mut self.staging[self.end..]), context) {
            Poll::Ready(Ok(bytes)) => {
                self.end += bytes;
                // An end is told by the next read, too.
                Poll::Ready(Ok(placed + bytes))
            }
            Poll::Pending if placed > 0 => Poll::Ready(Ok(placed)),
            other => other,
        }
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

/// Reads what is there; 0 bytes at the end.
fn read(
    stream: &mut RecvStream,
    into: &mut [MaybeUninit<u8>],
    context: &mut Context<'_>,
) -> Poll<Result<usize, quinn::ReadError>> {
    let mut buf = ReadBuf::uninit(into);
    stream.poll_read_buf(context, &mut buf).map_ok(|()| buf.filled().len())
}

/// Initialised bytes may be overwritten by a read as if they were not.
fn as_uninit(bytes: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    // SAFETY: u8 and MaybeUninit<u8> have one layout, and a read only writes initialised bytes.
    unsafe { &mut *(std::ptr::from_mut(bytes) as *mut [MaybeUninit<u8>]) }
}
