//! What one process writes for another: objects with consecutive numbers, and which of them are
//! known to have been read.
//!
//! It outlives links. A number that was given to an object is written, whatever becomes of the link
//! that it was for: the reader takes objects in any order but misses none.

use super::{
    bucket::Bucket,
    counts::SPACE,
    error::Trouble,
    keys::Keys,
    ledger::Ledger,
    mail::{self, NUMBERS, REPORTS},
};
use bytes::Bytes;
use fmi_actors::frame::{Frame, Kind, Space};
use parking_lot::Mutex;
use std::{collections::VecDeque, sync::Arc};

/// Objects for one process.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) bucket: Arc<Bucket>,
    pub(super) keys: Arc<Keys>,
    pub(super) own: u32,
    pub(super) to: u32,
    ledger: Arc<Ledger>,
    state: Mutex<State>,
}

/// An object to be written.
#[derive(Debug)]
pub(super) struct Object {
    number: u64,
    bytes: Bytes,
    /// What its first message belongs to.
    space: Option<Space>,
}

#[derive(Debug)]
struct State {
    next: u64,
    /// Not known to have been read, by number.
    sent: VecDeque<Sent>,
    /// May have been written twice, and the reader has not been told.
    again: Vec<u64>,
    /// Given up by a link that the store was away from for too long.
    left: Vec<Object>,
}

#[derive(Debug)]
struct Sent {
    number: u64,
    /// It is in the store, or was.
    there: bool,
    /// Which link it was for.
    link: u64,
    /// Rank here, rank there, and the number after the last of their frames in it.
    upto: Vec<(u32, u32, u32)>,
}

/// What [`Outgoing::look`] found.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Frames that have been read: rank here, rank there, all before this number.
    pub(super) read: Vec<(u32, u32, u32)>,
    /// Something was read.
    pub(super) any: bool,
    /// The reader is to be told what may have been written twice.
    pub(super) tell: bool,
}

impl Outgoing {
    pub(super) fn new(
        bucket: Arc<Bucket>,
        keys: Arc<Keys>,
        ledger: Arc<Ledger>,
        own: u32,
        to: u32,
    ) -> Self {
        let state = State { next: 1, sent: VecDeque::new(), again: Vec::new(), left: Vec::new() };
        Self { bucket, keys, own, to, ledger, state: Mutex::new(state) }
    }

    fn key(&self, number: u64) -> String {
        self.keys.mail(self.to, self.own, number)
    }

    /// Makes the next object.
    pub(super) fn object(&self, link: u64, frames: &[Frame]) -> Object {
        let (number, again) = {
            let mut state = self.state.lock();
            let number = state.next;
            state.next += 1;
            state.sent.push_back(Sent { number, there: false, link, upto: upto(frames) });
            let told = state.again.len().min(NUMBERS);
            (number, state.again.drain(..told).collect::<Vec<_>>())
        };
        let reports = self.ledger.take_owed(self.to, REPORTS);
        let bytes = mail::encode(&self.key(number), &again, &reports, frames);
        let first = frames.iter().find(|frame| frame.header.kind != Kind::Ack);
        Object { number, bytes, space: first.map(|frame| frame.header.space) }
    }

    /// What a link before could not write.
    pub(super) fn left(&self) -> Option<Object> {
        self.state.lock().left.pop()
    }

    /// Writes an object. If that cannot be done now, the next link does it.
    pub(super) async fn put(&self, object: Object) -> Result<(), Trouble> {
        let key = self.key(object.number);
        let put = SPACE.scope(object.space, self.bucket.put(&key, &object.bytes)).await;
        let mut state = self.state.lock();
        match put {
            Ok(done) => {
                if done.doubtful {
                    state.again.push(object.number);
                }
                if let Some(sent) = state.sent.iter_mut().find(|sent| sent.number == object.number)
                {
                    sent.there = true;
                }
                Ok(())
            }
            Err(trouble) => {
                // The next attempt may be its second.
                state.again.push(object.number);
                state.left.push(object);
                Err(trouble)
            }
        }
    }

    /// Whether frames of a link are not known to have been read.
    pub(super) fn is_waiting(&self, link: u64) -> bool {
        let state = self.state.lock();
        state.sent.iter().any(|sent| sent.link == link && !sent.upto.is_empty())
    }

    /// Objects not known to have been read.
    pub(super) fn unread(&self) -> usize {
        self.state.lock().sent.len()
    }

    /// Looks what has been read of what was written for a link.
    ///
    /// The reader deletes in order: whichever object is gone, those before it have been read. So one
    /// request tells of all, mostly; if the last one is still there, another tells of the first half.
    pub(super) async fn look(&self, link: u64) -> Result<News, Trouble> {
        let (mut last, half, doubt) = {
            let state = self.state.lock();
            let there: Vec<_> =
                state.sent.iter().filter(|sent| sent.there).map(|sent| sent.number).collect();
            let Some(last) = there.last() else { return Ok(News::default()) };
            (*last, there[(there.len() - 1) / 2], !state.again.is_empty())
        };
        if self.bucket.has(&self.key(last)).await? {
            if half == last || self.bucket.has(&self.key(half)).await? {
                return Ok(News { tell: doubt, ..News::default() });
            }
            last = half;
        }
        let mut news = News { any: true, tell: doubt, ..News::default() };
        let mut state = self.state.lock();
        while let Some(sent) = state.sent.pop_front_if(|sent| sent.number <= last) {
            if sent.link == link {
                news.read.extend(sent.upto);
            }
        }
        Ok(news)
    }

    /// Nobody reads any more: deletes what is not known to have been read.
    pub(super) async fn delete_unread(&self) {
        let numbers: Vec<_> = {
            let mut state = self.state.lock();
            state.left.clear();
            let again: Vec<_> = state.again.drain(..).collect();
            state.sent.drain(..).map(|sent| sent.number).chain(again).collect()
        };
        let keys = numbers.into_iter().map(|number| self.key(number)).collect();
        let _ = self.bucket.delete_all(keys).await;
    }
}

/// The number after the last frame of each pair of ranks. Acknowledgements have no number.
fn upto(frames: &[Frame]) -> Vec<(u32, u32, u32)> {
    let mut upto: Vec<(u32, u32, u32)> = Vec::new();
    for header in frames.iter().map(|frame| frame.header).filter(|header| header.kind != Kind::Ack)
    {
        let after = header.sequence.wrapping_add(1);
        let (from, to) = (header.source, header.destination);
        match upto.iter_mut().find(|(source, destination, _)| (*source, *destination) == (from, to))
        {
            // Numbers wrap, and frames that are sent again come after later ones.
            Some((_, _, last)) if (after.wrapping_sub(*last) as i32) > 0 => *last = after,
            Some(_) => {}
            None => upto.push((from, to, after)),
        }
    }
    upto
}
