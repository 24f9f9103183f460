//! What a message carries: bytes that can be shared, or a value that has not left the process.

mod aligned;
mod join;
pub(crate) mod pool;

pub use aligned::AlignedBuf;

use crate::{Error, Result, codec};
use bytemuck::Pod;
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use std::{any::Any, fmt, ops::Range, sync::Arc};

/// The content of one message.
///
/// Inside a process it is handed over as it is; only a link to another process asks for bytes
/// ([`into_wire`](Payload::into_wire)). Bytes are reference-counted, a slice shares them.
pub struct Payload(Repr);

enum Repr {
    /// Short content, without an allocation.
    Inline { len: u8, bytes: [u8; Payload::INLINE] },
    /// A part of a buffer that may have other readers.
    Shared { owner: Arc<AlignedBuf>, range: Range<usize> },
    /// Bytes somebody else allocated.
    Foreign(Bytes),
    /// A value that is encoded only if it leaves the process.
    Value(Box<dyn Handover>),
    /// Several payloads that travel as one message and are told apart there.
    Bundle(Vec<Payload>),
    /// Bytes in several parts, one after the other.
    Rope(Vec<Payload>),
}

impl Payload {
    /// Content up to this many bytes is kept without an allocation.
    pub const INLINE: usize = 38;

    /// Nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self(Repr::Inline { len: 0, bytes: [0; Self::INLINE] })
    }

    /// A copy of `bytes`, aligned to `align` if it needs an allocation.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when the memory is not to be had.
    pub fn copy_from(source: &[u8], align: usize) -> Result<Self> {
        if source.len() <= Self::INLINE {
            return Ok(Self::inline(source));
        }
        let mut buf = AlignedBuf::with_capacity(source.len(), align)?;
        buf.extend(source);
        Ok(buf.into())
    }

    /// The elements of a vector, not copied unless they are few.
    #[must_use]
    pub fn from_vec<T: Pod>(vec: Vec<T>) -> Self {
        let source: &[u8] = bytemuck::cast_slice(&vec);
        // Few bytes are cheaper to copy than to free on another core.
        if source.len() <= Self::INLINE {
            Self::inline(source)
        } else {
            AlignedBuf::from_vec(vec).into()
        }
    }

    /// A part of a shared buffer.
    ///
    /// # Panics
    /// When the range is not within the buffer.
    #[must_use]
    pub fn shared(owner: Arc<AlignedBuf>, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= owner.len(), "range outside the buffer");
        Self(Repr::Shared { owner, range })
    }

    /// A value to be handed over inside the process, or encoded when it leaves it.
    #[must_use]
    pub fn value<T: Serialize + Send + 'static>(value: T) -> Self {
        Self(Repr::Value(Box::new(Held(value))))
    }

    /// Several payloads as one.
    #[must_use]
    pub fn bundle(parts: Vec<Self>) -> Self {
        Self(Repr::Bundle(parts))
    }

    /// Bytes that the content holds. Of a value that is not encoded, those of its own struct.
    #[must_use]
    pub fn size_hint(&self) -> usize {
        match &self.0 {
            Repr::Inline { len, .. } => usize::from(*len),
            Repr::Shared { range, .. } => range.len(),
            Repr::Foreign(bytes) => bytes.len(),
            Repr::Value(value) => value.size(),
            Repr::Bundle(parts) => bundle_size(parts),
            Repr::Rope(parts) => parts.iter().map(Self::size_hint).sum(),
        }
    }

    /// The bytes, if it is bytes already.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.0 {
            Repr::Inline { len, bytes } => Some(&bytes[..usize::from(*len)]),
            Repr::Shared { owner, range } => Some(&owner.as_slice()[range.clone()]),
            Repr::Foreign(bytes) => Some(bytes),
            Repr::Value(_) | Repr::Bundle(_) | Repr::Rope(_) => None,
        }
    }

    /// The same content as bytes.
    ///
    /// # Errors
    /// [`Error::Codec`] when a value refuses to be encoded, [`Error::TooLarge`] without memory.
    pub fn into_wire(self) -> Result<Self> {
        match self.0 {
            Repr::Value(value) => Ok(Self::from_vec(value.encode()?)),
            Repr::Bundle(parts) => pack(parts),
            Repr::Rope(parts) => join::flatten(&parts, join::ALIGN),
            _ => Ok(self),
        }
    }

    /// Makes a second reader of the same content; a value is encoded for that first.
    ///
    /// # Errors
    /// As [`into_wire`](Self::into_wire).
    pub fn share(&mut self) -> Result<Self> {
        if let Repr::Value(_) = &self.0 {
            *self = std::mem::replace(self, Self::empty()).into_wire()?;
        }
        Ok(Self(match &mut self.0 {
            Repr::Inline { len, bytes } => Repr::Inline { len: *len, bytes: *bytes },
            Repr::Shared { owner, range } => {
                Repr::Shared { owner: Arc::clone(owner), range: range.clone() }
            }
            Repr::Foreign(bytes) => Repr::Foreign(bytes.clone()),
            Repr::Bundle(parts) => {
                Repr::Bundle(parts.iter_mut().map(Self::share).collect::<Result<_>>()?)
            }
            Repr::Rope(parts) => {
                Repr::Rope(parts.iter_mut().map(Self::share).collect::<Result<_>>()?)
            }
            Repr::Value(_) => unreachable!("values were encoded above"),
        }))
    }

    /// A part of the bytes, sharing them.
    ///
    /// # Panics
    /// When the content is not bytes or the range is outside them.
    #[must_use]
    pub fn slice(&self, part: Range<usize>) -> Self {
        match &self.0 {
            Repr::Shared { owner, range } => {
                assert!(part.end <= range.len(), "slice outside the payload");
                let start = range.start;
                Self::shared(Arc::clone(owner), start + part.start..start + part.end)
            }
            Repr::Foreign(bytes) => Self(Repr::Foreign(bytes.slice(part))),
            Repr::Inline { bytes, .. } => {
                let mut copy = [0; Self::INLINE];
                copy[..part.len()].copy_from_slice(&bytes[part.clone()]);
                Self(Repr::Inline { len: part.len() as u8, bytes: copy })
            }
            Repr::Value(_) | Repr::Bundle(_) | Repr::Rope(_) => panic!("only bytes can be sliced"),
        }
    }

    /// The value itself if it never left the process, else decoded from the bytes.
    ///
    /// # Errors
    /// [`Error::Codec`] when the bytes are not such a value.
    pub fn into_value<T: Serialize + DeserializeOwned + Send + 'static>(self) -> Result<T> {
        match self.0 {
            Repr::Value(value) => match value.into_any().downcast::<Held<T>>() {
                Ok(held) => Ok(held.0),
                Err(_) => Err(Error::Codec {
                    what: std::any::type_name::<T>().to_owned(),
                    reason: "the value handed over has another type".to_owned(),
                }),
            },
            _ => codec::decode(self.into_wire()?.bytes().unwrap_or_default()),
        }
    }

    /// A value read from the bytes.
    ///
    /// # Errors
    /// [`Error::Codec`] when `read` refuses them.
    pub fn into_value_with<T>(self, read: impl FnOnce(&[u8]) -> Option<T>) -> Result<T> {
        let wire = self.into_wire()?;
        let bytes = wire.bytes().unwrap_or_default();
        read(bytes).ok_or_else(|| Error::Codec {
            what: std::any::type_name::<T>().to_owned(),
            reason: format!("{} bytes are not one", bytes.len()),
        })
    }

    /// Whether nobody else reads the same bytes.
    #[must_use]
    pub fn is_unique(&self) -> bool {
        match &self.0 {
            Repr::Shared { owner, range } => {
                Arc::strong_count(owner) == 1 && *range == (0..owner.len())
            }
            _ => true,
        }
    }

    /// The parts of a bundle.
    ///
    /// # Errors
    /// [`Error::Codec`] when the bytes are not a bundle.
    pub fn into_bundle(self) -> Result<Vec<Self>> {
        match self.0 {
            Repr::Bundle(parts) => Ok(parts),
            _ => unpack(&self.into_wire()?),
        }
    }

    /// The buffer, if the content is all of it.
    #[must_use]
    pub fn whole_buffer(&self) -> Option<Arc<AlignedBuf>> {
        match &self.0 {
            Repr::Shared { owner, range } if *range == (0..owner.len()) => Some(Arc::clone(owner)),
            _ => None,
        }
    }

    /// The bytes as a buffer of one's own and the part of it that counts; copied only if they
    /// have no buffer of the right alignment yet.
    ///
    /// # Errors
    /// As [`into_wire`](Self::into_wire).
    pub fn into_shared(self, align: usize) -> Result<(Arc<AlignedBuf>, Range<usize>)> {
        let wire = self.into_wire()?;
        match wire.0 {
            Repr::Shared { owner, range }
                if (owner.as_slice().as_ptr() as usize + range.start).is_multiple_of(align) =>
            {
                Ok((owner, range))
            }
            _ => {
                let bytes = wire.bytes().unwrap_or_default();
                let mut buf = AlignedBuf::with_capacity(bytes.len(), align)?;
                buf.extend(bytes);
                Ok((Arc::new(buf), 0..bytes.len()))
            }
        }
    }

    /// The elements as a vector: moved if nobody else reads them, else copied.
    ///
    /// Bytes past the last whole element are ignored; callers check the length.
    ///
    /// # Errors
    /// As [`into_wire`](Self::into_wire).
    pub fn into_vec<T: Pod>(self) -> Result<Vec<T>> {
        let wire = match self.0 {
            // Put together where it is to stay.
            Repr::Rope(parts) => join::flatten(&parts, align_of::<T>())?,
            other => Self(other).into_wire()?,
        };
        let copy = |bytes: &[u8]| bytemuck::allocation::pod_collect_to_vec(whole::<T>(bytes));
        match wire.0 {
            Repr::Shared { owner, range } if range == (0..owner.len()) => {
                match Arc::try_unwrap(owner).map(AlignedBuf::into_vec::<T>) {
                    Ok(Ok(vec)) => Ok(vec),
                    Ok(Err(buf)) => Ok(copy(buf.as_slice())),
                    Err(owner) => Ok(copy(owner.as_slice())),
                }
            }
            _ => Ok(copy(wire.bytes().unwrap_or_default())),
        }
    }

    /// The bytes as [`Bytes`], not copied unless they are short.
    ///
    /// # Errors
    /// As [`into_wire`](Self::into_wire).
    pub fn into_bytes(self) -> Result<Bytes> {
        Ok(match self.into_wire()?.0 {
            Repr::Foreign(bytes) => bytes,
            Repr::Inline { len, bytes } => Bytes::copy_from_slice(&bytes[..usize::from(len)]),
            Repr::Shared { owner, range } => Bytes::from_owner(SharedOwner(owner)).slice(range),
            Repr::Value(_) | Repr::Bundle(_) | Repr::Rope(_) => {
                unreachable!("into_wire leaves bytes")
            }
        })
    }
}

