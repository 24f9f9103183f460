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
    let (value, used) = bincode::serde::decode_from_slice(bytes, bincode::config::standard())
        .map_err(|error| failed::<T>(error.to_string()))?;
    if used != bytes.len() {
        return Err(failed::<T>(format!("{} bytes too many", bytes.len() - used)));
    }
    Ok(value)
}

fn failed<T>(reason: String) -> Error {
    Error::Codec { what: std::any::type_name::<T>().to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

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
