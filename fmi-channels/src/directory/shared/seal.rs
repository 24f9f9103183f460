//! What stands under a name, under the job's token.
//!
//! ```text
//! "FMId"  version  kind  0 0  body  mac(32)
//! ```
//!
//! The MAC also covers job, run and name, so that no content can stand in for another.

use crate::handshake::Token;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// What a content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Entry = 1,
    Roster = 2,
    Abort = 3,
}

/// Why a content does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It is none of ours, or not whole yet.
    Foreign,
    /// It looks like ours, but was not made with our token.
    Forged,
}

pub(super) fn seal(token: &Token, kind: Kind, place: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = head(kind).to_vec();
    bytes.extend(body);
    bytes.extend(mac(token, kind, place, body).finalize().into_bytes());
    bytes
}

pub(super) fn open<'b>(
    token: &Token,
    kind: Kind,
    place: &str,
    bytes: &'b [u8],
) -> Result<&'b [u8], Unfit> {
    let rest = bytes.strip_prefix(&head(kind)).ok_or(Unfit::Foreign)?;
    let (body, proof) = rest.split_last_chunk::<32>().ok_or(Unfit::Foreign)?;
    match mac(token, kind, place, body).verify_slice(proof) {
        Ok(()) => Ok(body),
        Err(_) => Err(Unfit::Forged),
    }
}

fn head(kind: Kind) -> [u8; 8] {
    let [a, b, c, d] = *b"FMId";
    [a, b, c, d, 1, kind as u8, 0, 0]
}

fn mac(token: &Token, kind: Kind, place: &str, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(token.reveal().as_bytes())
        .expect("HMAC takes keys of any length");
    mac.update(b"fmi directory");
    mac.update(&[kind as u8]);
    mac.update(&(place.len() as u64).to_le_bytes());
    mac.update(place.as_bytes());
    mac.update(body);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sealed_is_opened() {
        let token = Token::new("secret");
        let sealed = seal(&token, Kind::Entry, "job/1/3", b"body");
        assert_eq!(open(&token, Kind::Entry, "job/1/3", &sealed), Ok(&b"body"[..]));
        let other = Token::new("other");
        assert_eq!(open(&other, Kind::Entry, "job/1/3", &sealed), Err(Unfit::Forged));
        assert_eq!(open(&token, Kind::Entry, "job/2/3", &sealed), Err(Unfit::Forged));
        assert_eq!(open(&token, Kind::Roster, "job/1/3", &sealed), Err(Unfit::Foreign));
        for length in 0..sealed.len() {
            assert!(open(&token, Kind::Entry, "job/1/3", &sealed[..length]).is_err());
        }
    }
}
