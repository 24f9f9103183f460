//! Quantities with their units, so that milliseconds never meet a price a second.
//!
//! All are finite: what is not a number becomes 0, what is infinite the largest number there is.
//!
//! ```
//! use fmi_model::{Dollars, DollarsPerSecond, Seconds};
//! let function = DollarsPerSecond::new(1.66667e-5); // one of 1 GiB
//! assert_eq!(function * Seconds::new(60.0), Dollars::new(0.001_000_002));
//! assert_eq!(Dollars::new(0.001_000_002) / function, Seconds::new(60.0));
//! assert_eq!(Seconds::new(0.25).to_string(), "250 ms");
//! assert_eq!(Dollars::new(4e-7).to_string(), "$0.0000004");
//! ```

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    iter::Sum,
    ops::{Add, AddAssign, Div, Mul, Sub, SubAssign},
    time::Duration,
};

/// A quantity that is a number of something.
macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
        #[serde(from = "f64", into = "f64")]
        pub struct $name(f64);

        impl $name {
            /// None at all.
            pub const ZERO: Self = Self(0.0);

            /// So many.
            #[must_use]
            pub const fn new(value: f64) -> Self {
                match value.is_nan() {
                    true => Self(0.0),
                    false => Self(value.clamp(f64::MIN, f64::MAX)),
                }
            }

            /// How many.
            #[must_use]
            pub const fn get(self) -> f64 {
                self.0
            }

            /// Whether there is none.
            #[must_use]
            pub const fn is_zero(&self) -> bool {
                self.0 == 0.0
            }

            /// The lesser of both.
            #[must_use]
            pub const fn min(self, other: Self) -> Self {
                Self(self.0.min(other.0))
            }

            /// The greater of both.
            #[must_use]
            pub const fn max(self, other: Self) -> Self {
                Self(self.0.max(other.0))
            }
        }

        impl From<f64> for $name {
            fn from(value: f64) -> Self {
                Self::new(value)
            }
        }

        impl From<$name> for f64 {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self::new(self.0 + other.0)
            }
        }

        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                *self = *self + other;
            }
        }

        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self::new(self.0 - other.0)
            }
        }

        impl SubAssign for $name {
            fn sub_assign(&mut self, other: Self) {
                *self = *self - other;
            }
        }

        impl Mul<f64> for $name {
            type Output = Self;
            fn mul(self, factor: f64) -> Self {
                Self::new(self.0 * factor)
            }
        }

        impl Mul<u64> for $name {
            type Output = Self;
            fn mul(self, times: u64) -> Self {
                Self::new(self.0 * times as f64)
            }
        }

        impl Div<f64> for $name {
            type Output = Self;
            fn div(self, by: f64) -> Self {
                Self::new(self.0 / by)
            }
        }

        /// How often the other is in this one.
        impl Div for $name {
            type Output = f64;
            fn div(self, by: Self) -> f64 {
                Self::new(self.0 / by.0).0
            }
        }

        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
                all.fold(Self::ZERO, Add::add)
            }
        }
    };
}

quantity! {
    /// A length of time.
    Seconds
}
quantity! {
    /// An amount of money, US dollars.
    Dollars
}
quantity! {
    /// What something costs while it lasts.
    DollarsPerSecond
}
quantity! {
    /// Memory that is held for a time, as functions pay for it: one GiB for a second, so many times.
    GibSeconds
}
quantity! {
    /// How often a second something may happen.
    Rate
}

quantity! {
    /// How many bytes a second go through something.
    Bandwidth
}

/// An amount of data.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Bytes(u64);

impl Bytes {
    /// None at all.
    pub const ZERO: Self = Self(0);

    /// So many.
    #[must_use]
    pub const fn new(count: u64) -> Self {
        Self(count)
    }

    /// So many times 2³⁰.
    #[must_use]
    pub const fn gib(count: u64) -> Self {
        Self(count.saturating_mul(1 << 30))
    }

    /// So many times 2²⁰.
    #[must_use]
    pub const fn mib(count: u64) -> Self {
        Self(count.saturating_mul(1 << 20))
    }

    /// How many.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// As a multiple of another amount, 0 of nothing.
    #[must_use]
    pub fn per(self, other: Self) -> f64 {
        if other.0 == 0 { 0.0 } else { self.0 as f64 / other.0 as f64 }
    }
}

impl Add for Bytes {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Bytes {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Mul<u64> for Bytes {
    type Output = Self;
    fn mul(self, times: u64) -> Self {
        Self(self.0.saturating_mul(times))
    }
}

impl Sum for Bytes {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, Add::add)
    }
}

/// Held for so long.
impl Mul<Seconds> for Bytes {
    type Output = GibSeconds;
    fn mul(self, time: Seconds) -> GibSeconds {
        GibSeconds::new(self.per(Self::gib(1)) * time.0)
    }
}

impl Div<Bandwidth> for Bytes {
    type Output = Seconds;
    /// How long they take to go through it.
    fn div(self, bandwidth: Bandwidth) -> Seconds {
        Seconds::new(self.0 as f64 / bandwidth.0)
    }
}

impl Mul<Seconds> for DollarsPerSecond {
    type Output = Dollars;
    fn mul(self, time: Seconds) -> Dollars {
        Dollars::new(self.0 * time.0)
    }
}

