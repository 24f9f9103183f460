//! Frames on a stream of bytes, whatever carries it: a socket, TLS, memory.

mod frames;
mod reader;
mod sums;
mod writer;

#[cfg(feature = "quic")]
pub(crate) use frames::{FrameError, Frames};
pub(crate) use reader::{ReadError, Reader, Turn};
pub(crate) use writer::Writer;

use fmi_actors::frame::HEADER_LEN;
use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
};

/// A stream of bytes to another process that never blocks: what cannot be done now is
/// [`WouldBlock`](io::ErrorKind::WouldBlock). Any thread may use it; one at a time reads, and one writes.
pub(crate) trait ByteStream {
    /// Reads into `place` first, then into `spare`. Says how many bytes came (0 at the end) and
    /// whether there may be more at once. So many bytes are written there then.
    fn recv(
        &self,
        place: &mut [MaybeUninit<u8>],
        spare: &mut [MaybeUninit<u8>],
    ) -> io::Result<(usize, bool)>;

    /// Writes some of the parts, at least a byte; how many.
    fn send(&self, parts: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Writes what was taken and is still here, as far as that goes.
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    /// Bytes that were taken and have not left, at most.
    fn waiting(&self) -> usize {
        0
    }
}

/// What is sent in place of a header as a sign of life: no frame begins like this.
const BEAT: [u8; HEADER_LEN] = [0; HEADER_LEN];
