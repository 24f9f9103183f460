//! What can be predicted: collectives, and the two exchanges that all others are made of.

use clap::{ValueEnum, builder::PossibleValue};
use fmi::plan::Collective;
use std::fmt;

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Collective(Collective),
    /// A message from one rank to another, one way.
    PingPong,
    /// One rank sends the same to all others, without their help.
    FanOut,
}

impl Call {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Collective(collective) => collective.name(),
            Self::PingPong => "pingpong",
            Self::FanOut => "fanout",
        }
    }

    /// Whether it moves anything but a signal.
    pub(super) fn has_bytes(self) -> bool {
        self != Self::Collective(Collective::Barrier)
    }
}

impl ValueEnum for Call {
    fn value_variants<'a>() -> &'a [Self] {
        const COUNT: usize = Collective::ALL.len();
        const VARIANTS: [Call; COUNT + 2] = {
            let mut variants = [Call::FanOut; COUNT + 2];
            let mut at = 0;
            while at < COUNT {
                variants[at] = Call::Collective(Collective::ALL[at]);
                at += 1;
            }
            variants[COUNT] = Call::PingPong;
            variants
        };
        &VARIANTS
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_have_a_name_of_their_own() {
        let mut names: Vec<_> = Call::value_variants().iter().map(|call| call.name()).collect();
        assert_eq!(names.len(), Collective::ALL.len() + 2);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Collective::ALL.len() + 2);
    }
}
