//! A rank's workspace in a collective: its blocks, and how they become messages.
//!
//! Small blocks of one known length lie *flat* in one buffer: what is sent is copied out, what
//! comes is copied or combined in place. Others have a *slot* each, and are handed over: a send
//! shares or gives away the block's memory, and an operation writes into whichever operand
//! nobody else reads.

use crate::plan::{Blocks, Side};
use fmi_actors::{AlignedBuf, Error, Payload, Result, copies};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::{ops::Range, sync::Arc};

/// A reduce operation on content whose type is known where it was made.
pub(crate) trait Combiner: Send + Sync {
    /// Combines; the left one comes from the lower ranks.
    fn combine(&self, left: Payload, right: Payload) -> Result<Payload>;

    /// Combines elements into those `here`; `side` is where `other` stands. False if the
    /// operation cannot do that.
    fn combine_into(&self, here: &mut [u8], other: &[u8], side: Side) -> bool;
}

/// How long the blocks are, if all ranks know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lengths {
    /// So many bytes each.
    Even(usize),
    /// The blocks are one vector, cut: elements, bytes of one, pieces.
    Cut(usize, usize, usize),
    /// Each message says it.
    Unknown,
}

impl Lengths {
    /// Where a run of blocks lies if all lie one after the other.
    fn bytes(self, blocks: Range<usize>) -> Range<usize> {
        match self {
            Self::Even(bytes) => blocks.start * bytes..blocks.end * bytes,
            Self::Cut(elements, size, pieces) => {
                let at = |block: usize| {
                    (elements as u128 * block as u128 / pieces as u128) as usize * size
                };
                at(blocks.start)..at(blocks.end)
            }
            Self::Unknown => 0..0,
        }
    }

    fn total(self, blocks: &Blocks) -> usize {
        blocks.runs().map(|run| self.bytes(run).len()).sum()
    }
}

/// The blocks of one rank.
pub(crate) enum Store {
    Flat {
        buf: AlignedBuf,
        /// Those of the collective.
        blocks: usize,
        lengths: Lengths,
    },
    Slots {
        slots: FxHashMap<usize, Payload>,
        /// Those of the collective.
        blocks: usize,
        lengths: Lengths,
        /// The vector that was cut: the result goes there if nobody reads it any more.
        origin: Option<Arc<AlignedBuf>>,
    },
}

/// Workspaces up to this many bytes lie flat.
const FLAT_WORKSPACE: usize = 16 << 10;
/// Blocks up to this many bytes lie flat, whatever their number.
const FLAT_BLOCK: usize = 1 << 10;

impl Store {
    /// Empty, with so many blocks of the collective, and so many for others behind them, for elements of
    /// this alignment. `flat` if the operation, if there is one, can combine in place.
    pub(crate) fn new(
        blocks: usize,
        scratch: usize,
        lengths: Lengths,
        align: usize,
        flat: bool,
    ) -> Result<Self> {
        let all = blocks + scratch;
        let bytes = lengths.bytes(0..all).len();
        let small = bytes <= FLAT_WORKSPACE || bytes / all.max(1) <= FLAT_BLOCK;
        if !flat || all < 2 && bytes > FLAT_BLOCK || !small || lengths == Lengths::Unknown {
            // By number: of very many ranks' blocks most ranks see few.
            let slots = FxHashMap::default();
            return Ok(Self::Slots { slots, blocks, lengths, origin: None });
        }
        Ok(Self::Flat { buf: AlignedBuf::zeroed(bytes, align)?, blocks, lengths })
    }

    /// Without any blocks.
    pub(crate) fn none() -> Self {
        let (slots, lengths) = (FxHashMap::default(), Lengths::Unknown);
        Self::Slots { slots, blocks: 0, lengths, origin: None }
    }

    /// How many blocks of the collective there are.
    pub(crate) fn blocks(&self) -> usize {
        match self {
            Self::Flat { blocks, .. } | Self::Slots { blocks, .. } => *blocks,
        }
    }

    /// How long a block is, if all ranks know.
    pub(crate) fn length_of(&self, block: usize) -> Option<usize> {
        let (Self::Flat { lengths, .. } | Self::Slots { lengths, .. }) = self;
        (*lengths != Lengths::Unknown).then(|| lengths.bytes(block..block + 1).len())
    }

