//! TLS on a socket that never blocks: rustls does the records, this moves them.
//!
//! Sending: what is given is sealed into records and written at once; nothing more is taken while
//! a record waits for the socket, so at most [`SEALED`] bytes wait here, and the frames behind
//! them in the link's queue as they are. Receiving: one read brings many records; what they hold
//! is copied to where the reader wants it.
//!
//! No `close_notify` is sent. It would protect from an end that somebody else makes of the stream,
//! and the pair layer does that already: it knows what has not arrived, whatever the end looks
//! like. And rustls must not come upon a damaged record once it has said it (a debug assertion),
//! though we read on until the peer ends as well.

use parking_lot::Mutex;
use rustls::Connection;
use socket2::Socket;
use std::{
    io::{self, BufRead, ErrorKind, IoSlice, Write},
    mem::MaybeUninit,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

/// Bytes that are sealed ahead of the socket, and bytes that one read of it may bring.
const SEALED: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Tls {
    socket: Socket,
    session: Mutex<Session>,
    /// Records wait for the socket.
    waiting: AtomicBool,
    /// How often something was opened. What only comes says nothing: a damaged length lets a record
    /// that is never whole take in all that follows.
    heard: AtomicU64,
}

struct Session {
    connection: Connection,
    /// Records that were read and not opened: `start..end` of it.
    sealed: Box<[u8]>,
    start: usize,
    end: usize,
    /// The last read found no more than it brought.
    drained: bool,
    /// Why nothing that comes can be opened any more.
    broken: Option<rustls::Error>,
}

/// What came of opening records.
enum Opened {
    Some,
    /// None was whole, or none held anything.
    Nothing,
    /// The peer has said that it ends.
    End,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session(…)")
    }
}

impl Tls {
    /// A connection whose handshake is over, on its socket.
    pub(super) fn new(socket: Socket, mut connection: Connection) -> Self {
        connection.set_buffer_limit(Some(SEALED));
        let session = Session {
            connection,
            sealed: vec![0; SEALED].into(),
            start: 0,
            end: 0,
            drained: false,
            broken: None,
        };
        Self {
            socket,
            session: Mutex::new(session),
            waiting: AtomicBool::new(false),
            heard: AtomicU64::new(0),
        }
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// See [`Stream::recv`](super::stream::Stream::recv).
    pub(super) fn recv(
        &self,
        place: &mut [MaybeUninit<u8>],
        spare: &mut [MaybeUninit<u8>],
    ) -> io::Result<(usize, bool)> {
        let wanted = place.len() + spare.len();
        let mut session = self.session.lock();
        let mut got = 0;
        let over = loop {
            got += session.take(place, spare, got);
            if got == wanted {
                break Ok(true);
            }
            if session.start < session.end || session.broken.is_some() {
                match session.open() {
                    Ok(Opened::Some) => _ = self.heard.fetch_add(1, Ordering::Relaxed),
                    Ok(Opened::Nothing) => {}
                    Ok(Opened::End) => break Ok(true),
                    Err(error) => break Err(error),
                }
                // What a new key makes rustls say. If it cannot be said, the next write finds out.
                let _ = self.push(&mut session);
            } else if got > 0 && !session.drained {
                // Whoever writes has a turn before the next read.
                break Ok(true);
            } else if std::mem::take(&mut session.drained) {
                break Err(ErrorKind::WouldBlock.into());
            } else {
                match session.fill(&self.socket) {
                    Ok(0) => break Ok(true),
                    Ok(_) => {}
                    Err(error) => break Err(error),
                }
            }
        };
        match over {
            // An error is found again by the next call.
            Err(error) if got > 0 => Ok((got, error.kind() != ErrorKind::WouldBlock)),
            over => Ok((got, over?)),
        }
    }

    /// See [`Stream::send`](super::stream::Stream::send).
    pub(super) fn send(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut session = self.session.lock();
        self.push(&mut session)?;
        if self.waiting() > 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let taken = session.connection.writer().write_vectored(parts)?;
        self.push(&mut session)?;
        if taken == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }

    /// See [`Stream::flush`](super::stream::Stream::flush).
    pub(super) fn flush(&self) -> io::Result<()> {
        if self.waiting() > 0 { self.push(&mut self.session.lock()) } else { Ok(()) }
    }

    pub(super) fn waiting(&self) -> usize {
        if self.waiting.load(Ordering::Acquire) { SEALED } else { 0 }
    }

    /// Grows while something comes that can be opened.
    pub(super) fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// Writes records until there are none or the socket is full.
    fn push(&self, session: &mut Session) -> io::Result<()> {
        let result = loop {
            if !session.connection.wants_write() {
                break Ok(());
            }
            match session.connection.write_tls(&mut &self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.waiting.store(result.is_ok() && session.connection.wants_write(), Ordering::Release);
        result
    }
}

impl Session {
    /// Moves what is open to behind the `got` bytes that are in place.
    fn take(
        &mut self,
        place: &mut [MaybeUninit<u8>],
        spare: &mut [MaybeUninit<u8>],
        got: usize,
    ) -> usize {
        let mut taken = 0;
        loop {
            let at = got + taken;
            let free = match at.checked_sub(place.len()) {
                None => &mut place[at..],
                Some(at) => &mut spare[at..],
            };
            let mut reader = self.connection.reader();
            // Its errors are that there is nothing, or none any more; both are seen elsewhere.
            let open = reader.fill_buf().unwrap_or_default();
            let bytes = open.len().min(free.len());
            if bytes == 0 {
                return taken;
            }
            free[..bytes].write_copy_of_slice(&open[..bytes]);
            reader.consume(bytes);
            taken += bytes;
        }
    }

    /// Opens some of the records that were read.
    fn open(&mut self) -> io::Result<Opened> {
        if self.broken.is_none() {
            let mut sealed = &self.sealed[self.start..self.end];
            let bytes = self.connection.read_tls(&mut sealed)?;
            self.start += bytes;
            match self.connection.process_new_packets() {
                Ok(_) if bytes == 0 => return Ok(Opened::End),
                Ok(state) if state.plaintext_bytes_to_read() > 0 => return Ok(Opened::Some),
                Ok(_) => return Ok(Opened::Nothing),
                Err(error) => self.broken = Some(error),
            }
        }
        Err(io::Error::new(
            ErrorKind::InvalidData,
            self.broken.clone().map_or_else(String::new, |error| error.to_string()),
        ))
    }

    /// Reads the socket.
    fn fill(&mut self, mut socket: &Socket) -> io::Result<usize> {
        (self.start, self.end) = (0, 0);
        let bytes = io::Read::read(&mut socket, &mut self.sealed)?;
        self.end = bytes;
        self.drained = 0 < bytes && bytes < self.sealed.len();
        Ok(bytes)
    }
}
