//! The number of an entry in a stream.

use std::fmt;

/// Milliseconds, and which of that millisecond.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp(u64, u64);

impl Stamp {
    /// As the server writes it, `MILLISECONDS-NUMBER`.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let (first, second) = std::str::from_utf8(text).ok()?.split_once('-')?;
        Some(Self(first.parse().ok()?, second.parse().ok()?))
    }

    /// The least that is greater.
    pub(super) fn next(self) -> Self {
        match self.1.checked_add(1) {
            Some(next) => Self(self.0, next),
            None => Self(self.0.saturating_add(1), 0),
        }
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_ordered_as_the_server_orders_them() {
        let stamp = |text: &str| Stamp::parse(text.as_bytes());
        assert!(stamp("9-11") < stamp("10-2"));
        assert!(stamp("10-9") < stamp("10-11"));
        assert_eq!(stamp("10-9").unwrap().next().to_string(), "10-10");
        assert_eq!(Stamp(7, u64::MAX).next(), Stamp(8, 0));
        for wrong in ["", "7", "7-", "-7", "x-1", "1-2-3"] {
            assert_eq!(stamp(wrong), None, "{wrong}");
        }
    }
}
