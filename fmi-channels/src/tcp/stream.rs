//! What the bytes of a link go through: a socket, or TLS on one.

use super::tls::Tls;
use socket2::{MaybeUninitSlice, Socket};
use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    net::Shutdown,
};

/// A stream of bytes to another process that never blocks. Any thread may use it; one at a time
/// reads, and one writes.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(Socket),
    Tls(Box<Tls>),
}

impl Stream {
    pub(super) fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => tls.socket(),
        }
    }

    /// Reads into `place` first, then into `spare`. Says how many bytes came (0 at the end) and
    /// whether there may be more at once.
    pub(super) fn recv(
        &self,
        place: &mut [MaybeUninit<u8>],
        spare: &mut [MaybeUninit<u8>],
    ) -> io::Result<(usize, bool)> {
        match self {
            Self::Plain(socket) => {
                let wanted = place.len() + spare.len();
                let bytes = if place.is_empty() {
                    socket.recv(spare)?
                } else {
                    let mut parts = [MaybeUninitSlice::new(place), MaybeUninitSlice::new(spare)];
                    socket.recv_vectored(&mut parts)?.0
                };
                // A short read means that the socket is empty.
                Ok((bytes, bytes == wanted))
            }
            Self::Tls(tls) => tls.recv(place, spare),
        }
    }

    /// Writes some of the parts, at least a byte; how many.
    pub(super) fn send(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.send_vectored(parts),
            Self::Tls(tls) => tls.send(parts),
        }
    }

    /// Writes what was taken and is still here, as far as the socket takes it.
    pub(super) fn flush(&self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(tls) => tls.flush(),
        }
    }

    /// Bytes that were taken and that the socket has not, at most.
    pub(super) fn waiting(&self) -> usize {
        match self {
            Self::Plain(_) => 0,
            Self::Tls(tls) => tls.waiting(),
        }
    }

    /// Grows while something comes; nothing if the kernel listens for it.
    pub(super) fn heard(&self) -> Option<u64> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(tls) => Some(tls.heard()),
        }
    }

    /// Says that no more will come. Repeated until nothing [waits](Self::waiting).
    pub(super) fn finish(&self) {
        if self.waiting() == 0 {
            let _ = self.socket().shutdown(Shutdown::Write);
        }
    }
}
