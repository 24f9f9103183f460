//! What replicas tell each other is proved with the token, which itself is never sent.

use fmi::config::Token;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The header with the proof: `SECONDS-MAC`.
pub(super) const HEADER: &str = "x-replica-proof";

/// How far two clocks may differ. For as long somebody who listens could say the same again; of an
/// invitation that would lead to a group which is over, or has that rank already.
const TOLERANCE: Duration = Duration::from_secs(30);

/// That whoever sends this holds the token.
pub(super) fn make(token: &Token, path: &str, body: &[u8]) -> String {
    let seconds = now().as_secs();
    let mac = mac(token, seconds, path, body).finalize().into_bytes();
    let mac: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{seconds}-{mac}")
}

/// Whether it is one, made lately.
pub(super) fn holds(proof: &str, token: &Token, path: &str, body: &[u8]) -> bool {
    let Some((seconds, told)) = proof.split_once('-') else { return false };
    let Ok(seconds) = seconds.parse() else { return false };
    let Some(told) = bytes(told) else { return false };
    now().abs_diff(Duration::from_secs(seconds)) <= TOLERANCE
        && mac(token, seconds, path, body).verify_slice(&told).is_ok()
}

fn mac(token: &Token, seconds: u64, path: &str, body: &[u8]) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(token.expose().as_bytes());
    let mut mac = mac.expect("keys of any length will do");
    // Not to be taken for any other proof under the same token.
    mac.update(format!("axum_service {seconds} {path}\n").as_bytes());
    mac.update(body);
    mac
}

fn bytes(hexadecimal: &str) -> Option<Vec<u8>> {
    let pairs = hexadecimal.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()).collect()
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_of_one_token_path_body_and_time() {
        let (token, other) = (Token::from("one"), Token::from("other"));
        let proof = make(&token, "/path", b"body");
        assert!(holds(&proof, &token, "/path", b"body"));
        assert!(!holds(&proof, &other, "/path", b"body"));
        assert!(!holds(&proof, &token, "/path2", b"body"));
        assert!(!holds(&proof, &token, "/path", b"bodies"));
        let (seconds, mac) = proof.split_once('-').unwrap();
        let later = format!("{}-{mac}", seconds.parse::<u64>().unwrap() + 1);
        assert!(!holds(&later, &token, "/path", b"body"));
        let old = now().as_secs() - 60;
        let mac = super::mac(&token, old, "/path", b"body").finalize().into_bytes();
        let mac: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!holds(&format!("{old}-{mac}"), &token, "/path", b"body"), "it is a minute old");
        for nonsense in ["", "-", "12", "x-00", "1-é", &proof[..proof.len() - 1]] {
            assert!(!holds(nonsense, &token, "/path", b"body"), "{nonsense}");
        }
    }
}
