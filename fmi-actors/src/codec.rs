//! Values to bytes and back. The only place that names the serialiser.

use crate::{Error, Result};
use serde::{Serialize, de::DeserializeOwned};

/// Encodes any serialisable value.
///
/// # Errors
/// [`Error::Codec`] when the value's `Serialize` refuses.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    bincode::serde::encode_to_vec(value, bincode::config::standard())
        .map_err(|error| failed::<T>(error.to_string()))
}

/// Decodes a value that occupies all of `bytes`.
///
/// Collections are limited by the bytes that are there, so a forged length allocates nothing.
///
/// # Errors
/// [`Error::Codec`] when the bytes are not such a value or are longer than it.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    // A string's buffer is allocated by its announced length, so the length needs a limit before
    // it is believed. The limit is a constant; it counts decoded sizes, at most 16 times the
    // encoded ones (an u128 of one byte).
    let limited = match bytes.len() {
        0..=0x1000 => limited::<T, 0x1_0000>(bytes),
        0x1001..=0x10_0000 => limited::<T, 0x100_0000>(bytes),
        0x10_0001..=0x1000_0000 => limited::<T, 0x1_0000_0000>(bytes),
        _ => limited::<T, { 1 << 44 }>(bytes),
    };
    let (value, used) = limited.map_err(|error| failed::<T>(error.to_string()))?;
    if used != bytes.len() {
        return Err(failed::<T>(format!("{} bytes too many", bytes.len() - used)));
    }
    Ok(value)
}

fn limited<T: DeserializeOwned, const LIMIT: usize>(
    bytes: &[u8],
) -> Result<(T, usize), bincode::error::DecodeError> {
    let config = bincode::config::standard().with_limit::<LIMIT>();
    bincode::serde::decode_from_slice(bytes, config)
}

fn failed<T>(reason: String) -> Error {
    Error::Codec { what: std::any::type_name::<T>().to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forged_string_length_is_an_error() {
        for length in [u64::MAX, 1 << 46, 1 << 20] {
            let mut bytes = vec![0xfd];
            bytes.extend(length.to_le_bytes());
            assert!(matches!(decode::<String>(&bytes), Err(Error::Codec { .. })));
        }
    }

    #[test]
    fn limit_refuses_nothing_honest() {
        for count in [0, 1, 0x1000, 0x1001, 0x10_0000, 0x10_0001] {
            let ones = vec![1u128; count];
            assert_eq!(decode::<Vec<u128>>(&encode(&ones).unwrap()).unwrap(), ones);
        }
    }

    #[test]
    fn round_trip_and_trailing_bytes() {
        let mut bytes = encode(&("ring", 7u64)).unwrap();
        assert_eq!(decode::<(String, u64)>(&bytes).unwrap(), ("ring".to_owned(), 7));
        bytes.push(0);
        assert!(matches!(decode::<(String, u64)>(&bytes), Err(Error::Codec { .. })));
    }

    #[test]
    fn forged_length_is_an_error() {
        let mut bytes = encode(&u64::MAX).unwrap();
        bytes.extend([1, 2, 3]);
        assert!(matches!(decode::<Vec<u64>>(&bytes), Err(Error::Codec { .. })));
    }
}