    /// Whether blocks that are given away save something.
    pub(crate) fn gives_away(&self) -> bool {
        matches!(self, Self::Slots { .. })
    }

    /// The content of blocks as one message. `last` if nobody needs them here any more.
    pub(crate) fn read(&mut self, blocks: &Blocks, last: bool) -> Result<Payload> {
        match self {
            Self::Flat { buf, lengths, .. } => gather(buf, blocks, *lengths),
            Self::Slots { slots, lengths, .. } => {
                let mut part = |block: usize| {
                    if last { take(slots, block) } else { share(slots, block) }
                };
                if blocks.len() == 1 {
                    return part(blocks.iter().next().unwrap_or(0));
                }
                let parts = blocks.iter().map(part).collect::<Result<Vec<_>>>()?;
                match lengths {
                    Lengths::Unknown if parts.is_empty() => Ok(Payload::empty()),
                    Lengths::Unknown => Ok(Payload::bundle(parts)),
                    _ => Payload::join(parts),
                }
            }
        }
    }

    /// The content of blocks, each as a message of its own. `last` as for [`read`](Self::read).
    pub(crate) fn read_each(
        &mut self,
        blocks: &Blocks,
        last: bool,
    ) -> Result<impl Iterator<Item = Result<(usize, Payload)>>> {
        let lengths = match self {
            Self::Flat { lengths, .. } | Self::Slots { lengths, .. } => *lengths,
        };
        // Lying flat, all of them are copied at once.
        let (whole, mut slots) = match self {
            Self::Flat { .. } => (Some(self.read(blocks, last)?), None),
            Self::Slots { slots, .. } => (None, Some(slots)),
        };
        let mut end = 0;
        Ok(blocks.iter().map(move |block| {
            let part = match (&whole, &mut slots) {
                (Some(whole), _) => {
                    let start = end;
                    end += lengths.bytes(block..block + 1).len();
                    let bytes = whole.bytes().unwrap_or_default();
                    match end - start {
                        few if few <= Payload::INLINE => Payload::copy_from(&bytes[start..end], 1)?,
                        _ => whole.slice(start..end),
                    }
                }
                (None, Some(slots)) if last => take(slots, block)?,
                (None, Some(slots)) => share(slots, block)?,
                (None, None) => return Err(empty(block)),
            };
            Ok((block, part))
        }))
    }

    /// Puts a message into blocks.
    pub(crate) fn write(&mut self, blocks: &Blocks, message: Payload) -> Result<()> {
        match self {
            Self::Flat { buf, lengths, .. } => scatter(buf, blocks, *lengths, message, copy),
            Self::Slots { slots, lengths, blocks: all, origin } => {
                if matches!(lengths, Lengths::Cut(..)) && *all > 1 && blocks.len() == *all {
                    *origin = message.whole_buffer();
                }
                slots.extend(blocks.iter().zip(split(blocks, *lengths, message)?));
                Ok(())
            }
        }
    }

    /// Combines a message with blocks; `side` is where it stands.
    pub(crate) fn combine(
        &mut self,
        blocks: &Blocks,
        message: Payload,
        side: Side,
        operation: &dyn Combiner,
    ) -> Result<()> {
        match self {
            Self::Flat { buf, lengths, .. } => {
                scatter(buf, blocks, *lengths, message, |here, other| {
                    if operation.combine_into(here, other, side) { Ok(()) } else { Err(refused()) }
                })
            }
            Self::Slots { slots, lengths, .. } => {
                for (block, part) in blocks.iter().zip(split(blocks, *lengths, message)?) {
                    let slot = slots.get_mut(&block).ok_or_else(|| empty(block))?;
                    let here = std::mem::replace(slot, Payload::empty());
                    *slot = match side {
                        Side::Left => operation.combine(part, here)?,
                        Side::Right => operation.combine(here, part)?,
                    };
                }
                Ok(())
            }
        }
    }

    /// Copies blocks to others.
    pub(crate) fn copy(&mut self, from: &Blocks, to: &Blocks) -> Result<()> {
        match self {
            Self::Flat { buf, lengths, .. }
                if from.as_range().is_some() && to.as_range().is_some() =>
            {
                let place = |blocks: &Blocks| lengths.bytes(blocks.as_range().unwrap_or(0..0));
                let (from, to) = (place(from), place(to));
                if from.len() != to.len() {
                    return Err(broken("a copy between blocks of different lengths"));
                }
                buf.as_mut_slice().copy_within(from, to.start);
                Ok(())
            }
            Self::Flat { .. } => {
                let message = self.read(from, false)?;
                self.write(to, message)
            }
            Self::Slots { slots, .. } => {
                for (from, to) in from.iter().zip(to.iter()) {
                    let value = share(slots, from)?;
                    slots.insert(to, value);
                }
                Ok(())
            }
        }
    }