impl Payload {
    fn inline(source: &[u8]) -> Self {
        let mut bytes = [0; Self::INLINE];
        bytes[..source.len()].copy_from_slice(source);
        Self(Repr::Inline { len: source.len() as u8, bytes })
    }
}

impl From<AlignedBuf> for Payload {
    fn from(buf: AlignedBuf) -> Self {
        let range = 0..buf.len();
        Self(Repr::Shared { owner: Arc::new(buf), range })
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self(Repr::Foreign(bytes))
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0 {
            Repr::Inline { .. } => "inline",
            Repr::Shared { .. } => "shared",
            Repr::Foreign(_) => "foreign",
            Repr::Value(_) => "value",
            Repr::Bundle(_) => "bundle",
            Repr::Rope(_) => "rope",
        };
        write!(f, "Payload({kind}, {} bytes)", self.size_hint())
    }
}

/// A value of any type on its way through the process.
trait Handover: Send {
    fn encode(&self) -> Result<Vec<u8>>;
    fn size(&self) -> usize;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

struct Held<T>(T);

impl<T: Serialize + Send + 'static> Handover for Held<T> {
    fn encode(&self) -> Result<Vec<u8>> {
        codec::encode(&self.0)
    }
    fn size(&self) -> usize {
        size_of::<T>()
    }
    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

struct SharedOwner(Arc<AlignedBuf>);

impl AsRef<[u8]> for SharedOwner {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}

fn whole<T>(bytes: &[u8]) -> &[u8] {
    let size = size_of::<T>().max(1);
    &bytes[..bytes.len() / size * size]
}

/// On the wire a bundle is its number of parts, their lengths (u64 each), then the parts, each
/// at a multiple of this, so that elements stay aligned.
const PART_ALIGN: usize = 16;

fn bundle_size(parts: &[Payload]) -> usize {
    let head = (8 * (1 + parts.len())).next_multiple_of(PART_ALIGN);
    head + parts.iter().map(|part| part.size_hint().next_multiple_of(PART_ALIGN)).sum::<usize>()
}

fn pack(parts: Vec<Payload>) -> Result<Payload> {
    let parts = parts.into_iter().map(Payload::into_wire).collect::<Result<Vec<_>>>()?;
    let mut buf = AlignedBuf::with_capacity(bundle_size(&parts), PART_ALIGN)?;
    buf.extend(&(parts.len() as u64).to_le_bytes());
    for part in &parts {
        buf.extend(&(part.size_hint() as u64).to_le_bytes());
    }
    for part in &parts {
        pad(&mut buf);
        buf.extend(part.bytes().unwrap_or_default());
    }
    pad(&mut buf);
    Ok(buf.into())
}

fn pad(buf: &mut AlignedBuf) {
    let missing = buf.len().next_multiple_of(PART_ALIGN) - buf.len();
    buf.extend(&[0; PART_ALIGN][..missing]);
}

fn unpack(wire: &Payload) -> Result<Vec<Payload>> {
    let broken = |reason: &str| Error::Codec { what: "bundle".into(), reason: reason.into() };
    let bytes = wire.bytes().unwrap_or_default();
    let word = |index: usize| {
        let raw = bytes.get(8 * index..8 * (index + 1))?;
        usize::try_from(u64::from_le_bytes(raw.try_into().ok()?)).ok()
    };
    let count = word(0).filter(|count| *count < bytes.len() / 8).ok_or_else(|| broken("count"))?;
    let mut at = (8 * (1 + count)).next_multiple_of(PART_ALIGN);
    (1..=count)
        .map(|index| {
            let len = word(index).ok_or_else(|| broken("length"))?;
            let end = at.checked_add(len).filter(|end| *end <= bytes.len());
            let part = wire.slice(at..end.ok_or_else(|| broken("part outside the message"))?);
            at = (at + len).next_multiple_of(PART_ALIGN);
            Ok(part)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_vector_is_moved_to_its_only_reader() {
        let vec: Vec<u64> = (0..100).collect();
        let place = vec.as_ptr();
        let back = Payload::from_vec(vec).into_vec::<u64>().unwrap();
        assert_eq!(back.as_ptr(), place);
    }

    #[test]
    fn a_shared_vector_is_copied_and_equal() {
        let mut first = Payload::from_vec((0..100u64).collect());
        let second = first.share().unwrap();
        assert_eq!(first.into_vec::<u64>().unwrap(), second.into_vec::<u64>().unwrap());
    }

    #[test]
    fn values_are_handed_over_and_decoded_alike() {
        let text = "not encoded".to_owned();
        let place = text.as_ptr();
        let here: String = Payload::value(text.clone()).into_value().unwrap();
        assert_eq!(here, text);
        let moved: String = Payload::value(text).into_value().unwrap();
        assert_eq!(moved.as_ptr(), place);
        let wire = Payload::value(here.clone()).into_wire().unwrap();
        assert_eq!(wire.into_value::<String>().unwrap(), here);
    }

    #[test]
    fn another_type_is_an_error() {
        assert!(matches!(Payload::value(1u8).into_value::<u16>(), Err(Error::Codec { .. })));
    }

    proptest! {
        #[test]
        fn bundles_survive_the_wire(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..70), 0..9)) {
            let payloads = parts.iter().map(|p| Payload::copy_from(p, 8).unwrap()).collect();
            let wire = Payload::bundle(payloads).into_wire().unwrap();
            let back = wire.into_bundle().unwrap();
            prop_assert_eq!(back.len(), parts.len());
            for (part, bytes) in back.iter().zip(&parts) {
                prop_assert_eq!(part.bytes().unwrap(), &bytes[..]);
            }
        }

        #[test]
        fn forged_bundles_are_errors_not_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Payload::copy_from(&bytes, 16).unwrap().into_bundle();
        }
    }
}
