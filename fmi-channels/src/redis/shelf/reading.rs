//! Reading what others have put there.

use super::{ABREAST, AlignedBuf, Error, Item, ItemKeys, PART, Part, Result, Shelf, cmd};
use crate::redis::{
    coding::{BadContent, ITEM_HEAD, ItemHead},
    script::READ,
};
use fmi_actors::service::Service;
use futures::stream::{self, StreamExt, TryStreamExt};
use redis::{Cmd, Value};
use std::{ops::Range, sync::atomic::Ordering, time::Duration};
use tokio::sync::oneshot;

/// How long the payload of a message may be missing while its sender lives, which puts it there once
/// more when it finds that the store has forgotten it.
const MISSING: Duration = Duration::from_secs(5);

impl Shelf {
    /// The head of an item and what is behind it, as soon as it is there.
    async fn wait(&self, item: Item, range: Option<Range<usize>>) -> Result<(ItemHead, Vec<u8>)> {
        let ItemKeys { key, slot } = self.keys(item)?;
        loop {
            let (tell, told) = oneshot::channel();
            self.waiting.lock().entry(key.clone()).or_default().push(tell);
            let get = || match &range {
                None => cmd("GET").arg(&key).take(),
                Some(range) => {
                    let last = range.end.saturating_sub(1);
                    cmd("GETRANGE").arg(&key).arg(range.start).arg(last).take()
                }
            };
            let answer = self.ask(slot, &format!("to read {key}"), get).await;
            self.waiting.lock().retain(|_, waiting| {
                waiting.retain(|waiting| !waiting.is_closed());
                !waiting.is_empty()
            });
            match answer? {
                Value::BulkString(bytes) if !bytes.is_empty() => {
                    let (head, content) =
                        ItemHead::read(&bytes).map_err(|why| self.altered(&key, &why))?;
                    return Ok((head, content.to_vec()));
                }
                Value::Nil | Value::BulkString(_) => {}
                _ => return Err(self.altered(&key, &BadContent::Foreign)),
            }
            match item.part {
                Part::Message(..) => self.missing(item, told).await?,
                // Also if nobody will ever ring.
                Part::Block(_) | Part::Signal => drop(told.await),
            }
        }
    }

    /// What should be there is not. Whether to look again.
    async fn missing(&self, item: Item, told: oneshot::Receiver<()>) -> Result<()> {
        let lost = || {
            let what = format!("the payload of a message of rank {}", item.from);
            Error::Lost { store: self.hub.target.to_string(), what }
        };
        if self.gone.lock().contains(&item.from) || self.hub.is_over() {
            return Err(lost());
        }
        let wait = async move { tokio::time::timeout(MISSING, told).await.is_ok() };
        super::on_service(wait).await.filter(|again| *again).map(|_| ()).ok_or_else(lost)
    }

    fn altered(&self, key: &str, why: &BadContent) -> Error {
        let reason = format!("what is there is {why}; does something else write fmi: keys there?");
        self.error(format_args!("to read {key}"), &reason)
    }

    /// Reads a range of parts.
    async fn parts(&self, keys: &ItemKeys, range: Range<u64>, buf: &mut AlignedBuf) -> Result<()> {
        let part = PART as u64;
        let pieces = (range.start / part..range.end.div_ceil(part)).map(|number| {
            let from = range.start.max(number * part) - number * part;
            let to = range.end.min((number + 1) * part) - number * part;
            let key = format!("{}:{number}", keys.key);
            let whole = from == 0 && to == part;
            async move {
                let get = || match whole {
                    true => cmd("GET").arg(&key).take(),
                    false => cmd("GETRANGE").arg(&key).arg(from).arg(to - 1).take(),
                };
                match self.ask(keys.slot, &format!("to read {key}"), get).await? {
                    Value::BulkString(bytes) if bytes.len() as u64 == to - from => Ok(bytes),
                    Value::Nil => Err(Error::Lost {
                        store: self.hub.target.to_string(),
                        what: format!("a part of what was published as {}", keys.key),
                    }),
                    _ => Err(self.altered(&key, &BadContent::Altered)),
                }
            }
        });
        let mut pieces = std::pin::pin!(stream::iter(pieces).buffered(ABREAST));
        while let Some(piece) = pieces.try_next().await? {
            buf.extend(&piece);
        }
        Ok(())
    }

    pub(super) async fn read_whole(&self, item: Item, align: usize) -> Result<AlignedBuf> {
        let (head, content) = self.wait(item, None).await?;
        let keys = self.keys(item)?;
        let total = usize::try_from(head.total)
            .map_err(|_| self.altered(&keys.key, &BadContent::Altered))?;
        let mut buf = AlignedBuf::with_capacity(total, align)?;
        match head.parts {
            0 if content.len() == total => buf.extend(&content),
            0 => return Err(self.altered(&keys.key, &BadContent::Altered)),
            _ => self.parts(&keys, 0..head.total, &mut buf).await?,
        }
        head.check(buf.as_slice()).map_err(|why| self.altered(&keys.key, &why))?;
        self.count(item);
        Ok(buf)
    }

    pub(super) async fn read_range(
        &self,
        item: Item,
        range: Range<u64>,
        align: usize,
        counts: bool,
    ) -> Result<AlignedBuf> {
        let keys = self.keys(item)?;
        let altered = || self.altered(&keys.key, &BadContent::Altered);
        let length = usize::try_from(range.end - range.start).map_err(|_| altered())?;
        let mut buf = AlignedBuf::with_capacity(length, align)?;
        let (head, _) = self.wait(item, Some(0..ITEM_HEAD)).await?;
        if range.end > head.total {
            return Err(altered());
        }
        match head.parts {
            _ if length == 0 => {}
            0 => {
                let (from, to) = (ITEM_HEAD as u64 + range.start, ITEM_HEAD as u64 + range.end - 1);
                let get = || cmd("GETRANGE").arg(&keys.key).arg(from).arg(to).take();
                match self.ask(keys.slot, &format!("to read {}", keys.key), get).await? {
                    Value::BulkString(bytes) if bytes.len() == length => buf.extend(&bytes),
                    _ => return Err(altered()),
                }
            }
            _ => self.parts(&keys, range, &mut buf).await?,
        }
        if counts {
            self.count(item);
        }
        Ok(buf)
    }

    /// Counts as a read. Nobody waits for it.
    pub(super) fn count(&self, item: Item) {
        let (Ok(keys), Ok(place)) = (self.keys(item), self.place()) else { return };
        let reader = format!("{}.{}", place.process, self.reads.fetch_add(1, Ordering::Relaxed));
        let ttl = self.hub.target.ttl.as_millis() as u64;
        let read = move || {
            let mut read = cmd("EVAL");
            read.arg(READ.text).arg(3).arg(&keys.all());
            read.arg(&reader).arg(ttl).take()
        };
        let Some(shelf) = self.itself.upgrade() else { return };
        let slot = self.keys(item).map(|keys| keys.slot).unwrap_or_default();
        let again = move |read: Box<dyn Fn() -> Cmd + Send + Sync>| async move {
            if let Err(error) = shelf.ask(slot, "to count a read", read).await {
                tracing::warn!(%error, "an item stays until its time is over");
            }
        };
        match self.hub.live(slot) {
            Some(connection) => connection.send(read(), move |answer| {
                if answer.is_err() {
                    Service::get().spawn(again(Box::new(read)));
                }
            }),
            None => Service::get().spawn(again(Box::new(read))),
        }
    }
}
