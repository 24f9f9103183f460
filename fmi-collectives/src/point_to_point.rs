//! Point-to-point messages of a communicator.

use crate::{
    Communicator, Message,
    message::{Extent, name, name_of},
    operation::{Operation, Trouble, WaitsFor},
};
use fmi_actors::{
    Error, Result,
    endpoint::{ProbeFuture, RecvFuture},
    frame::Space,
    mailbox::{Envelope, Filter},
    pair::{Arrival, Body},
};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// Any sender, or any tag.
///
/// ```
/// use fmi_collectives::{ANY, Source, TagFilter};
/// assert_eq!(Source::from(ANY), Source::Any);
/// assert_eq!(TagFilter::from(7), TagFilter::Tag(7));
/// ```
pub const ANY: Any = Any;

/// The type of [`ANY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Any;

/// Whose messages a receive takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Anybody's.
    Any,
    /// This rank's.
    Rank(usize),
}

/// Messages with which tag a receive takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagFilter {
    /// With any.
    Any,
    /// With this one.
    Tag(u32),
}

impl From<Any> for Source {
    fn from(_: Any) -> Self {
        Self::Any
    }
}

impl From<Any> for TagFilter {
    fn from(_: Any) -> Self {
        Self::Any
    }
}

impl From<usize> for Source {
    fn from(rank: usize) -> Self {
        Self::Rank(rank)
    }
}

// Integer literals without a type are i32.
impl From<i32> for Source {
    fn from(rank: i32) -> Self {
        Self::Rank(usize::try_from(rank).unwrap_or(usize::MAX))
    }
}

impl From<u32> for TagFilter {
    fn from(tag: u32) -> Self {
        Self::Tag(tag)
    }
}

impl From<i32> for TagFilter {
    fn from(tag: i32) -> Self {
        Self::Tag(tag.cast_unsigned())
    }
}

/// The envelope of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Rank of the sender.
    pub source: usize,
    /// Its tag.
    pub tag: u32,
    /// Its length in bytes. Of a value handed over inside the process without having been
    /// encoded, the size of its struct.
    pub bytes: usize,
}

impl Communicator {
    /// Sends a value to a rank.
    ///
    /// Posted when called; ends when the message is in the outbox, which is at once while that
    /// has room. Messages from one rank to another match in the order sent, whatever their tags.
    ///
    /// # Errors
    /// [`Error::RankOutOfRange`]; [`Error::RankLost`]; [`Error::Codec`] when the value refuses
    /// to be encoded; [`Error::Timeout`] when the receiver takes nothing.
    pub fn send<T: Message>(
        &self,
        value: T,
        to: usize,
        tag: u32,
    ) -> Operation<impl Future<Output = Result<(), Trouble>> + Send + use<T>> {
        self.post_send("send", value, to, tag, false)
    }

