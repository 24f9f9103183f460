//! How far traffic goes.

use crate::channel::Rung;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where traffic goes: how far apart those are who talk, or that a store lies between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Inside one process.
    Process,
    /// Between processes of one machine.
    Machine,
    /// Between machines.
    Network,
    /// To a store and from it.
    Store,
}

impl Tier {
    /// All of them, the nearest first.
    pub const ALL: [Self; 4] = [Self::Process, Self::Machine, Self::Network, Self::Store];

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Machine => "machine",
            Self::Network => "network",
            Self::Store => "store",
        }
    }

    /// Of a link to a process that is on the same machine, or not. What the rendezvous passes on leaves
    /// the machine.
    pub(crate) const fn of(rung: Rung, near: bool) -> Self {
        match rung {
            Rung::Local => Self::Process,
            Rung::Machine => Self::Machine,
            Rung::Store => Self::Store,
            Rung::Direct | Rung::Punched if near => Self::Machine,
            Rung::Direct | Rung::Punched | Rung::Relay => Self::Network,
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_store_however_near() {
        assert_eq!(Tier::of(Rung::Local, true), Tier::Process);
        assert_eq!([true, false].map(|near| Tier::of(Rung::Store, near)), [Tier::Store; 2]);
        assert_eq!([true, false].map(|near| Tier::of(Rung::Relay, near)), [Tier::Network; 2]);
        let direct = [true, false].map(|near| Tier::of(Rung::Direct, near));
        assert_eq!(direct, [Tier::Machine, Tier::Network]);
        for tier in Tier::ALL {
            assert_eq!(serde_json::to_string(&tier).unwrap(), format!("\"{tier}\""));
        }
    }
}
