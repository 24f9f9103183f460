//! Checksums of frames (CRC-32C), where plain links carry them.
//!
//! ```text
//! header(64)  sum of signature and payload(4)  sum of both(4)  [signature(32)]  payload
//! ```
//!
//! The header has a sum of its own, so that nobody waits for a length that was altered. TCP's own
//! sum has 16 bits and is made anew by every box that rewrites addresses; this one goes from end to
//! end. It is against accidents: who alters on purpose makes the sum right. Against that there is
//! TLS.

use fmi_actors::frame::{HEADER_LEN, Signature};

/// Bytes of both sums.
pub(super) const SUMS: usize = 8;

/// What follows a header.
pub(super) fn of(header: &[u8], signature: Option<&Signature>, payload: &[u8]) -> [u8; SUMS] {
    let body = body(signature, payload).to_le_bytes();
    let all = crc32c::crc32c_append(crc32c::crc32c(header), &body).to_le_bytes();
    let mut sums = [0; SUMS];
    sums[..4].copy_from_slice(&body);
    sums[4..].copy_from_slice(&all);
    sums
}

/// Checks a header together with the sums behind it. The sum that the rest must have.
pub(super) fn check_header(bytes: &[u8; HEADER_LEN + SUMS]) -> Result<u32, WrongSum> {
    let word = |at: usize| bytes[at..].first_chunk().map(|word| u32::from_le_bytes(*word));
    if Some(crc32c::crc32c(&bytes[..HEADER_LEN + 4])) != word(HEADER_LEN + 4) {
        return Err(WrongSum);
    }
    word(HEADER_LEN).ok_or(WrongSum)
}

/// Checks the rest.
pub(super) fn check(
    signature: Option<&Signature>,
    payload: &[u8],
    sum: u32,
) -> Result<(), WrongSum> {
    if body(signature, payload) == sum { Ok(()) } else { Err(WrongSum) }
}

fn body(signature: Option<&Signature>, payload: &[u8]) -> u32 {
    let signature = signature.map_or(0, |signature| crc32c::crc32c(&signature.0));
    crc32c::crc32c_append(signature, payload)
}

/// What came is not what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame was altered on its way: its checksum is wrong")]
pub(crate) struct WrongSum;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_counts() {
        let (header, signature, payload) = ([7; HEADER_LEN], Signature([9; 32]), b"payload");
        let sums = of(&header, Some(&signature), payload);
        let whole: [u8; HEADER_LEN + SUMS] = [&header[..], &sums].concat().try_into().unwrap();
        let sum = check_header(&whole).unwrap();
        check(Some(&signature), payload, sum).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut altered = whole;
            altered[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(check_header(&altered), Err(WrongSum), "bit {bit}");
        }
        for bit in 0..payload.len() * 8 {
            let mut altered = *payload;
            altered[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(check(Some(&signature), &altered, sum), Err(WrongSum), "bit {bit}");
        }
        assert_eq!(check(None, payload, sum), Err(WrongSum));
    }
}