    /// The blocks of a range as one value, or as the bytes of several, one after the other.
    pub(crate) fn into_one(self, blocks: Range<usize>) -> Result<Payload> {
        match self {
            Self::Flat { mut buf, lengths, .. } => {
                let bytes = lengths.bytes(blocks);
                if bytes.start == 0 {
                    buf.truncate(bytes.end);
                    return Ok(buf.into());
                }
                Ok(Payload::from(buf).slice(bytes))
            }
            Self::Slots { mut slots, origin, .. } => {
                let parts = blocks.map(|block| take(&mut slots, block));
                let parts = parts.collect::<Result<Vec<_>>>()?;
                match origin {
                    Some(origin) if parts.len() > 1 => Payload::join_into(parts, origin),
                    _ => Payload::join(parts),
                }
            }
        }
    }

    /// The blocks of a range, each by itself.
    pub(crate) fn into_each(self, blocks: Range<usize>) -> Result<Vec<Payload>> {
        match self {
            Self::Flat { buf, lengths, .. } => {
                let whole = Payload::from(buf);
                Ok(blocks.map(|block| whole.slice(lengths.bytes(block..block + 1))).collect())
            }
            Self::Slots { mut slots, .. } => blocks.map(|block| take(&mut slots, block)).collect(),
        }
    }
}

fn gather(buf: &AlignedBuf, blocks: &Blocks, lengths: Lengths) -> Result<Payload> {
    if let Some(range) = blocks.as_range() {
        return Payload::copy_from(&buf.as_slice()[lengths.bytes(range)], 16);
    }
    let mut message = AlignedBuf::with_capacity(lengths.total(blocks), 16)?;
    for run in blocks.runs() {
        message.extend(&buf.as_slice()[lengths.bytes(run)]);
    }
    Ok(message.into())
}

/// Gives each run of blocks its part of a message.
fn scatter(
    buf: &mut AlignedBuf,
    blocks: &Blocks,
    lengths: Lengths,
    message: Payload,
    put: impl Fn(&mut [u8], &[u8]) -> Result<()>,
) -> Result<()> {
    let message = message.into_wire()?;
    let mut bytes = message.bytes().unwrap_or_default();
    let wrong = |found: usize, expected| broken(&format!("{found} bytes instead of {expected}"));
    if let Some(place) = blocks.as_range().map(|range| lengths.bytes(range)) {
        return match bytes.len() == place.len() {
            true => put(&mut buf.as_mut_slice()[place], bytes),
            false => Err(wrong(bytes.len(), place.len())),
        };
    }
    let expected = lengths.total(blocks);
    if bytes.len() != expected {
        return Err(wrong(bytes.len(), expected));
    }
    for run in blocks.runs() {
        let place = lengths.bytes(run);
        let (part, rest) = bytes.split_at(place.len());
        put(&mut buf.as_mut_slice()[place], part)?;
        bytes = rest;
    }
    Ok(())
}

fn copy(here: &mut [u8], other: &[u8]) -> Result<()> {
    copies::copy(other, here);
    Ok(())
}

/// A message as its blocks.
fn split(blocks: &Blocks, lengths: Lengths, message: Payload) -> Result<SmallVec<[Payload; 1]>> {
    match (blocks.len(), lengths) {
        (0, _) => Ok(SmallVec::new()),
        (1, _) => Ok(SmallVec::from_buf([message])),
        (count, Lengths::Unknown) => {
            let parts = message.into_bundle()?;
            if parts.len() == count {
                return Ok(parts.into());
            }
            Err(broken(&format!("{} blocks in a message of {count}", parts.len())))
        }
        _ => {
            let lengths = blocks.iter().map(|block| lengths.bytes(block..block + 1).len());
            Ok(message.cut(lengths)?.into())
        }
    }
}

fn take(slots: &mut FxHashMap<usize, Payload>, block: usize) -> Result<Payload> {
    slots.remove(&block).ok_or_else(|| empty(block))
}

