//! Frames of the rendezvous' protocol in any pieces, see [`crate::fuzzing`].

use super::{
    protocol::{Answer, MAX_ANSWER, MAX_REQUEST, Request},
    wire::{Inbox, frame},
};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt;

/// What the server reads.
pub(crate) fn requests(data: &[u8]) {
    read::<Request>(data, MAX_REQUEST);
}

/// What a process reads.
pub(crate) fn answers(data: &[u8]) {
    read::<Answer>(data, MAX_ANSWER);
}

/// The first byte says how long the pieces are.
fn read<T: DeserializeOwned + Serialize + PartialEq + fmt::Debug>(data: &[u8], limit: usize) {
    let Some((piece, data)) = data.split_first() else { return };
    let mut inbox = Inbox::new(limit);
    for mut chunk in data.chunks(usize::from(*piece) + 1) {
        while let Ok(1..) = futures::executor::block_on(inbox.read(&mut chunk)) {
            loop {
                match inbox.next::<T>() {
                    Ok(Some(message)) => same(&message, limit),
                    Ok(None) => break,
                    Err(_) => return,
                }
            }
        }
    }
    // And as one message, whatever it says of its length.
    if let Ok(message) = fmi_actors::codec::decode::<T>(data) {
        same(&message, limit);
    }
}

/// What was read is what would be written.
fn same<T: DeserializeOwned + Serialize + PartialEq + fmt::Debug>(message: &T, limit: usize) {
    let bytes = frame(message);
    if bytes.len() > limit {
        return;
    }
    let again = fmi_actors::codec::decode::<T>(&bytes[4..]);
    assert_eq!(again.as_ref(), Ok(message));
}
