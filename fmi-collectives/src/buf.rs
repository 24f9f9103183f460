//! Numbers received without a copy.

use crate::Scalar;
use fmi_actors::{AlignedBuf, Payload, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{
    fmt,
    marker::PhantomData,
    ops::{Deref, Range},
    sync::Arc,
};

/// A shared, read-only, aligned slice of numbers, as it came from the wire.
///
/// Cloning shares it. Inside a process a broadcast to many ranks is one buffer with many
/// readers.
///
/// ```
/// use fmi_collectives::Buf;
/// let buf = Buf::from(vec![1.0, 2.0, 3.0]);
/// assert_eq!(buf[1..], [2.0, 3.0]);
/// assert_eq!(buf.into_vec(), [1.0, 2.0, 3.0]); // moved, nobody else reads it
/// ```
pub struct Buf<T> {
    owner: Arc<AlignedBuf>,
    range: Range<usize>,
    elements: PhantomData<T>,
}

impl<T: Scalar> Buf<T> {
    /// The elements as a vector: moved if this is the sole owner, else copied.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        let copy = |buf: &Self| buf.to_vec();
        if self.range != (0..self.owner.len()) {
            return copy(&self);
        }
        match Arc::try_unwrap(self.owner) {
            Ok(buf) => buf
                .into_vec()
                .unwrap_or_else(|buf| bytemuck::allocation::pod_collect_to_vec(buf.as_slice())),
            Err(owner) => copy(&Self { owner, range: self.range, elements: PhantomData }),
        }
    }

    pub(crate) fn into_shared(self) -> Payload {
        Payload::shared(self.owner, self.range)
    }

    pub(crate) fn from_shared(payload: Payload) -> Result<Self> {
        let (owner, mut range) = payload.into_shared(align_of::<T>())?;
        range.end -= range.len() % size_of::<T>();
        Ok(Self { owner, range, elements: PhantomData })
    }
}

impl<T: Scalar> Deref for Buf<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        bytemuck::cast_slice(&self.owner.as_slice()[self.range.clone()])
    }
}

impl<T: Scalar> From<Vec<T>> for Buf<T> {
    fn from(vec: Vec<T>) -> Self {
        let owner = Arc::new(AlignedBuf::from_vec(vec));
        let range = 0..owner.len();
        Self { owner, range, elements: PhantomData }
    }
}

impl<T> Clone for Buf<T> {
    fn clone(&self) -> Self {
        Self { owner: Arc::clone(&self.owner), range: self.range.clone(), elements: PhantomData }
    }
}

impl<T: Scalar + fmt::Debug> fmt::Debug for Buf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T: Scalar + PartialEq> PartialEq for Buf<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Scalar> Serialize for Buf<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de, T: Scalar> Deserialize<'de> for Buf<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from)
    }
}
