//! Copies of bytes that take as long wherever they lie.
//!
//! C libraries make a long copy by one instruction of the processor (`rep movsb`). It does not read what it overwrites, so
//! it is the fastest where the target is in no cache. But on AMD's Zen 3 and 4 it takes up to twenty-five times as long where
//! (target − source) mod 4096 is 1 to 15: 64 KiB 37 µs instead of 1.5. glibc avoids it since 2.40 ([BZ 30994]). There, and only
//! there, a copy is made of short ones, which the libraries make by loads and stores.
//!
//! [BZ 30994]: https://sourceware.org/bugzilla/show_bug.cgi?id=30994

/// Bytes up to which glibc uses loads and stores: it begins with the instruction above as many, or above 2,112 where the
/// processor says that it is fast for short ones.
const SHORT: usize = 2 << 10;

/// What is longer than a core's cache glibc copies without the instruction on these processors, and past the caches if it is
/// much longer.
const LONG: usize = 1 << 20;

/// How much of so many bytes to copy at once, from one address to another: all, or less where that takes longer.
#[inline]
#[must_use]
pub fn at_once<T>(from: *const T, to: *const T, bytes: usize) -> usize {
    let slow = (1..16).contains(&(to.addr().wrapping_sub(from.addr()) % 4096));
    if slow && bytes <= LONG { bytes.min(SHORT) } else { bytes }
}

/// As [`slice::copy_from_slice`]: writes every element.
///
/// # Panics
/// If the lengths differ.
#[inline]
pub fn copy<T: Copy>(from: &[T], to: &mut [T]) {
    assert_eq!(from.len(), to.len(), "a copy to another length");
    let bytes = size_of_val(from);
    let next = at_once(from.as_ptr(), to.as_ptr(), bytes);
    if next == bytes {
        return to.copy_from_slice(from);
    }
    let elements = (next / size_of::<T>()).max(1);
    for (from, to) in from.chunks(elements).zip(to.chunks_mut(elements)) {
        to.copy_from_slice(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_copied_wherever_it_lies() {
        for length in [0, 1, SHORT - 1, SHORT, SHORT + 1, 5 * SHORT + 7, LONG, LONG + 1] {
            let from: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let mut room = vec![0xff; length + 4096];
            let level = from.as_ptr().addr().wrapping_sub(room.as_ptr().addr()) % 4096;
            for distance in [0, 1, 15, 16, 4095] {
                let start = (level + distance) % 4096;
                let to = &mut room[start..start + length];
                to.fill(0xff);
                let parts = (1..16).contains(&distance) && (SHORT + 1..=LONG).contains(&length);
                assert_eq!(at_once(from.as_ptr(), to.as_ptr(), length) < length, parts);
                copy(&from, to);
                assert!(from == to, "{length} bytes, distance {distance}");
            }
        }
    }

    #[test]
    fn elements_of_any_size() {
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
