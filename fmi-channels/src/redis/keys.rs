//! The names of everything in the store. All that one command touches has one hash tag, so that a
//! cluster keeps it in one place.

use std::fmt::Write;

/// The names of a process's mailbox.
#[derive(Debug, Clone)]
pub(super) struct BoxKeys {
    /// The stream that holds what has been sent to it.
    pub(super) stream: String,
    /// The channel that tells of it.
    pub(super) bell: String,
    /// What the names of frames that are values begin with.
    values: String,
    /// In a cluster, the part of the key space.
    pub(super) slot: u16,
}

/// A job's part of the store, once its epoch is known.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    /// `JOB.EPOCH`.
    job: String,
}

impl Keys {
    pub(super) fn new(job: &str, epoch: u32) -> Self {
        Self { job: format!("{}.{epoch}", encode(job)) }
    }

    /// What belongs to the mailbox of a process.
    pub(super) fn mailbox(&self, process: u32) -> BoxKeys {
        let tag = format!("{}.{process}", self.job);
        BoxKeys {
            stream: format!("fmi:{{{tag}}}:in"),
            bell: format!("fmi:{{{tag}}}:bell"),
            values: format!("fmi:{{{tag}}}:v"),
            slot: slot(&tag),
        }
    }

    /// The channel that tells what has been put on the shelf.
    pub(super) fn shelf_bell(&self) -> String {
        format!("fmi:{{{}}}:shelf", self.job)
    }

    /// What the names of items that a process has published begin with, and their slot.
    pub(super) fn shelf(&self, process: u32) -> (String, u16) {
        let tag = format!("{}.{process}", self.job);
        (format!("fmi:{{{tag}}}:s"), slot(&tag))
    }
}

impl BoxKeys {
    /// A frame that is a value: that of this number from this process.
    pub(super) fn value(&self, from: u32, number: u64) -> String {
        format!("{}:{from}:{number}", self.values)
    }
}

/// A job's name with nothing in it that means something in a key.
pub(super) fn encode(job: &str) -> String {
    let mut text = String::with_capacity(job.len());
    for byte in job.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => text.push(byte as char),
            _ => drop(write!(text, "%{byte:02X}")),
        }
    }
    text
}

/// The slot of a hash tag: its CRC-16 (XMODEM), of which a cluster distinguishes 16384.
pub(super) fn slot(tag: &str) -> u16 {
    let mut crc = 0_u16;
    for byte in tag.bytes() {
        crc ^= u16::from(byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
        }
    }
    crc % 16384
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot("123456789"), 0x31c3);
        assert_eq!(slot("foo"), 12182);
    }

    #[test]
    fn names_of_jobs_cannot_meet() {
        assert_eq!(encode("scoring-42"), "scoring-42");
        assert_eq!(encode("a.1}:in {x%"), "a%2E1%7D%3Ain%20%7Bx%25");
        let own = Keys::new("a", 12).mailbox(3);
        assert_eq!(own.stream, "fmi:{a.12.3}:in");
        assert_eq!(own.value(4, 5), "fmi:{a.12.3}:v:4:5");
        assert_ne!(own.stream, Keys::new("a.1", 2).mailbox(3).stream);
    }
}
