//! Copies of bytes, made of short ones.
//!
//! C libraries make a long copy by one instruction of the processor (`rep movsb`). On AMD's Zen 3 and 4 it takes up to twenty-five
//! times as long where (target − source) mod 4096 is 1 to 15: 64 KiB 37 µs instead of 1.5. glibc avoids it since 2.40
//! ([BZ 30994]). What is not longer than [`AT_ONCE`], or is longer than 1 MiB, is copied by loads and stores in any case, at the same
//! speed wherever it lies.
//!
//! [BZ 30994]: https://sourceware.org/bugzilla/show_bug.cgi?id=30994

/// Bytes that are copied at once. glibc begins with the instruction above as many, or above 2,112 where the processor says
/// that it is fast for short ones.
pub const AT_ONCE: usize = 2 << 10;

/// What is longer than a core's cache glibc copies without the instruction on these processors, and past the caches if it is
/// much longer.
const LONG: usize = 1 << 20;

/// As [`slice::copy_from_slice`]: writes every element.
///
/// # Panics
/// If the lengths differ.
#[inline]
pub fn copy<T: Copy>(from: &[T], to: &mut [T]) {
    assert_eq!(from.len(), to.len(), "a copy to another length");
    if size_of_val(from) > LONG {
        return to.copy_from_slice(from);
    }
    let elements = (AT_ONCE / size_of::<T>().max(1)).max(1);
    for (from, to) in from.chunks(elements).zip(to.chunks_mut(elements)) {
        to.copy_from_slice(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_copied() {
        for length in [0, 1, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, 5 * AT_ONCE + 7, LONG, LONG + 1] {
            let from: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let mut to = vec![0xff; length];
            copy(&from, &mut to);
            assert!(from == to, "{length}");
        }
        let (from, mut to) = (Vec::from_iter(0..1000_u64), [0; 1000]);
        copy(&from, &mut to);
        assert!(from == to);
        copy(&[(); 5], &mut [(); 5]);
    }

    #[test]
    #[should_panic(expected = "another length")]
    fn lengths_are_equal() {
        copy(&[1, 2], &mut [0]);
    }
}
