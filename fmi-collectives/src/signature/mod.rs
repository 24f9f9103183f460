//! What a rank believes a collective to be: travels with its first frames, and is compared.

mod hint;
mod protocol;

pub(crate) use hint::Hint;
pub(crate) use protocol::{signature_of, without_modules};

use crate::{
    message::{hash, name_of},
    plan::{Algorithm, Collective},
};
use fmi_actors::frame::{Datatype, SIGNATURE_LEN, Signature};

/// A call that all members of a group must make alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) what: What,
    /// `None` where there is none.
    pub(crate) root: Option<usize>,
    pub(crate) datatype: Datatype,
    /// Code of the reduce operation, 0 where there is none.
    pub(crate) reduction: u32,
    /// Ranks that would learn the terms from the first frame find what is published instead.
    pub(crate) published: bool,
    /// What algorithms are chosen for.
    pub(crate) hint: Hint,
    /// `None` on ranks that learn it from the first frame.
    pub(crate) terms: Option<Terms>,
}

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Collective(Collective),
    /// A communicator is duplicated.
    Dup,
}

/// How a collective is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Bytes of a value, or [`ANY_LENGTH`](Self::ANY_LENGTH).
    pub(crate) length: u64,
    /// Code of the algorithm.
    pub(crate) algorithm: u32,
    pub(crate) chunks: u32,
}

impl Terms {
    /// Lengths may differ between the ranks.
    pub(crate) const ANY_LENGTH: u64 = u64::MAX;

    /// The terms in the signature of a frame, if its sender knew them.
    pub(crate) fn decode(signature: &Signature) -> Option<Self> {
        if signature.0[SIGNATURE_LEN / 2..] == Signature::UNKNOWN {
            return None;
        }
        let length = u64::from(word(signature, 16)) | u64::from(word(signature, 20)) << 32;
        Some(Self { length, algorithm: word(signature, 24), chunks: word(signature, 28) })
    }
}

/// Where a [`Call`] has its collective, a protocol has this.
const PROTOCOL: u8 = 254;
const DUP: u8 = 255;

impl Call {
    pub(crate) fn encode(self) -> Signature {
        let mut bytes = [0; SIGNATURE_LEN];
        bytes[0] = match self.what {
            What::Collective(collective) => collective as u8,
            What::Dup => DUP,
        };
        bytes[1] = self.published.into();
        self.hint.write(&mut bytes);
        let root = self.root.map_or(u32::MAX, |root| root as u32);
        bytes[4..8].copy_from_slice(&root.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.datatype.0.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.reduction.to_le_bytes());
        let late = &mut bytes[SIGNATURE_LEN / 2..];
        match self.terms {
            Some(Terms { length, algorithm, chunks }) => {
                late[..8].copy_from_slice(&length.to_le_bytes());
                late[8..12].copy_from_slice(&algorithm.to_le_bytes());
                late[12..].copy_from_slice(&chunks.to_le_bytes());
            }
            None => late.copy_from_slice(&Signature::UNKNOWN),
        }
        Signature(bytes)
    }
}

/// How errors call a signature that differs from another.
pub(crate) fn describe(signature: &Signature, other: &Signature) -> String {
    let text = plainly(signature);
    if !is_same_call(signature, other) {
        return text;
    }
    let [hint, another] = [signature, other].map(|signature| Hint::read(&signature.0));
    if hint != another {
        return format!("{text}, hint {}", hint.objective());
    }
    match Terms::decode(signature) {
        None => format!("{text} by messages"),
        Some(terms) => match Algorithm::from_code(terms.algorithm) {
            Some(algorithm) => format!("{text} by {}", algorithm.name),
            None => format!("{text} by an algorithm of its own"),
        },
    }
}

/// Whether they differ in nothing but how they are carried out.
fn is_same_call(one: &Signature, other: &Signature) -> bool {
    let call = |signature: &Signature| {
        let words = [4, 8, 12].map(|at| word(signature, at));
        (signature.0[0], words)
    };
    let length = |signature| Terms::decode(signature).map(|terms| terms.length);
    let known = |length: &u64| *length != Terms::ANY_LENGTH;
    let lengths = length(one).filter(known).zip(length(other).filter(known));
    one.0[0] < PROTOCOL && call(one) == call(other) && lengths.is_none_or(|(a, b)| a == b)
}

/// What the user wrote.
fn plainly(signature: &Signature) -> String {
    let (datatype, reduction) = (Datatype(word(signature, 8)), word(signature, 12));
    let collective = match signature.0[0] {
        PROTOCOL => return protocol::describe(signature),
        DUP => return "dup".to_owned(),
        code => Collective::ALL.iter().find(|collective| **collective as u8 == code),
    };
    let Some(collective) = collective else {
        return "a collective that this program does not know".to_owned();
    };
    let mut text = collective.name().to_owned();
    if reduction != 0 {
        let known = ["sum", "prod", "min", "max"];
        let name = known.into_iter().find(|name| hash(name) == reduction);
        text += &format!("({})", name.unwrap_or("a function"));
    }
    if datatype != Datatype::BYTES {
        text += &format!(" of {}", name_of(datatype));
    }
    if let Some(Terms { length, .. }) = Terms::decode(signature)
        && length != Terms::ANY_LENGTH
        && datatype != Datatype::BYTES
    {
        text += &format!(" ({length} bytes)");
    }
    let root = word(signature, 4);
    if root != u32::MAX {
        text += &format!(" with root {root}");
    }
    text
}

fn word(signature: &Signature, at: usize) -> u32 {
    let bytes = &signature.0;
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
