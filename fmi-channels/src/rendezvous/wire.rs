//! Frames on a stream: the bounded halves that both ends of a connection drive.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
};

use bytes::{Buf, Bytes, BytesMut};
use fmi_actors::{Result, codec};
use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A message as a frame, ready to be shared by any number of connections.
pub(super) fn frame<T: Serialize>(message: &T) -> Bytes {
    // Only this module's own plain types come here; none of them refuses.
    let body = codec::encode(message).expect("own types encode");
    let length = u32::try_from(body.len()).expect("limits keep messages below 4 GiB");
    [&length.to_le_bytes()[..], &body].concat().into()
}

/// Why a peer's bytes are not a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadFrame {
    #[error("a frame of {length} bytes, at most {limit} are allowed")]
    TooLong { length: usize, limit: usize },
    #[error("{0}")]
    Garbage(String),
}

/// What arrived and is not decoded yet. Holds at most one frame and a read more.
#[derive(Debug)]
pub(super) struct Inbox {
    bytes: BytesMut,
    limit: usize,
}

impl Inbox {
    pub(super) fn new(limit: usize) -> Self {
        Self { bytes: BytesMut::new(), limit }
    }

    /// Reads once; 0 is the end. Nothing is lost when the future is dropped.
    pub(super) async fn read<R: AsyncRead + Unpin>(&mut self, from: &mut R) -> io::Result<usize> {
        // An idle connection keeps little; a long frame doubles its way up as its bytes come.
        self.bytes.reserve(self.bytes.len().clamp(512, 64 * 1024));
        from.read_buf(&mut self.bytes).await
    }

    /// The next whole message, if it is there.
    pub(super) fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, BadFrame> {
        let Some(head) = self.bytes.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_le_bytes(*head) as usize;
        if length > self.limit {
            return Err(BadFrame::TooLong { length, limit: self.limit });
        }
        if self.bytes.len() < 4 + length {
            return Ok(None);
        }
        self.bytes.advance(4);
        let body = self.bytes.split_to(length);
        if self.bytes.is_empty() {
            // Frees a large frame's memory.
            self.bytes = BytesMut::new();
        }
        codec::decode(&body).map(Some).map_err(|error| BadFrame::Garbage(error.to_string()))
    }
}

/// Frames on their way out.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    frames: VecDeque<Bytes>,
    /// Something was written that may not have left.
    unflushed: bool,
}

impl Outbox {
    pub(super) fn push(&mut self, frame: Bytes) {
        self.frames.push_back(frame);
    }

    /// Nothing is left to do.
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty() && !self.unflushed
    }

    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Writes once; the last time, makes sure that it leaves. What was written is taken off, also
    /// when the future is dropped.
    pub(super) async fn write<W: AsyncWrite + Unpin>(&mut self, to: &mut W) -> io::Result<()> {
        if !self.frames.is_empty() {
            let slices: Vec<_> = self.frames.iter().take(64).map(|f| IoSlice::new(f)).collect();
            let mut written = to.write_vectored(&slices).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.unflushed = true;
            while let Some(front) = self.frames.front_mut() {
                if written < front.len() {
                    front.advance(written);
                    return Ok(());
                }
                written -= front.len();
                self.frames.pop_front();
            }
        }
        to.flush().await?;
        self.unflushed = false;
        Ok(())
    }

    /// Writes all there is.
    pub(super) async fn flush<W: AsyncWrite + Unpin>(&mut self, to: &mut W) -> io::Result<()> {
        while !self.is_empty() {
            self.write(to).await?;
        }
        to.flush().await
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    /// Everything an inbox makes of `bytes` that come in pieces.
    fn decoded(bytes: &[u8], piece: usize) -> Result<Vec<Vec<u32>>, BadFrame> {
        let mut inbox = Inbox::new(1000);
        let mut out = Vec::new();
        for mut chunk in bytes.chunks(piece) {
            while block_on(inbox.read(&mut chunk)).unwrap() > 0 {}
            while let Some(message) = inbox.next()? {
                out.push(message);
            }
        }
        Ok(out)
    }

    #[test]
    fn forged_length_allocates_nothing() {
        let mut inbox = Inbox::new(1000);
        let mut bytes = &[0xff_u8; 12][..];
        block_on(inbox.read(&mut bytes)).unwrap();
        assert_eq!(
            inbox.next::<u32>(),
            Err(BadFrame::TooLong { length: u32::MAX as usize, limit: 1000 })
        );
        assert!(inbox.bytes.capacity() < 4096);
    }

    #[test]
    fn partial_writes_keep_the_rest() {
        let mut outbox = Outbox::default();
        for n in 0..100u32 {
            outbox.push(frame(&vec![n; 50]));
        }
        let (mut near, mut far) = tokio::io::duplex(7);
        let received = block_on(async {
            let read = async {
                let mut inbox = Inbox::new(1000);
                let mut out: Vec<Vec<u32>> = Vec::new();
                while inbox.read(&mut far).await.unwrap() > 0 {
                    while let Some(message) = inbox.next().unwrap() {
                        out.push(message);
                    }
                }
                out
            };
            let write = async {
                outbox.flush(&mut near).await.unwrap();
                drop(near);
            };
            tokio::join!(read, write).0
        });
        assert_eq!(received, (0..100).map(|n| vec![n; 50]).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn frames_survive_any_cut(
            messages in proptest::collection::vec(
                proptest::collection::vec(any::<u32>(), 0..20), 0..10),
            piece in 1..40usize,
        ) {
            let bytes = messages.iter().flat_map(|m| frame(m).to_vec()).collect::<Vec<_>>();
            prop_assert_eq!(decoded(&bytes, piece), Ok(messages));
        }

        #[test]
        fn random_bytes_are_messages_or_an_error(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            piece in 1..40usize,
        ) {
            let _ = decoded(&bytes, piece);
        }
    }
}
