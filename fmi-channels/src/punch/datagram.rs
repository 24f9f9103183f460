//! What is fired over UDP.

/// A datagram that opens the way: it cannot be taken for QUIC's, whose second bit is set, and
/// carries the [cookie](super::Punch::cookie) of its attempt.
pub type Datagram = [u8; LEN];

const LEN: usize = 16;
const MAGIC: [u8; 8] = *b"\x00fmihole";

/// The attempt that a datagram belongs to, if it is one of ours.
#[must_use]
pub fn cookie_of(datagram: &[u8]) -> Option<u64> {
    let rest = datagram.strip_prefix(&MAGIC)?;
    Some(u64::from_le_bytes(rest.try_into().ok()?))
}

/// The datagram of an attempt.
pub(super) fn datagram(cookie: u64) -> Datagram {
    let mut bytes = [0; LEN];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..].copy_from_slice(&cookie.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_its_own_from_others() {
        let made = datagram(0x1234_5678_9abc_def0);
        assert_eq!(cookie_of(&made), Some(0x1234_5678_9abc_def0));
        assert_eq!(made[0] & 0x40, 0, "QUIC's fixed bit");
        for other in [&made[..15], &[&made[..], &[0]].concat(), b"", b"\x40fmihole12345678"] {
            assert_eq!(cookie_of(other), None);
        }
    }
}
