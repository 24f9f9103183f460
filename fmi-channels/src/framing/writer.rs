//! The sending half of a link: frames to bytes.
//!
//! A frame is written at once by whoever sends it, header and payload in one call; only what
//! the socket does not take is queued.

use super::{
    BEAT, ByteStream,
    sums::{self, SUMS},
};
use fmi_actors::{
    Payload,
    channel::Room,
    frame::{Frame, HEADER_LEN, SIGNATURE_LEN},
};
use std::{
    collections::VecDeque,
    io::{self, ErrorKind, IoSlice},
};

/// Queued bytes from which on user frames wait in their outbox, and all frames do.
const USER_QUEUE: usize = 256 << 10;
const RESERVED_QUEUE: usize = 1 << 20;
/// Frames written in one call.
const BATCH: usize = 32;

#[derive(Debug)]
pub(crate) struct Writer {
    /// Frames carry sums.
    checked: bool,
    queue: VecDeque<Outgoing>,
    /// Bytes of the first frame that are written.
    written: usize,
    queued: usize,
}

#[derive(Debug)]
struct Outgoing {
    head: [u8; HEADER_LEN + SIGNATURE_LEN + SUMS],
    head_len: usize,
    payload: Payload,
}

impl Outgoing {
    fn new(frame: Frame, checked: bool) -> Self {
        let mut head = [0; HEADER_LEN + SIGNATURE_LEN + SUMS];
        head[..HEADER_LEN].copy_from_slice(&frame.header.encode());
        let mut head_len = HEADER_LEN;
        if checked {
            let body = frame.payload.bytes().unwrap_or_default();
            let sums = sums::of(&head[..HEADER_LEN], frame.signature.as_ref(), body);
            head[HEADER_LEN..][..SUMS].copy_from_slice(&sums);
            head_len += SUMS;
        }
        if let Some(signature) = frame.signature {
            head[head_len..][..SIGNATURE_LEN].copy_from_slice(&signature.0);
            head_len += SIGNATURE_LEN;
        }
        Self { head, head_len, payload: frame.payload }
    }

    fn head(&self) -> &[u8] {
        &self.head[..self.head_len]
    }

    fn body(&self) -> &[u8] {
        self.payload.bytes().unwrap_or_default()
    }

    fn len(&self) -> usize {
        self.head_len + self.body().len()
    }
}

impl Writer {
    pub(crate) fn new(checked: bool) -> Self {
        Self { checked, queue: VecDeque::new(), written: 0, queued: 0 }
    }

    pub(crate) fn room(&self, stream: &impl ByteStream) -> Room {
        match self.queued + stream.waiting() {
            queued if queued < USER_QUEUE => Room::User,
            queued if queued < RESERVED_QUEUE => Room::Reserved,
            _ => Room::None,
        }
    }

    pub(crate) fn is_empty(&self, stream: &impl ByteStream) -> bool {
        self.queue.is_empty() && stream.waiting() == 0
    }

    /// Queues a frame and writes what the stream takes.
    pub(crate) fn send(&mut self, stream: &impl ByteStream, frame: Frame) -> io::Result<()> {
        self.push(stream, Outgoing::new(frame, self.checked))
    }

    /// Says that this side lives.
    pub(crate) fn beat(&mut self, stream: &impl ByteStream) -> io::Result<()> {
        let mut head = [0; HEADER_LEN + SIGNATURE_LEN + SUMS];
        head[..HEADER_LEN].copy_from_slice(&BEAT);
        let (head_len, payload) = (HEADER_LEN, Payload::empty());
        self.push(stream, Outgoing { head, head_len, payload })
    }

    fn push(&mut self, stream: &impl ByteStream, outgoing: Outgoing) -> io::Result<()> {
        let length = outgoing.len();
        let first = self.queue.is_empty();
        let mut written = 0;
        if first {
            // Mostly the stream takes it whole, and nothing has to be remembered.
            let parts = [IoSlice::new(outgoing.head()), IoSlice::new(outgoing.body())];
            written = match stream.send(&parts[..if outgoing.body().is_empty() { 1 } else { 2 }]) {
                Ok(written) => written,
                Err(error) if is_for_now(&error) => 0,
                Err(error) => return Err(error),
            };
            if written == length {
                return stream.flush();
            }
        }
        self.queued += length;
        self.queue.push_back(outgoing);
        if first {
            self.advance(written);
            self.flush(stream)?;
        }
        Ok(())
    }

    /// Writes until the queue is empty or the stream full.
    pub(crate) fn flush(&mut self, stream: &impl ByteStream) -> io::Result<()> {
        while !self.queue.is_empty() {
            let written = {
                let mut parts = [IoSlice::new(&[]); 2 * BATCH];
                let mut count = 0;
                for (index, outgoing) in self.queue.iter().take(BATCH).enumerate() {
                    let skip = if index == 0 { self.written } else { 0 };
                    let head = outgoing.head();
                    for part in [
                        &head[skip.min(head.len())..],
                        &outgoing.body()[skip.saturating_sub(head.len())..],
                    ] {
                        if !part.is_empty() {
                            parts[count] = IoSlice::new(part);
                            count += 1;
                        }
                    }
                }
                match stream.send(&parts[..count]) {
                    Ok(written) => written,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(error) => return Err(error),
                }
            };
            self.advance(written);
        }
        stream.flush()
    }

    fn advance(&mut self, bytes: usize) {
        self.queued -= bytes;
        self.written += bytes;
        while let Some(first) = self.queue.front()
            && self.written >= first.len()
        {
            self.written -= first.len();
            self.queue.pop_front();
        }
    }
}

fn is_for_now(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fmi_actors::frame::{Datatype, Flags, Header, Kind, Space};
    use socket2::{Domain, Socket, Type};
    use std::io::Read;

    #[test]
    fn partial_writes_lose_nothing() {
        let (ours, mut theirs) = Socket::pair(Domain::UNIX, Type::STREAM, None).unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut writer = Writer::new(false);
        let mut expected = Vec::new();
        for number in 0..200u32 {
            let body = vec![number as u8; 1 + 37 * number as usize];
            let header = Header {
                kind: Kind::Message,
                flags: Flags::default(),
                length: body.len() as u32,
                epoch: 1,
                source: 0,
                destination: 1,
                source_incarnation: 0,
                destination_incarnation: 0,
                space: Space::messages(1),
                tag: number,
                datatype: Datatype::BYTES,
                sequence: number,
                acknowledgement: 0,
                credit: [0; 2],
                message: number,
                total: body.len() as u64,
            };
            expected.extend(header.encode());
            expected.extend(&body);
            let payload = Payload::copy_from(&body, 1).unwrap();
            writer.send(&ours, Frame { header, signature: None, payload }).unwrap();
        }
        assert!(!writer.is_empty(&ours), "the socket takes less than all of it");
        let mut got: Vec<u8> = Vec::new();
        let mut buffer = [0; 4099];
        while got.len() < expected.len() {
            let bytes = theirs.read(&mut buffer).unwrap();
            got.extend(&buffer[..bytes]);
            writer.flush(&ours).unwrap();
        }
        assert!(got == expected && writer.is_empty(&ours) && writer.queued == 0);
    }
}
