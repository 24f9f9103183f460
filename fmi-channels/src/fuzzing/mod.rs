//! What is thrown at everything that reads bytes from outside, or is a machine that others drive.
//!
//! Each function takes any bytes and panics only on a mistake of ours. `fuzz/` hands them to
//! libFuzzer; a test runs them over a small corpus and mutations of it.

mod pair;
mod punch;

pub use pair::pair;
pub use punch::punch;

use crate::rendezvous::mirror;
use fmi_actors::{
    codec,
    frame::{HEADER_LEN, Header},
};

/// Takes any bytes; panics when something is wrong with what it tries.
pub type Target = fn(&[u8]);

/// All targets, by name.
pub const TARGETS: [(&str, Target); 7] = [
    ("frame", frame),
    ("codec", decode),
    ("pair", pair),
    ("punch", punch),
    ("datagram", datagram),
    ("rendezvous_requests", crate::rendezvous::fuzzing::requests),
    ("rendezvous_answers", crate::rendezvous::fuzzing::answers),
];

/// The header of a frame: what is taken is what was meant.
pub fn frame(data: &[u8]) {
    let Some(bytes) = data.first_chunk::<HEADER_LEN>() else { return };
    let Ok(header) = Header::decode(bytes) else { return };
    let again = Header::decode(&header.encode());
    assert_eq!(again, Ok(header), "a header that changes on its way");
}

/// Values of users: all kinds of lengths.
pub fn decode(data: &[u8]) {
    let _ = codec::decode::<String>(data);
    let _ = codec::decode::<Vec<String>>(data);
    let _ = codec::decode::<Vec<Vec<u64>>>(data);
    let _ = codec::decode::<std::collections::BTreeMap<String, Option<(i128, char)>>>(data);
    if let Ok(value) = codec::decode::<Vec<(u32, Option<bool>, Vec<u8>)>>(data) {
        let again = codec::encode(&value).expect("what was decoded can be encoded");
        let again = codec::decode::<Vec<(u32, Option<bool>, Vec<u8>)>>(&again);
        assert_eq!(again.as_ref(), Ok(&value));
    }
}

/// Datagrams on the socket that mirrors, punching and QUIC share.
pub fn datagram(data: &[u8]) {
    let _ = mirror::answer(data);
    let _ = mirror::is_ours(data);
    let _ = crate::punch::cookie_of(data);
}

/// Bytes of a fuzzer as a supply of small choices; zeros when it is used up.
#[derive(Debug)]
struct Supply<'d>(&'d [u8]);

impl<'d> Supply<'d> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    fn take(&mut self, count: usize) -> &'d [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
