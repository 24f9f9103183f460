//! What ranks and cores do themselves, whatever channels there are.

use crate::{Bytes, Seconds};
use serde::{Deserialize, Serialize};

/// What work takes where the ranks run.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Host {
    /// Cores of a machine that ranks share; 0: each rank has its own.
    #[serde(skip_serializing_if = "is_zero")]
    pub cores: usize,
    /// What a rank does before the first step of a collective.
    #[serde(skip_serializing_if = "Seconds::is_zero")]
    pub call: Seconds,
    /// Each further piece of a message, on either side: a value among others.
    #[serde(skip_serializing_if = "Seconds::is_zero")]
    pub piece: Seconds,
    /// Combining two operands.
    pub combine: Effort,
    /// Copying.
    pub copy: Effort,
}

/// What work on bytes takes.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Effort {
    /// Each time.
    pub fixed: Seconds,
    /// For each byte.
    pub per_byte: Seconds,
}

impl Effort {
    /// For so many bytes.
    #[must_use]
    pub fn time(&self, bytes: Bytes) -> Seconds {
        self.fixed + self.per_byte * bytes.get()
    }
}

impl Host {
    /// With three significant digits: more is not known.
    #[must_use]
    pub fn rounded(mut self) -> Self {
        self.times_mut().into_iter().for_each(|(_, time)| *time = time.rounded());
        self
    }

    /// Whether no time is negative.
    ///
    /// # Errors
    /// The name of the first that is not.
    pub fn check(&self) -> Result<(), String> {
        let mut copy = *self;
        match copy.times_mut().into_iter().find(|(_, time)| **time < Seconds::ZERO) {
            Some((name, time)) => Err(format!("{name} is {}: it must be 0 or more", time.get())),
            None => Ok(()),
        }
    }

    /// All times, by their names.
    fn times_mut(&mut self) -> [(&'static str, &mut Seconds); 6] {
        [
            ("call", &mut self.call),
            ("piece", &mut self.piece),
            ("combine.fixed", &mut self.combine.fixed),
            ("combine.per_byte", &mut self.combine.per_byte),
            ("copy.fixed", &mut self.copy.fixed),
            ("copy.per_byte", &mut self.copy.per_byte),
        ]
    }
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_and_checked() {
        let copy = Effort { fixed: Seconds::new(1.2345e-6), per_byte: Seconds::new(3e-17) };
        let host = Host { cores: 2, copy, ..Host::default() };
        let Effort { fixed, per_byte } = host.rounded().copy;
        assert_eq!((fixed, per_byte), (Seconds::new(1.23e-6), Seconds::ZERO));
        assert_eq!(host.check(), Ok(()));
        let wrong = Host { piece: Seconds::new(-1e-9), ..host };
        assert!(wrong.check().unwrap_err().starts_with("piece is -"));
    }
}
