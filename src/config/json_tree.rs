//! JSON with the places of its keys, which `serde_json` does not keep.

use std::fmt;

use fmi_actors::Result;
use serde::Deserializer;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::tree::{Document, Entry, Node, Tree};

/// Reads a text; also gives its top-level `model` as it stands.
pub(super) fn parse(document: &Document<'_>) -> Result<(Tree, Option<Value>)> {
    let wrong = |wrong: serde_json::Error| {
        let lines = document.text.split_inclusive('\n').take(wrong.line().saturating_sub(1));
        let at = lines.map(str::len).sum::<usize>() + wrong.column().saturating_sub(1);
        // The library ends its message with the place, which stands in front already.
        let message = wrong.to_string();
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(text, _)| text);
        document.error(at, format!("not valid JSON: {message}"))
    };
    let mut reader = serde_json::Deserializer::from_str(document.text);
    let root = Seed { text: document.text, at: 0 }.deserialize(&mut reader).map_err(wrong)?;
    reader.end().map_err(wrong)?;
    let mut value: Value = serde_json::from_str(document.text).map_err(wrong)?;
    Ok((root, value.get_mut("model").map(Value::take)))
}

/// A text, number or boolean as text: FMI takes numbers and booleans in quotes too.
pub(super) fn scalar(value: &Tree) -> Result<String, String> {
    match &value.node {
        Node::Text(text) => Ok(text.trim().to_owned()),
        Node::Integer(number) => Ok(number.to_string()),
        Node::Flag(flag) => Ok(flag.to_string()),
        _ => value.wrong("one value"),
    }
}

/// Reads a value that belongs to the key at `at`.
#[derive(Clone, Copy)]
struct Seed<'a> {
    text: &'a str,
    at: usize,
}

impl Seed<'_> {
    fn tree<E>(self, node: Node) -> Result<Tree, E> {
        Ok(Tree { at: self.at, node })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'de> {
    type Value = Tree;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Tree, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'de> {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Tree, E> {
        self.tree(Node::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Tree, E> {
        self.tree(Node::Integer(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
        self.tree(Node::Integer(number.into()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
        self.tree(Node::Other("a number with a point"))
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        self.tree(Node::Other("null"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        self.tree(Node::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        self.tree(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, at)) = map.next_key_seed(Key(self))? {
            let value = map.next_value_seed(Seed { at, ..self })?;
            entries.push(Entry { key, at, value });
        }
        self.tree(Node::Table(entries))
    }
}

/// Reads a key and where it stands.
struct Key<'a>(Seed<'a>);

impl<'de> DeserializeSeed<'de> for Key<'de> {
    type Value = (String, usize);

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key<'de> {
    type Value = (String, usize);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    /// A key without escapes is a piece of the text: its address tells where. The place is that
    /// of its quote.
    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        let inside = key.as_ptr().addr().checked_sub(self.0.text.as_ptr().addr());
        Ok((key.to_owned(), inside.map_or(self.0.at, |inside| inside.saturating_sub(1))))
    }

    /// A key with escapes is a copy, and gets the place of the key above it.
    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok((key.to_owned(), self.0.at))
    }
}
