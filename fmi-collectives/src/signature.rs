//! What a rank believes a collective to be: travels with its first frames, and is compared.

use crate::{message::name_of, plan::Algorithm};
use fmi_actors::frame::{Datatype, SIGNATURE_LEN, Signature};

/// Operation, algorithm, root, datatype, length and reduce operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) algorithm: Algorithm,
    pub(crate) root: u32,
    pub(crate) datatype: Datatype,
    /// Bytes, or `u64::MAX` where lengths may differ.
    pub(crate) length: u64,
    /// Code of the reduce operation.
    pub(crate) reduction: u32,
}

impl Call {
    pub(crate) fn encode(self) -> Signature {
        let mut bytes = [0; SIGNATURE_LEN];
        bytes[0..4].copy_from_slice(&self.algorithm.code().to_le_bytes());
        bytes[4..8].copy_from_slice(&self.root.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.datatype.0.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.reduction.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.length.to_le_bytes());
        Signature(bytes)
    }
}

/// Where a [`Call`] has the code of its algorithm, a protocol has this.
const PROTOCOL: u8 = 255;
/// Where the name of a protocol begins.
const NAME: usize = 8;

/// The signature of a call of a protocol: a hash of the type's full name, and as much of its name
/// without modules as there is room for, so that ranks can name what only others call.
pub(crate) fn protocol(full: &str) -> Signature {
    let mut bytes = [0; SIGNATURE_LEN];
    bytes[0] = PROTOCOL;
    bytes[4..NAME].copy_from_slice(&crate::message::hash(full.as_bytes()).to_le_bytes());
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

fn describe_protocol(bytes: &[u8; SIGNATURE_LEN]) -> String {
    let name = bytes.get(NAME..NAME + usize::from(bytes[1])).map(String::from_utf8_lossy);
    format!("protocol {}", name.unwrap_or_default())
}

/// How errors call a signature.
pub(crate) fn describe(signature: &Signature) -> String {
    let bytes = &signature.0;
    if bytes[0] == PROTOCOL {
        return describe_protocol(bytes);
    }
    let word =
        |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let Some(algorithm) = Algorithm::from_code(word(0)) else {
        return "a collective that this program does not know".to_owned();
    };
    let (datatype, reduction) = (Datatype(word(8)), word(12));
    let length = u64::from(word(16)) | u64::from(word(20)) << 32;
    let mut text = algorithm.collective.name().to_owned();
    if reduction != 0 {
        let known = ["sum", "prod", "min", "max"];
        let name =
            known.into_iter().find(|name| crate::message::hash(name.as_bytes()) == reduction);
        text += &format!("({})", name.unwrap_or("a function"));
    }
    if datatype != Datatype::BYTES {
        text += &format!(" of {}", name_of(datatype));
    }
    if length != u64::MAX && datatype != Datatype::BYTES {
        text += &format!(" ({length} bytes)");
    }
    if word(4) != u32::MAX {
        text += &format!(" with root {}", word(4));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_is_called_by_its_name_without_modules() {
        let called = |full: &str| describe(&protocol(full));
        assert_eq!(called("app::stats::Mean"), "protocol Mean");
        assert_eq!(called("Mean"), "protocol Mean");
        assert_eq!(called("a::Pair<b::Row, [c_d::E; 3]>"), "protocol Pair<Row, [E; 3]>");
        assert_eq!(called("a::Halo<'_>, a::Halo<'_, b::Row>"), "protocol Halo, Halo<Row>");
        assert_eq!(called("a::ANameThatIsTooLongForTheRoom"), "protocol ANameThatIsTooLongForThe");
        assert_ne!(protocol("a::Mean"), protocol("b::Mean"));
    }
}
