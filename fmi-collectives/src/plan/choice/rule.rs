//! When an algorithm is to be taken.

use super::can_run;
use crate::plan::{Algorithm, Objection, Place, Question};
use std::{fmt, ops::Range};

const ANY_BYTES: Range<u64> = 0..u64::MAX;
const ANY_SIZE: Range<usize> = 0..usize::MAX;

/// An algorithm, and when it is to be taken. A rule that asks for a number of bytes does not
/// apply where ranks do not know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What to run.
    pub algorithm: &'static Algorithm,
    /// For so many ranks.
    pub size: Range<usize>,
    /// For values of so many bytes.
    pub bytes: Range<u64>,
    /// Only there.
    pub place: Option<Place>,
}

impl Rule {
    /// For any number of ranks and bytes.
    #[must_use]
    pub const fn always(algorithm: &'static Algorithm) -> Self {
        Self { algorithm, size: ANY_SIZE, bytes: ANY_BYTES, place: None }
    }

    /// For values of at least so many bytes.
    #[must_use]
    pub const fn from_bytes(mut self, bytes: u64) -> Self {
        self.bytes.start = bytes;
        self
    }

    /// For values of fewer bytes.
    #[must_use]
    pub const fn below_bytes(mut self, bytes: u64) -> Self {
        self.bytes.end = bytes;
        self
    }

    /// For at least so many ranks.
    #[must_use]
    pub const fn from_size(mut self, size: usize) -> Self {
        self.size.start = size;
        self
    }

    /// For fewer ranks.
    #[must_use]
    pub const fn below_size(mut self, size: usize) -> Self {
        self.size.end = size;
        self
    }

    /// Only there.
    #[must_use]
    pub const fn within(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// What speaks against it: the algorithm may not run at all, or is not wanted here.
    #[must_use]
    pub fn objection(&self, question: &Question) -> Option<Objection> {
        Objection::to(self.algorithm, question).or_else(|| self.unwanted(question))
    }

    /// Why it is not wanted here, if so.
    fn unwanted(&self, question: &Question) -> Option<Objection> {
        match question.bytes {
            _ if self.place.is_some_and(|place| !question.is_in(place)) => Some(Objection::Place),
            _ if !self.size.contains(&question.size) => Some(Objection::Size),
            Some(bytes) if !self.bytes.contains(&bytes) => Some(Objection::Bytes),
            None if self.bytes != ANY_BYTES => Some(Objection::UnknownBytes),
            _ => None,
        }
    }

    /// Whether nothing speaks against it. Most rules are for other places and sizes.
    pub(super) fn applies(&self, question: &Question) -> bool {
        self.unwanted(question).is_none() && can_run(self.algorithm, question)
    }
}

/// For which ranks and bytes, and whom the algorithm suits: `ranks ≥ 3, bytes ≥ 1 MiB`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ranks, bytes) = self.limits();
        write!(f, "{ranks}, {bytes}")?;
        self.place.map_or(Ok(()), |place| write!(f, ", {place}"))
    }
}

impl Rule {
    /// Ranks and bytes in words.
    pub(super) fn limits(&self) -> (String, String) {
        let Self { size, bytes, .. } = self;
        let end = |end, most| (end != most).then_some(end);
        let ranks = (size.start as u64, end(size.end as u64, usize::MAX as u64));
        let ranks = limits("ranks", ranks, |ranks| ranks.to_string());
        (ranks, limits("bytes", (bytes.start, end(bytes.end, u64::MAX)), rounded))
    }
}

fn limits(what: &str, bounds: (u64, Option<u64>), text: fn(u64) -> String) -> String {
    match (bounds.0, bounds.1.map(text)) {
        (0, None) => format!("any {what}"),
        (low, None) => format!("{what} ≥ {}", text(low)),
        (0, Some(high)) => format!("{what} < {high}"),
        (low, Some(high)) => format!("{} ≤ {what} < {high}", text(low)),
    }
}

/// Bytes in the largest unit of which they are a multiple.
fn rounded(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let unit = units.iter().find(|(bits, _)| bytes > 0 && bytes.trailing_zeros() >= *bits);
    unit.map_or_else(|| bytes.to_string(), |(bits, unit)| format!("{} {unit}", bytes >> bits))
}
