//! The signatures of protocols, which name them.

use super::PROTOCOL;
use crate::message::hash;
use fmi_actors::frame::{SIGNATURE_LEN, Signature};

/// Where the name of a protocol begins.
const NAME: usize = 8;

/// The signature of a call of a protocol: a hash of the type's full name, and as much of its name
/// without modules as there is room for, so that ranks can name what only others call.
pub(crate) fn signature_of(full: &str) -> Signature {
    let mut bytes = [0; SIGNATURE_LEN];
    bytes[0] = PROTOCOL;
    bytes[4..NAME].copy_from_slice(&hash(full).to_le_bytes());
    let name = without_modules(full);
    let room = SIGNATURE_LEN - NAME;
    let length = (0..=room.min(name.len())).rev().find(|at| name.is_char_boundary(*at));
    let length = length.unwrap_or(0);
    bytes[1] = length as u8;
    bytes[NAME..NAME + length].copy_from_slice(&name.as_bytes()[..length]);
    Signature(bytes)
}

/// `a::Halo<'_, b::Row>` → `Halo<Row>`.
pub(crate) fn without_modules(full: &str) -> String {
    let full = full.replace("'_, ", "").replace("<'_>", "");
    let mut name = String::with_capacity(full.len());
    let mut word = 0;
    for part in full.split_inclusive(|c: char| !c.is_alphanumeric() && c != '_') {
        match part.strip_suffix(':') {
            // `a:` and the second colon: what was begun was a module.
            Some(_) => name.truncate(word),
            None => {
                name.push_str(part);
                if part.ends_with(|c: char| !c.is_alphanumeric() && c != '_') {
                    word = name.len();
                }
            }
        }
    }
    name
}

/// How errors call it.
pub(super) fn describe(signature: &Signature) -> String {
    let bytes = &signature.0;
    let name = bytes.get(NAME..NAME + usize::from(bytes[1])).map(String::from_utf8_lossy);
    format!("protocol {}", name.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_is_called_by_its_name_without_modules() {
        let called = |full: &str| describe(&signature_of(full));
        assert_eq!(called("app::stats::Mean"), "protocol Mean");
        assert_eq!(called("Mean"), "protocol Mean");
        assert_eq!(called("a::Pair<b::Row, [c_d::E; 3]>"), "protocol Pair<Row, [E; 3]>");
        assert_eq!(called("a::Halo<'_>, a::Halo<'_, b::Row>"), "protocol Halo, Halo<Row>");
        assert_eq!(called("a::ANameThatIsTooLongForTheRoom"), "protocol ANameThatIsTooLongForThe");
        assert_ne!(signature_of("a::Mean"), signature_of("b::Mean"));
    }
}
