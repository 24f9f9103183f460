//! The frame: what travels on every link, and its 64-byte header.
//!
//! | bytes | field | | bytes | field |
//! |---|---|---|---|---|
//! | 0 | version | | 32..36 | tag, or the collective's number |
//! | 1 | kind | | 36..40 | datatype |
//! | 2..4 | flags | | 40..44 | pair sequence |
//! | 4..8 | payload bytes in this frame | | 44..48 | acknowledgement |
//! | 8..12 | job epoch | | 48..50 | credit, user lane |
//! | 12..16 | source rank | | 50..52 | credit, collective lane |
//! | 16..20 | destination rank | | 52..56 | message |
//! | 20..24 | incarnations of both | | 56..64 | bytes of the whole message, or offset |
//! | 24..32 | scope | | | |
//!
//! All numbers are little-endian. A signed frame has its 32-byte signature between header and
//! payload. Header, signature and payload leave in one segment where they fit in one.

use crate::Payload;

/// Bytes of an encoded [`Header`].
pub const HEADER_LEN: usize = 64;
/// Bytes of a [`Signature`].
pub const SIGNATURE_LEN: usize = 32;
/// No frame carries more payload than this; longer messages travel as several.
pub const MAX_FRAME_PAYLOAD: usize = 1 << 20;

/// A header with what it announces.
#[derive(Debug)]
pub struct Frame {
    /// Who, to whom, what.
    pub header: Header,
    /// On the first frame of a collective to each peer: what the sender believes it is doing.
    pub signature: Option<Signature>,
    /// `header.length` bytes, or a value if the frame never leaves the process.
    pub payload: Payload,
}

/// Everything the pair layer and the mailbox need to know about a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the frame is for.
    pub kind: Kind,
    /// See [`Flags`].
    pub flags: Flags,
    /// Payload bytes in this frame.
    pub length: u32,
    /// The job's epoch; frames of another are dropped.
    pub epoch: u32,
    /// World rank of the sender.
    pub source: u32,
    /// World rank of the receiver.
    pub destination: u32,
    /// How often the source rank had registered when it sent this.
    pub source_incarnation: u16,
    /// The incarnation of the destination that the sender means.
    pub destination_incarnation: u16,
    /// Where the message is matched.
    pub space: Space,
    /// Tag of a point-to-point message.
    pub tag: u32,
    /// What the payload is.
    pub datatype: Datatype,
    /// Number of this frame within its pair.
    pub sequence: u32,
    /// Every frame of the other direction before this one has arrived.
    pub acknowledgement: u32,
    /// Credit units given back so far, by lane (see [`crate::pair`]).
    pub credit: [u16; 2],
    /// Number of a message whose payload follows apart or whose match is reported.
    pub message: u32,
    /// Bytes of the whole message; in [`Kind::Data`], where this piece belongs.
    pub total: u64,
}

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A message, whole.
    Message = 1,
    /// A message whose payload waits at the sender until it is matched.
    Envelope = 2,
    /// A piece of a payload that was pulled.
    Data = 3,
    /// The envelope is matched: send its payload.
    Pull = 4,
    /// A message that asked for it is matched.
    Matched = 5,
    /// The envelope will never be matched: forget its payload.
    Discard = 6,
    /// A collective failed (rule 6).
    Notice = 7,
    /// Only acknowledgement and credit; not numbered.
    Ack = 8,
}

/// Bits that qualify a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub u16);

impl Flags {
    /// The message belongs to a collective and uses its lane.
    pub const COLLECTIVE: Self = Self(1);
    /// The sender waits for the match.
    pub const SYNC: Self = Self(2);
    /// The sender waits for the acknowledgement.
    pub const ACK_NOW: Self = Self(4);
    /// A signature follows the header.
    pub const SIGNED: Self = Self(8);
    /// The payload of an envelope is in the store, or, if the frame carries something, could not
    /// be put there: then that says why.
    pub const STORED: Self = Self(16);
    const ALL: u16 = 31;

    /// Whether all bits of `other` are set.
    #[must_use]
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Without the bits of `other`, if `when`.
    #[must_use]
    pub fn without(self, other: Self, when: bool) -> Self {
        if when { Self(self.0 & !other.0) } else { self }
    }

    /// With the bits of `other`, if `when`.
    #[must_use]
    pub fn with(self, other: Self, when: bool) -> Self {
        if when { Self(self.0 | other.0) } else { self }
    }
}

/// Where messages are matched: the point-to-point messages of a scope (number 0), or one of its
/// collectives (numbers from 1 in the order of the calls).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Space {
    /// A communicator, or a protocol running in one.
    pub scope: u64,
    /// 0, or the number of the collective.
    pub number: u32,
}

impl Space {
    /// The point-to-point messages of a scope.
    #[must_use]
    pub fn messages(scope: u64) -> Self {
        Self { scope, number: 0 }
    }

    /// Whether this is a collective's.
    #[must_use]
    pub fn is_collective(self) -> bool {
        self.number != 0
    }
}

/// Code of a message's element type. Bits 28..31 are the logarithm of its alignment, so that a
/// receiver can place elements of a type it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Datatype(pub u32);

impl Datatype {
    /// No payload, or bytes without a type.
    pub const BYTES: Self = Self(0);

    /// Bytes at whose multiple elements must lie: 1, 2, 4, 8 or 16.
    #[must_use]
    pub fn align(self) -> usize {
        1 << (self.0 >> 28 & 7).min(4)
    }
}

