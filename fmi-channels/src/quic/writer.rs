//! The sending half of a QUIC link: frames to bytes of one of two streams.
//!
//! Pieces of payloads and long messages have a stream of their own, so that short frames need not
//! wait behind them. The bytes of a payload are not copied before they are encrypted.

use bytes::Bytes;
use fmi_actors::{
    Result,
    channel::Room,
    frame::{Frame, HEADER_LEN, Kind, SIGNATURE_LEN},
};
use quinn::{SendStream, WriteError};
use std::{
    collections::VecDeque,
    pin::pin,
    task::{Context, Poll},
};

/// Queued bytes from which on user frames wait in their outbox, and all frames do.
const USER_QUEUE: usize = 256 << 10;
const RESERVED_QUEUE: usize = 1 << 20;
/// Payloads up to this length are copied behind their header.
const COPIED: usize = 2 << 10;
/// Messages from this length on go over the stream for long frames.
const LONG: u32 = 16 << 10;

#[derive(Debug)]
pub(super) struct Writer {
    short: Lane,
    long: Lane,
}

impl Writer {
    pub(super) fn new(short: SendStream, long: SendStream) -> Self {
        // Which of the two is sent first is decided packet by packet.
        let _ = short.set_priority(1);
        Self { short: Lane::new(short), long: Lane::new(long) }
    }

    pub(super) fn room(&self) -> Room {
        match self.short.queued + self.long.queued {
            queued if queued < USER_QUEUE => Room::User,
            queued if queued < RESERVED_QUEUE => Room::Reserved,
            _ => Room::None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.short.queue.is_empty() && self.long.queue.is_empty()
    }

    /// Queues a frame and writes what the connection takes.
    pub(super) fn send(
        &mut self,
        frame: Frame,
        context: &mut Context<'_>,
    ) -> Result<(), WriteError> {
        let long = frame.header.kind == Kind::Data || frame.header.length >= LONG;
        let lane = if long { &mut self.long } else { &mut self.short };
        lane.push(frame);
        if lane.queue.len() == 1 {
            lane.flush(context)?;
        }
        Ok(())
    }

    /// Writes until the queues are empty or the connection takes no more.
    pub(super) fn flush(&mut self, context: &mut Context<'_>) -> Result<(), WriteError> {
        self.short.flush(context)?;
        self.long.flush(context)
    }

    /// Forgets what is queued.
    pub(super) fn clear(&mut self) {
        for lane in [&mut self.short, &mut self.long] {
            lane.queue.clear();
            lane.queued = 0;
        }
    }

    /// Says that no more will come. The future waits until all is acknowledged.
    pub(super) fn finish(&mut self) -> impl Future<Output = ()> + Send + 'static + use<> {
        // An error says that it is finished, or that nobody listens any more.
        let (_, _) = (self.short.stream.finish(), self.long.stream.finish());
        let (short, long) = (self.short.stream.stopped(), self.long.stream.stopped());
        async move {
            let (_, _) = (short.await, long.await);
        }
    }
}

/// One of the two streams, and what it did not take yet.
#[derive(Debug)]
struct Lane {
    stream: SendStream,
    queue: VecDeque<[Bytes; 2]>,
    queued: usize,
}

impl Lane {
    fn new(stream: SendStream) -> Self {
        Self { stream, queue: VecDeque::new(), queued: 0 }
    }

    fn push(&mut self, frame: Frame) {
        let Frame { header, signature, payload } = frame;
        let body = payload.bytes().unwrap_or_default();
        let copied = if body.len() <= COPIED { body.len() } else { 0 };
        let mut head = Vec::with_capacity(HEADER_LEN + SIGNATURE_LEN + copied);
        head.extend_from_slice(&header.encode());
        if let Some(signature) = signature {
            head.extend_from_slice(&signature.0);
        }
        head.extend_from_slice(&body[..copied]);
        let rest = match copied {
            0 if !body.is_empty() => payload.into_bytes().unwrap_or_default(),
            _ => Bytes::new(),
        };
        self.queued += head.len() + rest.len();
        self.queue.push_back([head.into(), rest]);
    }

    fn flush(&mut self, context: &mut Context<'_>) -> Result<(), WriteError> {
        while let Some(chunks) = self.queue.front_mut() {
            match pin!(self.stream.write_chunks(chunks)).poll(context) {
                Poll::Ready(Ok(written)) => self.queued -= written.bytes,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(()),
            }
            if chunks.iter().all(Bytes::is_empty) {
                self.queue.pop_front();
            }
        }
        Ok(())
    }
}
