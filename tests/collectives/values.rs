//! Types that are sent: how values are made, and compared to the bit.

use bytes::Bytes;
use fmi::{Buf, Message};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// A type whose values can be made, and compared to the bit.
pub(crate) trait Value: Message + Clone + Debug {
    /// The value of a rank, or of whatever has a number.
    fn make(number: usize, seed: u64, len: usize) -> Self;
    fn bits(&self) -> Vec<u64>;
}

/// A user's own type, of no fixed length.
#[derive(Debug, Clone, Serialize, Deserialize, fmi::Message)]
pub(crate) struct Sample {
    id: u64,
    name: String,
    weights: Vec<f32>,
    mark: Option<char>,
}

impl Value for () {
    fn make(_: usize, _: u64, _: usize) -> Self {}
    fn bits(&self) -> Vec<u64> {
        Vec::new()
    }
}

impl Value for u64 {
    fn make(number: usize, seed: u64, _: usize) -> Self {
        (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(7 * number as u32) | 1
    }
    fn bits(&self) -> Vec<u64> {
        vec![*self]
    }
}

impl Value for u8 {
    fn make(number: usize, seed: u64, _: usize) -> Self {
        u64::make(number, seed, 0).to_le_bytes()[3]
    }
    fn bits(&self) -> Vec<u64> {
        vec![u64::from(*self)]
    }
}

impl Value for f32 {
    fn make(number: usize, seed: u64, _: usize) -> Self {
        f64::make(number, seed, 0) as Self
    }
    fn bits(&self) -> Vec<u64> {
        vec![u64::from(self.to_bits())]
    }
}

impl Value for f64 {
    /// Not exact in binary, so that another order or bracketing shows.
    fn make(number: usize, seed: u64, _: usize) -> Self {
        (u64::make(number, seed, 0) % 2_000_003) as Self / 1009.7 - 991.3
    }
    fn bits(&self) -> Vec<u64> {
        vec![self.to_bits()]
    }
}

impl Value for Vec<u8> {
    fn make(number: usize, seed: u64, len: usize) -> Self {
        (0..len as u64).map(|index| u8::make(number, seed + index, 0)).collect()
    }
    fn bits(&self) -> Vec<u64> {
        self.iter().map(|byte| u64::from(*byte)).collect()
    }
}

impl Value for Vec<f32> {
    fn make(number: usize, seed: u64, len: usize) -> Self {
        (0..len as u64).map(|index| f32::make(number, seed + index, 0)).collect()
    }
    fn bits(&self) -> Vec<u64> {
        self.iter().map(|float| u64::from(float.to_bits())).collect()
    }
}

impl Value for Vec<f64> {
    fn make(number: usize, seed: u64, len: usize) -> Self {
        (0..len as u64).map(|index| f64::make(number, seed + index, 0)).collect()
    }
    fn bits(&self) -> Vec<u64> {
        self.iter().map(|float| float.to_bits()).collect()
    }
}

impl Value for Buf<f64> {
    fn make(number: usize, seed: u64, len: usize) -> Self {
        Vec::make(number, seed, len).into()
    }
    fn bits(&self) -> Vec<u64> {
        self.iter().map(|float| float.to_bits()).collect()
    }
}

impl Value for Bytes {
    /// A part of a larger allocation.
    fn make(number: usize, seed: u64, len: usize) -> Self {
        Self::from(Vec::<u8>::make(number, seed, len + 2)).slice(1..=len)
    }
    fn bits(&self) -> Vec<u64> {
        self.to_vec().bits()
    }
}

impl Value for String {
    /// Lengths differ between ranks.
    fn make(number: usize, seed: u64, len: usize) -> Self {
        let letter = char::from(b'a' + (seed % 26) as u8);
        let len = len + (number * len) % 5;
        (0..len).map(|_| letter).chain(number.to_string().chars()).collect()
    }
    fn bits(&self) -> Vec<u64> {
        self.as_bytes().to_vec().bits()
    }
}

impl Value for Sample {
    fn make(number: usize, seed: u64, len: usize) -> Self {
        Self {
            id: u64::make(number, seed, 0),
            name: String::make(number, seed, len % 100),
            weights: Vec::make(number, seed, len),
            mark: (number % 2 == 1).then_some('µ'),
        }
    }
    fn bits(&self) -> Vec<u64> {
        let mark = self.mark.map_or(0, u64::from);
        [vec![self.id, mark], self.name.bits(), self.weights.bits()].concat()
    }
}

impl Value for Option<Vec<String>> {
    fn make(number: usize, seed: u64, len: usize) -> Self {
        let word = |index| String::make(number, seed + index, index as usize);
        (number % 3 != 1).then(|| (0..(len % 1000) as u64).map(word).collect())
    }
    fn bits(&self) -> Vec<u64> {
        let Some(words) = self else { return vec![u64::MAX] };
        words.iter().flat_map(|word| [vec![word.len() as u64], word.bits()].concat()).collect()
    }
}

pub(crate) fn bits<T: Value>(values: impl IntoIterator<Item = T>) -> Vec<Vec<u64>> {
    values.into_iter().map(|value| value.bits()).collect()
}

/// The values of ranks `0..size`.
pub(crate) fn all<T: Value>(size: usize, seed: u64, len: usize) -> Vec<T> {
    (0..size).map(|rank| T::make(rank, seed, len)).collect()
}
