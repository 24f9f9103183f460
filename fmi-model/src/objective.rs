//! What is wanted: time, money, or one within a bound of the other.

use crate::{Dollars, Seconds, estimate::Estimate};
use serde::{Deserialize, Serialize};
use std::{cmp::Ordering, fmt, str::FromStr};

/// What a choice is made by.
///
/// ```
/// use fmi_model::{Dollars, Objective};
/// let objective: Objective = "fast within $0.002".parse()?;
/// assert_eq!(objective, Objective::FastWithin(Dollars::new(0.002)));
/// assert_eq!("cheap".parse(), Ok(Objective::Cheap));
/// assert_eq!("cheap within 20 ms".parse::<Objective>()?.to_string(), "cheap within 20 ms");
/// # Ok::<(), fmi_model::objective::BadObjective>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Objective {
    /// The least time.
    #[default]
    Fast,
    /// The least money.
    Cheap,
    /// The least time of what costs no more; if nothing does, the least money.
    FastWithin(Dollars),
    /// The least money of what takes no longer; if nothing does, the least time.
    CheapWithin(Seconds),
}

/// A text that names no objective.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no objective: write fast, cheap, \"fast within $0.001\" or \"cheap within 20 ms\""
)]
pub struct BadObjective(pub String);

impl Objective {
    /// Which of two is better: that is less. The same for the same numbers, always, and a total
    /// order.
    #[must_use]
    pub fn compare(&self, one: &Estimate, other: &Estimate) -> Ordering {
        let keys = |estimate: &Estimate| {
            let (time, money) = (estimate.time.get(), estimate.money.get());
            match self {
                Self::Fast => (false, time, money),
                Self::Cheap => (false, money, time),
                Self::FastWithin(limit) if estimate.money > *limit => (true, money, time),
                Self::FastWithin(_) => (false, time, money),
                Self::CheapWithin(limit) if estimate.time > *limit => (true, time, money),
                Self::CheapWithin(_) => (false, money, time),
            }
        };
        let (one, other) = (keys(one), keys(other));
        let second = || one.1.total_cmp(&other.1).then(one.2.total_cmp(&other.2));
        one.0.cmp(&other.0).then_with(second)
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fast => f.pad("fast"),
            Self::Cheap => f.pad("cheap"),
            Self::FastWithin(limit) => f.pad(&format!("fast within {limit}")),
            Self::CheapWithin(limit) => f.pad(&format!("cheap within {limit}")),
        }
    }
}

impl FromStr for Objective {
    type Err = BadObjective;

    fn from_str(text: &str) -> Result<Self, BadObjective> {
        let bad = || BadObjective(text.to_owned());
        let (name, limit) = match text.split_once("within") {
            None => (text.trim(), None),
            Some((name, limit)) => (name.trim(), Some(limit.trim())),
        };
        match (name, limit) {
            ("fast", None) => Ok(Self::Fast),
            ("cheap", None) => Ok(Self::Cheap),
            ("fast", Some(limit)) => {
                let dollars = limit.strip_prefix('$').unwrap_or(limit).trim().parse();
                Ok(Self::FastWithin(Dollars::new(positive(dollars).ok_or_else(bad)?)))
            }
            ("cheap", Some(limit)) => {
                let end = limit.find(|c: char| c.is_alphabetic() || c == 'µ').ok_or_else(bad)?;
                let unit = match limit[end..].trim() {
                    "s" => 1.0,
                    "ms" => 1e-3,
                    "us" | "µs" => 1e-6,
                    "min" => 60.0,
                    _ => return Err(bad()),
                };
                let number = positive(limit[..end].trim().parse()).ok_or_else(bad)?;
                Ok(Self::CheapWithin(Seconds::new(number * unit)))
            }
            _ => Err(bad()),
        }
    }
}

fn positive(number: Result<f64, std::num::ParseFloatError>) -> Option<f64> {
    number.ok().filter(|number| number.is_finite() && *number >= 0.0)
}

impl From<Objective> for crate::polling::Hint {
    /// How to look into a store for it.
    fn from(objective: Objective) -> Self {
        match objective {
            Objective::Fast | Objective::FastWithin(_) => Self::Fast,
            Objective::Cheap | Objective::CheapWithin(_) => Self::Cheap,
        }
    }
}

impl TryFrom<String> for Objective {
    type Error = BadObjective;
    fn try_from(text: String) -> Result<Self, BadObjective> {
        text.parse()
    }
}

impl From<Objective> for String {
    fn from(objective: Objective) -> Self {
        // Exactly: three digits, as people see it, are another limit.
        match objective {
            Objective::FastWithin(limit) => format!("fast within ${}", limit.get()),
            Objective::CheapWithin(limit) => format!("cheap within {} s", limit.get()),
            other => other.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_kept_exactly() {
        for objective in [
            Objective::Fast,
            Objective::FastWithin(Dollars::new(0.123_456_789)),
            Objective::CheapWithin(Seconds::new(1.0 / 3.0)),
        ] {
            assert_eq!(String::from(objective).parse(), Ok(objective));
        }
        for wrong in [
            "",
            "best",
            "fast within",
            "fast within $-1",
            "cheap within 3",
            "cheap within 3 h",
            "fast within nan",
        ] {
            assert_eq!(wrong.parse::<Objective>(), Err(BadObjective(wrong.to_owned())));
        }
    }

    #[test]
    fn a_bound_comes_first() {
        let estimate = |time: f64, money: f64| Estimate {
            time: Seconds::new(time),
            late: Seconds::new(time),
            money: Dollars::new(money),
        };
        let (quick, cheap) = (estimate(1.0, 9.0), estimate(5.0, 2.0));
        for (objective, better) in [
            ("fast", Ordering::Less),
            ("cheap", Ordering::Greater),
            ("fast within $9", Ordering::Less),
            ("fast within $8", Ordering::Greater),
            ("fast within $1", Ordering::Greater),
            ("cheap within 5 s", Ordering::Greater),
            ("cheap within 4 s", Ordering::Less),
            ("cheap within 0.5 s", Ordering::Less),
        ] {
            let objective: Objective = objective.parse().unwrap();
            assert_eq!(objective.compare(&quick, &cheap), better, "{objective}");
        }
    }
}
