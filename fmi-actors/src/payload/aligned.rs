//! A growable byte buffer whose allocation can become a `Vec<T>` and was one before.
//!
//! `Vec<u8>` cannot do that: an allocation must be freed with the alignment it was made with.
//! This file and `pool` are the only ones of the crate with `unsafe`; everything above is safe.

use super::pool;
use crate::{Error, Result, copies::copy};
use bytemuck::Pod;
use std::{
    alloc::{Layout, alloc, alloc_zeroed},
    fmt,
    mem::{ManuallyDrop, MaybeUninit},
    ptr::NonNull,
    slice,
};

/// Bytes in an allocation of a chosen alignment, filled from the front.
pub struct AlignedBuf {
    ptr: NonNull<u8>,
    len: usize,
    capacity: usize,
    align: usize,
}

// SAFETY: an AlignedBuf owns its bytes alone, as a Vec<u8> does.
unsafe impl Send for AlignedBuf {}
// SAFETY: shared access only reads.
unsafe impl Sync for AlignedBuf {}

impl AlignedBuf {
    /// An empty buffer for `capacity` bytes at a multiple of `align` (a power of two).
    ///
    /// # Errors
    /// [`Error::TooLarge`] when the memory is not to be had.
    pub fn with_capacity(capacity: usize, align: usize) -> Result<Self> {
        Self::allocate(capacity, align, |layout| match pool::take(layout) {
            Some(kept) => kept.as_ptr(),
            // SAFETY: the size is not zero.
            None => unsafe { alloc(layout) },
        })
    }

    /// A buffer of `len` zeros at a multiple of `align` (a power of two).
    ///
    /// # Errors
    /// [`Error::TooLarge`] when the memory is not to be had.
    pub fn zeroed(len: usize, align: usize) -> Result<Self> {
        // SAFETY: the size is not zero.
        let mut buf = Self::allocate(len, align, |layout| unsafe { alloc_zeroed(layout) })?;
        buf.len = len;
        Ok(buf)
    }

    /// Empty; `allocate` is called only for sizes above zero.
    fn allocate(
        capacity: usize,
        align: usize,
        allocate: impl Fn(Layout) -> *mut u8,
    ) -> Result<Self> {
        let too_large = || Error::TooLarge { bytes: capacity as u64 };
        let layout = Layout::from_size_align(capacity, align).map_err(|_| too_large())?;
        let ptr = if capacity == 0 {
            dangling(align)
        } else {
            NonNull::new(allocate(layout)).ok_or_else(too_large)?
        };
        Ok(Self { ptr, len: 0, capacity, align })
    }

    /// Takes over a vector's allocation.
    #[must_use]
    pub fn from_vec<T: Pod>(vec: Vec<T>) -> Self {
        let align = align_of::<T>();
        if size_of::<T>() == 0 {
            return Self { ptr: dangling(align), len: 0, capacity: 0, align };
        }
        let mut vec = ManuallyDrop::new(vec);
        let ptr = NonNull::new(vec.as_mut_ptr().cast()).unwrap_or(dangling(align));
        Self {
            ptr,
            len: vec.len() * size_of::<T>(),
            capacity: vec.capacity() * size_of::<T>(),
            align,
        }
    }

    /// Gives the allocation away as a vector, if its alignment and lengths are `T`'s.
    ///
    /// # Errors
    /// The buffer itself, when it must be copied instead.
    pub fn into_vec<T: Pod>(self) -> Result<Vec<T>, Self> {
        let size = size_of::<T>();
        let fits = size != 0
            && self.align == align_of::<T>()
            && self.len.is_multiple_of(size)
            && self.capacity.is_multiple_of(size);
        if !fits {
            return Err(self);
        }
        let this = ManuallyDrop::new(self);
        // SAFETY: the allocation was made with T's alignment and a whole number of T's; every
        // filled byte is initialised and every bit pattern is a T.
        Ok(unsafe {
            Vec::from_raw_parts(this.ptr.as_ptr().cast(), this.len / size, this.capacity / size)
        })
    }

    /// The filled bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: the first `len` bytes are initialised.
        unsafe { slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }

    /// The filled bytes, to change.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: the first `len` bytes are initialised and `self` is borrowed alone.
        unsafe { slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) }
    }

    /// The bytes still to be filled.
    pub fn spare(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: within the allocation, and uninitialised bytes are allowed in MaybeUninit.
        unsafe {
            slice::from_raw_parts_mut(
                self.ptr.as_ptr().add(self.len).cast(),
                self.capacity - self.len,
            )
        }
    }

    /// Counts the first `bytes` of [`spare`](Self::spare) as filled.
    ///
    /// # Safety
    /// They must have been written.
    pub unsafe fn advance(&mut self, bytes: usize) {
        assert!(bytes <= self.capacity - self.len, "advanced past the capacity");
        self.len += bytes;
    }

    /// Appends bytes.
    ///
    /// # Panics
    /// When they do not fit: the buffer does not grow by itself.
    pub fn extend(&mut self, bytes: &[u8]) {
        let spare = &mut self.spare()[..bytes.len()];
        // SAFETY: u8 and MaybeUninit<u8> have one layout; the source is initialised.
        copy(unsafe { slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) }, spare);
        // SAFETY: just written.
        unsafe { self.advance(bytes.len()) };
    }

    /// Forgets bytes from the end.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Filled bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is filled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether nothing is left to be filled.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len == self.capacity
    }
}

impl Drop for AlignedBuf {
    fn drop(&mut self) {
        if self.capacity != 0 {
            // SAFETY: allocated with exactly this layout (a Vec<T> allocates
            // capacity * size_of::<T>() bytes at T's alignment), and nobody uses it any more.
            unsafe {
                let layout = Layout::from_size_align_unchecked(self.capacity, self.align);
                pool::put(self.ptr, layout);
            }
        }
    }
}

impl AsRef<[u8]> for AlignedBuf {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl fmt::Debug for AlignedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes at {}", self.len, self.capacity, self.align)
    }
}

fn dangling(align: usize) -> NonNull<u8> {
    NonNull::without_provenance(std::num::NonZeroUsize::new(align).expect("alignment is not zero"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_go_through_without_a_copy() {
        let vec = vec![1.5f64, 2.5, 3.5];
        let place = vec.as_ptr();
        let back = AlignedBuf::from_vec(vec).into_vec::<f64>().unwrap();
        assert_eq!((back.as_ptr(), back), (place, vec![1.5, 2.5, 3.5]));
    }

    #[test]
    fn another_alignment_or_length_is_given_back() {
        assert!(AlignedBuf::from_vec(vec![0u32; 4]).into_vec::<f64>().is_err());
        let mut odd = AlignedBuf::with_capacity(12, 8).unwrap();
        odd.extend(&[0; 12]);
        assert_eq!(odd.into_vec::<u64>().unwrap_err().len(), 12);
    }

    #[test]
    fn empty_buffers_of_every_kind() {
        assert!(AlignedBuf::from_vec(Vec::<u64>::new()).into_vec::<u64>().unwrap().is_empty());
        let none = AlignedBuf::with_capacity(0, 8).unwrap();
        assert!(none.is_empty() && none.is_full());
        assert!(none.into_vec::<u64>().unwrap().is_empty());
    }

    #[test]
    fn memory_that_is_not_to_be_had_is_an_error() {
        let bytes = isize::MAX as usize - 64;
        assert_eq!(
            AlignedBuf::with_capacity(bytes, 8).unwrap_err(),
            Error::TooLarge { bytes: bytes as u64 }
        );
        assert!(AlignedBuf::with_capacity(usize::MAX, 8).is_err());
    }
}
