//! The sort benchmark's records: 100 bytes, of which the first ten are the key.

/// Length of a record.
pub(crate) const RECORD: usize = 100;

/// Length of its key.
pub(crate) const KEY: usize = 10;

/// As a number: keys are compared as `memcmp` does. 80 bits.
pub(crate) fn key(record: &[u8]) -> u128 {
    let mut bytes = [0; 16];
    bytes[16 - KEY..].copy_from_slice(&record[..KEY]);
    u128::from_be_bytes(bytes)
}

/// The records of one rank: contiguous, and no two ranks differ by more than one.
pub(crate) fn share(records: u64, rank: usize, size: usize) -> std::ops::Range<u64> {
    let at = |rank: usize| (u128::from(records) * rank as u128 / size as u128) as u64;
    at(rank)..at(rank + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_compare_as_their_bytes() {
        let keys =
            [[0; KEY], [0, 0, 0, 0, 0, 0, 0, 0, 1, 0], [0, 0, 1, 0, 0, 0, 0, 0, 0, 9], [255; KEY]];
        for (one, other) in keys.iter().zip(&keys[1..]) {
            assert!(one < other && key(one) < key(other));
        }
        assert_eq!(key(&[255; KEY]), (1 << 80) - 1);
    }

    #[test]
    fn shares_cover_everything_once() {
        for (records, size) in [(0, 3), (1, 4), (7, 3), (1000, 7), (u64::MAX, 5)] {
            let shares: Vec<_> = (0..size).map(|rank| share(records, rank, size)).collect();
            assert_eq!((shares[0].start, shares[size - 1].end), (0, records));
            assert!(shares.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
    }
}
