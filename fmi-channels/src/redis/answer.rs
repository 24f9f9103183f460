//! What answers of the server hold.

use super::stamp::Stamp;
use redis::Value;

/// The letters of a part of a stream.
pub(super) fn entries(answer: Value) -> Option<Vec<(Stamp, Vec<u8>)>> {
    let Value::Array(entries) = answer else { return None };
    let entry = |entry: Value| {
        let Value::Array(entry) = entry else { return None };
        let Ok([stamp, Value::Array(fields)]) = <[Value; 2]>::try_from(entry) else { return None };
        let Ok([_, Value::BulkString(letter)]) = <[Value; 2]>::try_from(fields) else {
            return None;
        };
        Some((Stamp::parse(text(&stamp)?)?, letter))
    };
    entries.into_iter().map(entry).collect()
}

/// Its bytes, if it is a text.
pub(super) fn text(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(text) => Some(text),
        Value::SimpleString(text) => Some(text.as_bytes()),
        _ => None,
    }
}
