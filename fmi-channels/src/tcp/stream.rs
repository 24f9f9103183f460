//! What the bytes of a link go through: a socket, or TLS on one.

use super::tls::Tls;
use crate::framing::ByteStream;
use socket2::{MaybeUninitSlice, Socket};
use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    net::Shutdown,
};

/// The bytes of a connection, on their way in or out.
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

    /// Grows while something comes; nothing if the kernel listens for it.
    pub(super) fn heard(&self) -> Option<u64> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(tls) => Some(tls.heard()),
        }
    }

    /// Says that no more will come. Repeated until nothing [waits](ByteStream::waiting).
    pub(super) fn finish(&self) {
        if self.waiting() == 0 {
            let _ = self.socket().shutdown(Shutdown::Write);
        }
    }
}

impl ByteStream for Stream {
    fn recv(
        &self,
        place: &mut [MaybeUninit<u8>],
        spare: &mut [MaybeUninit<u8>],
    ) -> io::Result<(usize, bool)> {
        match self {
            Self::Plain(socket) => ByteStream::recv(socket, place, spare),
            Self::Tls(tls) => tls.recv(place, spare),
        }
    }

    fn send(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => ByteStream::send(socket, parts),
            Self::Tls(tls) => tls.send(parts),
        }
    }

    fn flush(&self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(tls) => tls.flush(),
        }
    }

    fn waiting(&self) -> usize {
        match self {
            Self::Plain(_) => 0,
            Self::Tls(tls) => tls.waiting(),
        }
    }
}

impl ByteStream for Socket {
    fn recv(
        &self,
        place: &mut [MaybeUninit<u8>],
        spare: &mut [MaybeUninit<u8>],
    ) -> io::Result<(usize, bool)> {
        let wanted = place.len() + spare.len();
        let bytes = if place.is_empty() {
            self.recv(spare)?
        } else {
            let mut parts = [MaybeUninitSlice::new(place), MaybeUninitSlice::new(spare)];
            self.recv_vectored(&mut parts)?.0
        };
        // A short read means that the socket is empty.
        Ok((bytes, bytes == wanted))
    }

    fn send(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send_vectored(parts)
    }
}
