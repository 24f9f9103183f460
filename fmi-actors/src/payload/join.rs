//! Bytes in several parts: put together without a copy where they lie side by side, or stay in
//! the process.

use super::{AlignedBuf, Payload, Repr};
use crate::{Error, Result, copies::copy};
use std::sync::Arc;

/// Elements stay aligned wherever a part begins, if all parts are whole elements.
pub(super) const ALIGN: usize = 16;

impl Payload {
    /// The parts' bytes, one after the other. Slices that lie side by side in one buffer become
    /// one slice; else the parts are copied together only when they leave the process. Values
    /// are encoded.
    ///
    /// # Errors
    /// As [`into_wire`](Self::into_wire).
    pub fn join(parts: impl IntoIterator<Item = Self>) -> Result<Self> {
        let mut joined: Vec<Self> = Vec::new();
        for part in parts {
            let part = part.into_wire()?;
            if !joined.last_mut().is_some_and(|last| last.extend(&part)) {
                joined.push(part);
            }
        }
        Ok(match joined.len() {
            0 => Self::empty(),
            1 => joined.swap_remove(0),
            _ => Self(Repr::Rope(joined)),
        })
    }

    /// As [`join`](Self::join), copied into `buffer` if nobody else has it and it is as long.
    ///
    /// # Errors
    /// As [`into_wire`](Self::into_wire).
    pub fn join_into(parts: Vec<Self>, buffer: Arc<AlignedBuf>) -> Result<Self> {
        let Ok(mut buffer) = Arc::try_unwrap(buffer) else { return Self::join(parts) };
        if parts.iter().map(Self::size_hint).sum::<usize>() != buffer.len() {
            return Self::join(parts);
        }
        let mut rest = buffer.as_mut_slice();
        for part in parts {
            part.for_each_part(|bytes| {
                let (place, behind) = std::mem::take(&mut rest).split_at_mut(bytes.len());
                copy(bytes, place);
                rest = behind;
                Ok(())
            })?;
        }
        Ok(buffer.into())
    }

    /// Cuts the bytes into parts of these lengths, which share them.
    ///
    /// # Errors
    /// [`Error::Codec`] when there are more or fewer bytes than that;
    /// as [`into_wire`](Self::into_wire).
    pub fn cut(self, lengths: impl Iterator<Item = usize> + Clone) -> Result<Vec<Self>> {
        let (found, expected) = (self.size_hint(), lengths.clone().sum::<usize>());
        if found != expected {
            return Err(Error::Codec {
                what: "a message of several blocks".to_owned(),
                reason: format!("{found} bytes instead of {expected}"),
            });
        }
        let this = match self.0 {
            Repr::Rope(parts) if parts.iter().map(Self::size_hint).eq(lengths.clone()) => {
                return Ok(parts);
            }
            other => Self(other).into_wire()?,
        };
        let mut start = 0;
        let parts = lengths.map(|length| {
            start += length;
            this.slice(start - length..start)
        });
        Ok(parts.collect())
    }

    /// The parts in which the bytes lie, in order.
    ///
    /// # Errors
    /// As [`into_wire`](Self::into_wire).
    fn for_each_part(self, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        match self.0 {
            Repr::Rope(parts) => {
                for part in parts {
                    each(part.bytes().unwrap_or_default())?;
                }
                Ok(())
            }
            other => each(Self(other).into_wire()?.bytes().unwrap_or_default()),
        }
    }

    /// Takes in a part that lies right behind in the same buffer.
    fn extend(&mut self, part: &Self) -> bool {
        match (&mut self.0, &part.0) {
            (Repr::Shared { owner, range }, Repr::Shared { owner: other, range: next })
                if Arc::ptr_eq(owner, other) && range.end == next.start =>
            {
                range.end = next.end;
                true
            }
            _ => part.size_hint() == 0,
        }
    }
}

pub(super) fn flatten(parts: &[Payload], align: usize) -> Result<Payload> {
    let mut buf = AlignedBuf::with_capacity(parts.iter().map(Payload::size_hint).sum(), align)?;
    for part in parts {
        buf.extend(part.bytes().unwrap_or_default());
    }
    Ok(buf.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_become_one_slice() {
        let whole = Payload::from_vec((0..100u64).collect());
        let place = whole.bytes().unwrap().as_ptr();
        let lengths = [160, 0, 240, 400];
        let parts = whole.cut(lengths.into_iter()).unwrap();
        let joined = Payload::join(parts).unwrap();
        assert_eq!(joined.bytes().unwrap().as_ptr(), place);
        assert_eq!(joined.into_vec::<u64>().unwrap(), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn strangers_keep_their_places_until_they_leave() {
        let parts = || (0..3u8).map(|i| Payload::from_vec(vec![i; 50]));
        let rope = Payload::join(parts()).unwrap();
        assert!(rope.bytes().is_none());
        assert_eq!(rope.size_hint(), 150);
        let back = rope.cut([50, 50, 50].into_iter()).unwrap();
        assert_eq!(back[2].bytes().unwrap(), [2; 50]);
        let rope = Payload::join(parts()).unwrap();
        let halves = rope.cut([75, 75].into_iter()).unwrap();
        assert_eq!(halves[1].bytes().unwrap()[..26], [[1; 25].as_slice(), &[2]].concat());
    }

    #[test]
    fn another_length_is_an_error() {
        let parts = Payload::from_vec(vec![0u8; 50]).cut([20, 20].into_iter());
        assert!(matches!(parts, Err(Error::Codec { .. })));
    }
}
