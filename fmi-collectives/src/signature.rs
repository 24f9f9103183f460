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

/// How errors call a signature.
pub(crate) fn describe(signature: &Signature) -> String {
    let bytes = &signature.0;
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
