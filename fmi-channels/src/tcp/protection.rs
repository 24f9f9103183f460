//! What a link of TCP is protected by, besides the proof of the token at its beginning.

use crate::identity::Identity;
use std::sync::Arc;

/// What a link is protected by. Both ends must want the same.
#[derive(Debug, Clone, Default)]
pub enum Protection {
    /// Nothing: who can reach the wire can read it, and cut into it.
    #[default]
    Plain,
    /// Frames carry checksums: what was altered by accident on its way breaks the link, and is
    /// sent again over another. No protection from people.
    Checksum,
    /// TLS 1.3 under this certificate; peers know it by its fingerprint.
    Tls(Arc<Identity>),
}

impl Protection {
    /// Said in the greeting, under the proof of the token: an attacker cannot take it away.
    pub(super) fn word(&self) -> &'static [u8] {
        match self {
            Self::Plain => b"",
            Self::Checksum => CHECKSUM,
            Self::Tls(_) => TLS,
        }
    }
}

const CHECKSUM: &[u8] = b"checksum";
const TLS: &[u8] = b"tls";

/// Part of what is said when two ends want other protections.
pub(crate) const DISAGREE: &str = "say the same in the configuration of all processes";

/// Why two ends whose greetings are not bound to the same do not talk: to different protections,
/// or to different connections.
pub(crate) fn disagreement(theirs: &[u8], ours: &[u8]) -> String {
    match (name(theirs), name(ours)) {
        (Some(theirs), Some(ours)) => format!(
            "the links of the process that dialled are {theirs}, those of the one dialled are \
             {ours}: {DISAGREE}"
        ),
        _ => "somebody sits in the middle of this connection".to_owned(),
    }
}

fn name(word: &[u8]) -> Option<&'static str> {
    match word {
        b"" => Some("plain"),
        CHECKSUM => Some("checked by sums"),
        TLS => Some("encrypted"),
        _ => None,
    }
}