    /// As [`send`](Self::send), but ends when the receiver has matched the message.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn ssend<T: Message>(
        &self,
        value: T,
        to: usize,
        tag: u32,
    ) -> Operation<impl Future<Output = Result<(), Trouble>> + Send + use<T>> {
        self.post_send("ssend", value, to, tag, true)
    }

    /// Receives a value. Its length need not be known.
    ///
    /// Joins the match queue when called. Cancel-safe: if the future is dropped, a message that
    /// it had taken goes back to the front of the queue.
    ///
    /// # Errors
    /// [`Error::Type`] or [`Error::Length`] when another type or length was sent (the message
    /// is gone then); [`Error::RankLost`]; [`Error::Timeout`]; [`Error::TooLarge`];
    /// [`Error::RankOutOfRange`].
    pub fn recv<T: Message>(
        &self,
        from: impl Into<Source>,
        tag: impl Into<TagFilter>,
    ) -> Operation<Receive<T>> {
        self.post_recv("recv", from.into(), tag.into(), |value, _| value)
    }

    /// As [`recv`](Self::recv), with the message's source, tag and length.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_status<T: Message>(
        &self,
        from: impl Into<Source>,
        tag: impl Into<TagFilter>,
    ) -> Operation<Receive<T, (T, Status)>> {
        self.post_recv("recv", from.into(), tag.into(), |value, status| (value, status))
    }

    /// Sends to one rank and receives from another at once; two ranks that do so with each
    /// other cannot block each other.
    ///
    /// # Errors
    /// As [`send`](Self::send) and [`recv`](Self::recv).
    pub fn sendrecv<T: Message, U: Message>(
        &self,
        value: T,
        to: usize,
        send_tag: u32,
        from: usize,
        recv_tag: u32,
    ) -> Operation<impl Future<Output = Result<U, Trouble>> + Send + use<T, U>> {
        let send = self.post_send("sendrecv", value, to, send_tag, false);
        let recv = self.post_recv("sendrecv", from.into(), recv_tag.into(), |value, _| value);
        Operation::new(self, "sendrecv", WaitsFor::Nobody, async move {
            let ((), value) = futures::try_join!(send, recv).map_err(Trouble::Error)?;
            Ok(value)
        })
    }

    /// Waits for a message without receiving it.
    ///
    /// # Errors
    /// [`Error::RankLost`]; [`Error::Timeout`]; [`Error::RankOutOfRange`].
    pub fn probe(&self, from: impl Into<Source>, tag: impl Into<TagFilter>) -> Operation<Probe> {
        let (from, tag) = (from.into(), tag.into());
        let (filter, refused) = self.filter("probe", from, tag);
        let posted = self.endpoint().probe(Space::messages(self.scope()), filter);
        let probe = Probe { posted, communicator: self.clone() };
        Operation::new(self, "probe", waits_for(from), probe).refused(refused)
    }

    /// The envelope of such a message, if one is here.
    ///
    /// # Errors
    /// [`Error::RankOutOfRange`].
    pub fn iprobe(
        &self,
        from: impl Into<Source>,
        tag: impl Into<TagFilter>,
    ) -> Result<Option<Status>> {
        let (filter, refused) = self.filter("iprobe", from.into(), tag.into());
        match refused {
            Some(error) => Err(error),
            None => {
                let envelope = self.endpoint().peek(Space::messages(self.scope()), filter);
                Ok(envelope.map(|envelope| self.status_of(&envelope)))
            }
        }
    }

    fn post_send<T: Message>(
        &self,
        name: &'static str,
        value: T,
        to: usize,
        tag: u32,
        sync: bool,
    ) -> Operation<impl Future<Output = Result<(), Trouble>> + Send + use<T>> {
        let refused = self.check_rank(name, to).err();
        let posted = refused.is_none().then(|| {
            let space = Space::messages(self.scope());
            let to = self.world_rank(to);
            self.endpoint().send(space, to, tag, T::datatype(), value.into_payload(), sync)
        });
        Operation::new(self, name, WaitsFor::Peer(to), async move {
            match posted {
                Some(posted) => Ok(posted.await?),
                None => Ok(()),
            }
        })
        .refused(refused)
    }

    fn post_recv<T: Message, R>(
        &self,
        name: &'static str,
        from: Source,
        tag: TagFilter,
        pick: fn(T, Status) -> R,
    ) -> Operation<Receive<T, R>> {
        let (filter, refused) = self.filter(name, from, tag);
        let posted = self.endpoint().recv(Space::messages(self.scope()), filter);
        let receive = Receive { posted, communicator: self.clone(), pick };
        Operation::new(self, name, waits_for(from), receive).refused(refused)
    }

    fn filter(&self, name: &'static str, from: Source, tag: TagFilter) -> (Filter, Option<Error>) {
        let refused = match from {
            Source::Rank(rank) => self.check_rank(name, rank).err(),
            Source::Any => None,
        };
        let source = match from {
            Source::Rank(rank) if refused.is_none() => Some(self.world_rank(rank)),
            // Matches nothing; the operation is refused anyway.
            Source::Rank(_) => Some(u32::MAX),
            Source::Any => None,
        };
        let tag = match tag {
            TagFilter::Tag(tag) => Some(tag),
            TagFilter::Any => None,
        };
        (Filter { source, tag }, refused)
    }

    fn status_of(&self, envelope: &Envelope) -> Status {
        Status {
            source: self.group_rank(envelope.source),
            tag: envelope.tag,
            bytes: usize::try_from(envelope.total).unwrap_or(usize::MAX),
        }
    }

    fn open_message<T: Message>(&self, arrival: Arrival) -> Result<T> {
        let (rank, peer) = (self.rank(), self.group_rank(arrival.source));
        let Body::Here(payload) = arrival.body else {
            unreachable!("receives end with the payload")
        };
        if arrival.datatype != T::datatype() {
            let (expected, found) = (name::<T>(), name_of(arrival.datatype));
            return Err(Error::Type { rank, peer, expected, found });
        }
        if T::extent() != Extent::Opaque {
            let found = payload.size_hint();
            let wrong = |expected| Error::Length { rank, peer, expected, found };
            T::extent().check(found).map_err(wrong)?;
        }
        T::from_payload(payload)
    }
}

/// The future of a receive.
#[derive(Debug)]
pub struct Receive<T, R = T> {
    posted: RecvFuture,
    communicator: Communicator,
    pick: fn(T, Status) -> R,
}

impl<T: Message, R> Future for Receive<T, R> {
    type Output = Result<R, Trouble>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let arrival = ready!(Pin::new(&mut self.posted).poll(context))?;
        let status = self.communicator.status_of(&Envelope::from(&arrival));
        Poll::Ready(Ok((self.pick)(self.communicator.open_message(arrival)?, status)))
    }
}

/// The future of a probe.
#[derive(Debug)]
pub struct Probe {
    posted: ProbeFuture,
    communicator: Communicator,
}

impl Future for Probe {
    type Output = Result<Status, Trouble>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let envelope = ready!(Pin::new(&mut self.posted).poll(context))?;
        Poll::Ready(Ok(self.communicator.status_of(&envelope)))
    }
}

fn waits_for(from: Source) -> WaitsFor {
    match from {
        Source::Any => WaitsFor::Nobody,
        Source::Rank(rank) => WaitsFor::Peer(rank),
    }
}
