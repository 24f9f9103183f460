//! How long bytes take: bandwidth that has to ramp up.

use crate::{Bandwidth, Bytes, Seconds};
use serde::{Deserialize, Serialize};

/// What one side of a transfer does. It starts slowly and then runs at full rate: the first `knee` bytes
/// go at about `knee / lag`, as windows grow, the rest at the full rate.
///
/// > *time = fixed + lag · ln(1 + bytes / knee) + per_byte · bytes*
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Leg {
    /// For any message.
    pub fixed: Seconds,
    /// How much it loses until it is fast.
    #[serde(skip_serializing_if = "Seconds::is_zero")]
    pub lag: Seconds,
    /// From about how many bytes on it is fast.
    #[serde(skip_serializing_if = "Bytes::is_zero")]
    pub knee: Bytes,
    /// What each byte takes at full rate.
    #[serde(skip_serializing_if = "Seconds::is_zero")]
    pub per_byte: Seconds,
}

impl Leg {
    /// Takes no time.
    pub const NOTHING: Self = Self {
        fixed: Seconds::ZERO,
        lag: Seconds::ZERO,
        knee: Bytes::ZERO,
        per_byte: Seconds::ZERO,
    };

    /// Whether it takes no time.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::NOTHING
    }

    /// At full rate from the first byte.
    #[must_use]
    pub fn flat(fixed: Seconds, rate: Bandwidth) -> Self {
        Self { fixed, per_byte: Bytes::new(1) / rate, ..Self::default() }
    }

    /// How long one message takes.
    #[must_use]
    pub fn time(&self, bytes: Bytes) -> Seconds {
        let flat = self.fixed + self.per_byte * bytes.get();
        if self.lag == Seconds::ZERO || bytes == Bytes::ZERO {
            return flat;
        }
        // Not the system's logarithm: all ranks must come to the same number, whatever they run on.
        flat + self.lag * libm::log1p(bytes.get() as f64 / self.knee.get().max(1) as f64)
    }

    /// The full rate.
    #[must_use]
    pub fn rate(&self) -> Bandwidth {
        Bandwidth::new(1.0 / self.per_byte.get().max(f64::MIN_POSITIVE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_at_first_then_at_full_rate() {
        let leg = Leg {
            lag: Seconds::new(0.0248),
            knee: Bytes::new(1_770_000),
            ..Leg::flat(Seconds::ZERO, Bandwidth::new(905e6))
        };
        // The first bytes: lag / knee each; the later ones 1 / rate.
        let first = leg.time(Bytes::new(1000)).get() / 1000.0;
        assert!((first - (0.0248 / 1.77e6 + 1.0 / 905e6)).abs() < 1e-11);
        let (one, two) = (leg.time(Bytes::gib(1)), leg.time(Bytes::gib(2)));
        assert!((two - one).get() < 1.05 * (1u64 << 30) as f64 / 905e6 + 0.02);
        assert_eq!(leg.rate().to_string(), "905 MB/s");
        assert_eq!(Leg::default().time(Bytes::gib(1)), Seconds::ZERO);
    }
}