impl Div<DollarsPerSecond> for Dollars {
    type Output = Seconds;
    /// How long one can have it for that.
    fn div(self, rate: DollarsPerSecond) -> Seconds {
        Seconds::new(self.0 / rate.0)
    }
}

impl Div<Seconds> for Dollars {
    type Output = DollarsPerSecond;
    fn div(self, time: Seconds) -> DollarsPerSecond {
        DollarsPerSecond::new(self.0 / time.0)
    }
}

impl Rate {
    /// So many in an hour.
    #[must_use]
    pub const fn hourly(count: f64) -> Self {
        Self::new(count / 3600.0)
    }

    /// How many in an hour.
    #[must_use]
    pub const fn per_hour(self) -> f64 {
        self.0 * 3600.0
    }

    /// The time from one to the next; the longest there is if it never happens.
    #[must_use]
    pub fn interval(self) -> Seconds {
        Seconds::new(1.0 / self.0.max(f64::MIN_POSITIVE))
    }
}

impl From<Duration> for Seconds {
    fn from(duration: Duration) -> Self {
        Self::new(duration.as_secs_f64())
    }
}

impl From<Seconds> for Duration {
    /// None, if negative; the longest there is, if longer.
    fn from(seconds: Seconds) -> Self {
        Self::try_from_secs_f64(seconds.0.max(0.0)).unwrap_or(Self::MAX)
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.abs();
        let text = match size {
            0.0 => "0 s".to_owned(),
            _ if size < 1e-3 => format!("{} µs", digits(self.0 * 1e6)),
            _ if size < 1.0 => format!("{} ms", digits(self.0 * 1e3)),
            _ => format!("{} s", digits(self.0)),
        };
        f.pad(&text)
    }
}

impl fmt::Display for Dollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0.0 { "-" } else { "" };
        f.pad(&format!("{sign}${}", digits(self.0.abs())))
    }
}

impl fmt::Display for DollarsPerSecond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/s", Dollars(self.0)))
    }
}

impl fmt::Display for GibSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} GiB·s", digits(self.0)))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/s", digits(self.0)))
    }
}

impl fmt::Display for Bandwidth {
    /// In decimal units, as networks are sold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(f64, &str); 4] = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
        let name = NAMES.iter().find(|(size, _)| self.0.abs() >= *size);
        f.pad(&match name {
            Some((size, name)) => format!("{} {name}/s", digits(self.0 / size)),
            None => format!("{} B/s", digits(self.0)),
        })
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(u64, &str); 4] =
            [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        let name = NAMES.iter().find(|(size, _)| self.0 >= *size);
        f.pad(&match name {
            Some((size, name)) => format!("{} {name}", digits(self.0 as f64 / *size as f64)),
            None => format!("{} B", self.0),
        })
    }
}

/// Three significant digits, without an exponent and without zeros at the end.
fn digits(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let magnitude = value.abs().log10().floor();
    let decimals = (2.0 - magnitude).clamp(0.0, 30.0) as usize;
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

impl Seconds {
    /// With three significant digits; what is less than a tenth of a picosecond is nothing.
    #[must_use]
    pub fn rounded(self) -> Self {
        if self.0 < 1e-13 {
            return Self::ZERO;
        }
        format!("{:.2e}", self.0).parse().map_or(self, Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_stay_finite() {
        assert_eq!(Seconds::new(f64::NAN), Seconds::ZERO);
        assert_eq!(Seconds::new(f64::INFINITY).get(), f64::MAX);
        assert_eq!((Dollars::new(1.0) / DollarsPerSecond::ZERO).get(), f64::MAX);
        assert_eq!((Seconds::new(f64::MAX) + Seconds::new(f64::MAX)).get(), f64::MAX);
        assert_eq!(Dollars::ZERO / Dollars::ZERO, 0.0);
        assert_eq!(Rate::ZERO.interval().get(), 1.0 / f64::MIN_POSITIVE);
    }

    #[test]
    fn durations_are_clamped() {
        assert_eq!(Duration::from(Seconds::new(-1.0)), Duration::ZERO);
        assert_eq!(Duration::from(Seconds::new(1e300)), Duration::MAX);
        assert_eq!(Duration::from(Seconds::new(0.5)), Duration::from_millis(500));
    }

    #[test]
    fn shown_with_three_digits() {
        for (shown, expected) in [
            (Seconds::new(0.0).to_string(), "0 s"),
            (Seconds::new(0.000_012_34).to_string(), "12.3 µs"),
            (Seconds::new(90.0).to_string(), "90 s"),
            (Dollars::new(12.345_6).to_string(), "$12.3"),
            (Dollars::new(0.000_000_123_4).to_string(), "$0.000000123"),
            (Dollars::new(-1234.0).to_string(), "-$1234"),
            (Bytes::new(1536).to_string(), "1.5 KiB"),
            (Bytes::gib(2).to_string(), "2 GiB"),
            (Bytes::new(12).to_string(), "12 B"),
            (Rate::new(200.0).to_string(), "200/s"),
            (Bandwidth::new(77.9e6).to_string(), "77.9 MB/s"),
        ] {
            assert_eq!(shown, expected);
        }
    }
}
