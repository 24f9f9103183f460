//! Copies of bytes, made of short ones.
//!
//! C libraries make a long copy by one instruction of the processor (`rep movsb`). On some (AMD's since Zen 3, with glibc
//! before 2.40, [BZ 30994]) it takes up to twenty-five times as long if the target lies one to fifteen bytes further in its page than the
//! source does in its own: 64 KiB 37 µs instead of 1.5. What is not longer than [`AT_ONCE`] they copy by loads and stores, at the
//! same speed wherever it lies.
//!
//! [BZ 30994]: https://sourceware.org/bugzilla/show_bug.cgi?id=30994

/// Bytes that are copied at once: below where glibc begins with the instruction (2,112 bytes, if not later).
pub const AT_ONCE: usize = 2 << 10;

/// As [`slice::copy_from_slice`].
///
/// # Panics
/// If the lengths differ.
#[inline]
pub fn copy<T: Copy>(from: &[T], to: &mut [T]) {
    assert_eq!(from.len(), to.len(), "a copy to another length");
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
        for length in [0, 1, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, 5 * AT_ONCE + 7] {
            let from: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let mut to = vec![0xff; length];
            copy(&from, &mut to);
            assert!(from == to, "{length}");
        }
        let mut words = [0; 1000];
        copy(&[7_u64; 1000], &mut words);
        assert_eq!(words, [7; 1000]);
        copy(&[(); 5], &mut [(); 5]);
    }

    #[test]
    #[should_panic(expected = "another length")]
    fn lengths_are_equal() {
        copy(&[1, 2], &mut [0]);
    }
}
