//! The receiving half of a stream of a QUIC link.

use crate::framing::{FrameError, Frames};
use fmi_actors::{Node, pair::Path};
use quinn::RecvStream;
use std::{
    mem::MaybeUninit,
    task::{Context, Poll},
};
use tokio::io::ReadBuf;

/// Why a link cannot be read any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("{0}")]
    Stream(#[from] quinn::ReadError),
    #[error("{0}")]
    Frame(#[from] FrameError),
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
pub(super) struct Reader(Frames);

impl Reader {
    pub(super) fn new(process: u32) -> Self {
        Self(Frames::new(process, false, false))
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
            self.0.deliver(node, path)?;
        }
        Ok((true, Turn::Over))
    }

    /// The link is dead: a half-read buffer goes back to its message.
    pub(super) fn abort(&mut self, node: &Node, path: Path) {
        self.0.abort(node, path);
    }

    /// One read: into the payload's place, and if that is full into the staging buffer.
    fn fill(
        &mut self,
        stream: &mut RecvStream,
        context: &mut Context<'_>,
    ) -> Poll<Result<usize, quinn::ReadError>> {
        let (place, _) = self.0.room();
        let missing = place.len();
        let mut placed = 0;
        if missing > 0 {
            placed = match read(stream, place, context) {
                Poll::Ready(Ok(bytes)) => bytes,
                other => return other,
            };
            // SAFETY: the read has written so many there.
            unsafe { self.0.filled(placed) };
            if placed < missing {
                return Poll::Ready(Ok(placed));
            }
        }
        let (_, spare) = self.0.room();
        match read(stream, spare, context) {
            Poll::Ready(Ok(bytes)) => {
                // SAFETY: the read has written so many there, and the place before it is full.
                unsafe { self.0.filled(bytes) };
                // An end is told by the next read, too.
                Poll::Ready(Ok(placed + bytes))
            }
            Poll::Pending if placed > 0 => Poll::Ready(Ok(placed)),
            other => other,
        }
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