fn share(slots: &mut FxHashMap<usize, Payload>, block: usize) -> Result<Payload> {
    slots.get_mut(&block).ok_or_else(|| empty(block))?.share()
}

fn empty(block: usize) -> Error {
    broken(&format!("block {block} is empty"))
}

fn refused() -> Error {
    broken("the operation does not work on these bytes")
}

/// A plan that the checker would refuse, or bytes that no rank of ours sends.
pub(crate) fn broken(reason: &str) -> Error {
    Error::Codec { what: "a collective's message".to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Plus;

    impl Combiner for Plus {
        fn combine(&self, left: Payload, right: Payload) -> Result<Payload> {
            let (left, right) = (left.into_vec::<u32>()?, right.into_vec::<u32>()?);
            Ok(Payload::from_vec(left.iter().zip(&right).map(|(a, b)| a + b).collect()))
        }
        fn combine_into(&self, here: &mut [u8], other: &[u8], _side: Side) -> bool {
            let here: &mut [u32] = bytemuck::cast_slice_mut(here);
            let other = other.chunks_exact(4).map(|c| u32::from_le_bytes(c.try_into().unwrap()));
            here.iter_mut().zip(other).for_each(|(a, b)| *a += b);
            true
        }
    }

    fn numbers(range: Range<u32>) -> Payload {
        Payload::from_vec(range.collect())
    }

    fn both(lengths: Lengths, blocks: usize) -> [Store; 2] {
        let store = |flat| Store::new(blocks, 0, lengths, 4, flat).unwrap();
        assert!(matches!(store(true), Store::Flat { .. }));
        [store(true), store(false)]
    }

    #[test]
    fn flat_and_slots_do_the_same() {
        for mut store in both(Lengths::Even(12), 6) {
            store.write(&(0..6).into(), numbers(0..18)).unwrap();
            let odd = Blocks::strided(1, 1, 2, 6);
            let message = store.read(&odd, false).unwrap();
            assert_eq!(message.into_vec::<u32>().unwrap(), [3, 4, 5, 9, 10, 11, 15, 16, 17]);
            store.combine(&2.into(), numbers(100..103), Side::Right, &Plus).unwrap();
            store.copy(&(2..3).into(), &(0..1).into()).unwrap();
            store.write(&Blocks::wrapping(5, 2, 4..6), numbers(0..6)).unwrap();
            let all = store.into_one(0..6).unwrap().into_vec::<u32>().unwrap();
            let after = [106, 108, 110, 3, 4, 5, 106, 108, 110, 9, 10, 11, 3, 4, 5, 0, 1, 2];
            assert_eq!(all, after);
        }
    }

    #[test]
    fn uneven_pieces_of_a_vector() {
        for mut store in both(Lengths::Cut(7, 4, 3), 3) {
            for (block, part) in [(0, 0..2), (1, 2..4), (2, 4..7)] {
                store.write(&block.into(), numbers(part)).unwrap();
            }
            let all = store.read(&(0..3).into(), false).unwrap();
            assert_eq!(all.into_vec::<u32>().unwrap(), (0..7).collect::<Vec<_>>());
            let each = store.into_each(1..3).unwrap();
            assert_eq!(each.iter().map(Payload::size_hint).collect::<Vec<_>>(), [8, 12]);
        }
    }

    #[test]
    fn values_of_unknown_length_travel_in_bundles() {
        let mut store = Store::new(3, 0, Lengths::Unknown, 1, true).unwrap();
        store.write(&0.into(), Payload::value("first".to_owned())).unwrap();
        store.write(&1.into(), Payload::empty()).unwrap();
        let message = store.read(&(0..2).into(), true).unwrap().into_wire().unwrap();
        assert!(store.read(&0.into(), false).is_err(), "given away");
        store.write(&(1..3).into(), message).unwrap();
        let mut each = store.into_each(1..3).unwrap();
        assert_eq!(each.pop().unwrap().size_hint(), 0);
        assert_eq!(each.pop().unwrap().into_value::<String>().unwrap(), "first");
    }

    #[test]
    fn a_message_of_another_length_is_an_error() {
        for mut store in both(Lengths::Even(12), 2) {
            assert!(store.write(&(0..2).into(), numbers(0..5)).is_err());
        }
    }
}