/// What a rank believes a collective to be; compared, not interpreted, at this level.
///
/// The second half is what a rank may learn only from the first frame: it leaves those bytes
/// [unknown](Self::UNKNOWN) until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Signature(pub [u8; SIGNATURE_LEN]);

impl Signature {
    /// The second half of one that is not known yet.
    pub const UNKNOWN: [u8; SIGNATURE_LEN / 2] = [0xff; SIGNATURE_LEN / 2];

    /// Whether both can be of one collective.
    #[must_use]
    pub fn agrees(&self, other: &Self) -> bool {
        let (ours, late) = self.0.split_at(SIGNATURE_LEN / 2);
        let (theirs, other_late) = other.0.split_at(SIGNATURE_LEN / 2);
        let open = late == Self::UNKNOWN || other_late == Self::UNKNOWN;
        ours == theirs && (late == other_late || open)
    }
}

/// Why bytes are not a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadHeader {
    /// Another protocol, or another version of this one.
    #[error("version {0}, this program speaks {VERSION}")]
    Version(u8),
    /// No such kind of frame.
    #[error("no frame of kind {0}")]
    Kind(u8),
    /// Bits that mean nothing.
    #[error("unknown flags {0:#x}")]
    Flags(u16),
    /// More payload than a frame may have.
    #[error("{0} bytes of payload, a frame has at most {MAX_FRAME_PAYLOAD}")]
    Length(u32),
}

const VERSION: u8 = 1;

impl Header {
    /// The header as it goes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0] = VERSION;
        bytes[1] = self.kind as u8;
        bytes[2..4].copy_from_slice(&self.flags.0.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.length.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.source.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.destination.to_le_bytes());
        bytes[20..22].copy_from_slice(&self.source_incarnation.to_le_bytes());
        bytes[22..24].copy_from_slice(&self.destination_incarnation.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.space.scope.to_le_bytes());
        let label = if self.space.is_collective() { self.space.number } else { self.tag };
        bytes[32..36].copy_from_slice(&label.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.datatype.0.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[44..48].copy_from_slice(&self.acknowledgement.to_le_bytes());
        bytes[48..50].copy_from_slice(&self.credit[0].to_le_bytes());
        bytes[50..52].copy_from_slice(&self.credit[1].to_le_bytes());
        bytes[52..56].copy_from_slice(&self.message.to_le_bytes());
        bytes[56..64].copy_from_slice(&self.total.to_le_bytes());
        bytes
    }

    /// Reads a header.
    ///
    /// # Errors
    /// [`BadHeader`]; the link must then be dropped, its bytes cannot be trusted any more.
    pub fn decode(bytes: &[u8; HEADER_LEN]) -> Result<Self, BadHeader> {
        let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let u32_at = |at: usize| u32::from(u16_at(at)) | u32::from(u16_at(at + 2)) << 16;
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        if bytes[0] != VERSION {
            return Err(BadHeader::Version(bytes[0]));
        }
        let flags = Flags(u16_at(2));
        if flags.0 & !Flags::ALL != 0 {
            return Err(BadHeader::Flags(flags.0));
        }
        let length = u32_at(4);
        if length as usize > MAX_FRAME_PAYLOAD {
            return Err(BadHeader::Length(length));
        }
        let label = u32_at(32);
        let collective = flags.has(Flags::COLLECTIVE);
        Ok(Self {
            kind: Kind::decode(bytes[1])?,
            flags,
            length,
            epoch: u32_at(8),
            source: u32_at(12),
            destination: u32_at(16),
            source_incarnation: u16_at(20),
            destination_incarnation: u16_at(22),
            space: Space { scope: u64_at(24), number: if collective { label } else { 0 } },
            tag: if collective { 0 } else { label },
            datatype: Datatype(u32_at(36)),
            sequence: u32_at(40),
            acknowledgement: u32_at(44),
            credit: [u16_at(48), u16_at(50)],
            message: u32_at(52),
            total: u64_at(56),
        })
    }
}

impl Kind {
    fn decode(code: u8) -> Result<Self, BadHeader> {
        Ok(match code {
            1 => Self::Message,
            2 => Self::Envelope,
            3 => Self::Data,
            4 => Self::Pull,
            5 => Self::Matched,
            6 => Self::Discard,
            7 => Self::Notice,
            8 => Self::Ack,
            _ => return Err(BadHeader::Kind(code)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_decodes_encodes_to_the_same_bytes(mut bytes in any::<[u8; HEADER_LEN]>(), kind in 1u8..=8) {
            bytes[0] = VERSION;
            bytes[1] = kind;
            bytes[3] = 0;
            bytes[2] &= Flags::ALL as u8;
            bytes[6..8].fill(0);
            let header = Header::decode(&bytes).unwrap();
            // A collective has a number above 0; number 0 with the flag is the one ambiguity,
            // and stands for tag 0.
            prop_assert_eq!(header.encode(), bytes);
        }

        #[test]
        fn garbage_never_panics(bytes in any::<[u8; HEADER_LEN]>()) {
            let _ = Header::decode(&bytes);
        }
    }

    #[test]
    fn each_fault_has_its_name() {
        let mut bytes = [0; HEADER_LEN];
        assert_eq!(Header::decode(&bytes), Err(BadHeader::Version(0)));
        bytes[0] = VERSION;
        assert_eq!(Header::decode(&bytes), Err(BadHeader::Kind(0)));
        bytes[1] = 1;
        bytes[4..8].fill(255);
        assert_eq!(Header::decode(&bytes), Err(BadHeader::Length(u32::MAX)));
        bytes[3] = 255;
        assert_eq!(Header::decode(&bytes), Err(BadHeader::Flags(0xff00)));
    }
}
