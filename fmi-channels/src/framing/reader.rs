//! The receiving half of a link: bytes to frames.

use super::{
    ByteStream,
    frames::{FrameError, Frames},
};
use fmi_actors::{Node, pair::Path};
use std::io::{self, ErrorKind};

/// Bytes after which [`Reader::read`] lets others have their turn.
const TURN: usize = 2 << 20;

/// Why a link cannot be read any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("closed by the peer")]
    Closed,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("the process ends")]
    Gone,
}

/// Whether there may be more to read at once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    WouldBlock,
    Over,
}

#[derive(Debug)]
pub(crate) struct Reader(Frames);

impl Reader {
    pub(crate) fn new(process: u32, checked: bool, beats: bool) -> Self {
        Self(Frames::new(process, checked, beats))
    }

    /// Reads and delivers until the socket is empty or the turn is over; says whether anything
    /// came.
    pub(crate) fn read(
        &mut self,
        stream: &impl ByteStream,
        node: &Node,
        path: Path,
    ) -> Result<(bool, Turn), ReadError> {
        let mut total = 0;
        loop {
            self.0.deliver(node, path)?;
            if total >= TURN {
                return Ok((true, Turn::Over));
            }
            match self.fill(stream) {
                Ok((0, _)) => return Err(ReadError::Closed),
                Ok((bytes, more)) => {
                    total += bytes;
                    if !more {
                        // One call saved.
                        self.0.deliver(node, path)?;
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
    pub(crate) fn abort(&mut self, node: &Node, path: Path) {
        self.0.abort(node, path);
    }

    /// One read: into the payload's place first, then into the staging buffer.
    fn fill(&mut self, stream: &impl ByteStream) -> io::Result<(usize, bool)> {
        let (place, spare) = self.0.room();
        let (bytes, more) = stream.recv(place, spare)?;
        // SAFETY: the stream has written so many there.
        unsafe { self.0.filled(bytes) };
        Ok((bytes, more))
    }
}
