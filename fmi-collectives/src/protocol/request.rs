//! The message of an ask: the protocol's bytes, then its name, then the name's length (4 bytes).

use fmi_actors::{Error, Payload, Result, codec};
use serde::{Serialize, de::DeserializeOwned};
use std::any::type_name;

/// What can travel to the ranks that serve: a type with serde's derives that borrows nothing.
/// There is nothing to implement.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot travel to the ranks that serve it",
    label = "must be serialisable",
    note = "write `#[derive(serde::Serialize, serde::Deserialize)]` on it; a `call` needs neither"
)]
pub trait Request: Serialize + DeserializeOwned + 'static {}

#[diagnostic::do_not_recommend]
impl<P: Serialize + DeserializeOwned + 'static> Request for P {}

/// Encodes a protocol, once for all workers.
pub(super) fn encode<P: Request>(protocol: &P) -> Result<Payload> {
    let mut bytes = codec::encode(protocol)?;
    let name = type_name::<P>().as_bytes();
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
    Ok(Payload::from_vec(bytes))
}

/// The name and the protocol's bytes.
pub(super) fn split(bytes: &[u8]) -> Result<(&str, &[u8])> {
    let parts = || {
        let (rest, length) = bytes.split_last_chunk()?;
        let at = rest.len().checked_sub(u32::from_le_bytes(*length) as usize)?;
        let (body, name) = rest.split_at(at);
        Some((std::str::from_utf8(name).ok()?, body))
    };
    parts().ok_or_else(|| Error::Codec {
        what: "a request".to_owned(),
        reason: format!("{} bytes that do not end with a name", bytes.len()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_and_refuses_garbage() {
        let request = encode(&7_u8).unwrap();
        assert_eq!(split(request.bytes().unwrap()), Ok(("u8", &[7][..])));
        for garbage in [&[][..], &[1, 0, 0], &[9, 0, 0, 0], &[0xff, 1, 0, 0, 0]] {
            assert!(matches!(split(garbage), Err(Error::Codec { .. })), "{garbage:?}");
        }
    }
}
