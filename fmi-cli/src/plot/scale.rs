//! Where numbers are on a logarithmic axis, and what stands there.

use fmi_model::{Bytes, Dollars, Seconds};

/// What numbers are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Number,
    Bytes,
    Seconds,
    Dollars,
}

/// An axis from one pixel to another.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    /// The logarithms of its ends.
    low: f64,
    high: f64,
    /// Their pixels.
    from: i32,
    to: i32,
    /// Where labels stand, and which.
    pub(super) ticks: Vec<(f64, String)>,
}

/// More labels side by side would touch.
const MOST_TICKS: usize = 9;

impl Scale {
    /// One that holds all values that are above 0; `tight` if it ends with the outermost.
    pub(super) fn of(
        unit: Unit,
        values: impl Iterator<Item = f64>,
        (from, to): (i32, i32),
        tight: bool,
    ) -> Self {
        let logs = values.filter(|value| *value > 0.0 && value.is_finite()).map(f64::log10);
        let (low, high) =
            logs.fold((f64::MAX, f64::MIN), |(low, high), log| (log.min(low), log.max(high)));
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        // One value alone stands in the middle.
        let (low, high) = if high - low < 0.05 { (low - 0.35, high + 0.35) } else { (low, high) };
        let pad = (high - low) * if tight { 0.025 } else { 0.07 };
        let (low, high) = (low - pad, high + pad);
        let ticks = ticks(unit, low, high);
        Self { low, high, from, to, ticks }
    }

    /// The pixel of a value above 0.
    pub(super) fn at(&self, value: f64) -> i32 {
        let share = (value.log10() - self.low) / (self.high - self.low);
        self.from + (share * f64::from(self.to - self.from)).round() as i32
    }

    pub(super) fn ends(&self) -> (i32, i32) {
        (self.from, self.to)
    }
}

/// Values between two powers of ten with their labels, few enough.
fn ticks(unit: Unit, low: f64, high: f64) -> Vec<(f64, String)> {
    let values = match unit {
        Unit::Number | Unit::Bytes => powers_of_two(low, high),
        Unit::Seconds | Unit::Dollars => decades(low, high),
    };
    values.into_iter().map(|value| (value, label(unit, value))).collect()
}

fn powers_of_two(low: f64, high: f64) -> Vec<f64> {
    let two = 2_f64.log10();
    let (first, last) = ((low / two).ceil() as i32, (high / two).floor() as i32);
    let step = (1..).find(|step| (last - first) / step < MOST_TICKS as i32).unwrap_or(1);
    // Of bytes and ranks the last is what is looked for.
    (first..=last).rev().step_by(step as usize).map(|power| 2_f64.powi(power)).collect()
}

fn decades(low: f64, high: f64) -> Vec<f64> {
    let within = |value: &f64| (low..=high).contains(&value.log10());
    let powers = low.floor() as i32..=high.ceil() as i32;
    let with = |factors: &'static [f64]| {
        let all = powers
            .clone()
            .flat_map(|power| factors.iter().map(move |factor| factor * 10_f64.powi(power)));
        all.filter(within).collect::<Vec<_>>()
    };
    let many = [with(&[1.0, 2.0, 5.0]), with(&[1.0, 3.0]), with(&[1.0])];
    let fine = many.iter().find(|ticks| ticks.len() <= 6).cloned();
    fine.unwrap_or_else(|| {
        let all = with(&[1.0]);
        let step = all.len().div_ceil(6);
        all.into_iter().rev().step_by(step).collect()
    })
}

fn label(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Number if value >= 1.0 => format!("{}", value.round()),
        Unit::Number => format!("{value}"),
        Unit::Bytes => Bytes::new(value.round() as u64).to_string(),
        Unit::Seconds => Seconds::new(value).to_string(),
        Unit::Dollars if value >= 0.000_9 => Dollars::new(value).to_string(),
        Unit::Dollars => small_money(value),
    }
}

/// `$10⁻⁶`, `$2·10⁻⁶`: zeros cannot be counted at a glance.
fn small_money(value: f64) -> String {
    let power = (value.log10() + 1e-9).floor() as i32;
    let factor = (value / 10_f64.powi(power)).round();
    let digit = |digit: char| match digit {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => digit.to_digit(10).and_then(|d| char::from_u32(0x2070 + d)).unwrap_or(digit),
    };
    let power: String = power.to_string().chars().map(digit).collect();
    if factor == 1.0 { format!("$10{power}") } else { format!("${factor}·10{power}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(unit: Unit, from: f64, to: f64) -> Vec<String> {
        let scale = Scale::of(unit, [from, to].into_iter(), (0, 100), true);
        let mut ticks = scale.ticks;
        ticks.sort_by(|one, other| one.0.total_cmp(&other.0));
        ticks.into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn labels_have_units() {
        assert_eq!(
            labels(Unit::Seconds, 2e-6, 3.0),
            ["10 µs", "100 µs", "1 ms", "10 ms", "100 ms", "1 s"]
        );
        assert_eq!(labels(Unit::Seconds, 1e-3, 4e-3), ["1 ms", "2 ms"]);
        assert_eq!(
            labels(Unit::Dollars, 1e-7, 1e-2),
            ["$10⁻⁷", "$10⁻⁶", "$10⁻⁵", "$10⁻⁴", "$0.001", "$0.01"]
        );
        assert_eq!(labels(Unit::Dollars, 1e-6, 6e-6), ["$10⁻⁶", "$2·10⁻⁶", "$5·10⁻⁶"]);
        assert_eq!(labels(Unit::Number, 2.0, 16.0), ["2", "4", "8", "16"]);
        let ranks = labels(Unit::Number, 2.0, 16384.0);
        assert_eq!(ranks.last().map(String::as_str), Some("16384"));
        assert!(ranks.len() <= MOST_TICKS);
        let bytes = labels(Unit::Bytes, 1.0, 16.0 * 1024.0 * 1024.0);
        assert_eq!(bytes.last().map(String::as_str), Some("16 MiB"));
    }

    #[test]
    fn values_are_within() {
        let scale = Scale::of(Unit::Seconds, [1e-3, 1.0].into_iter(), (100, 0), false);
        assert!((0..100).contains(&scale.at(1.0)) && scale.at(1.0) < scale.at(1e-3));
        for values in [vec![], vec![0.0], vec![5.0], vec![f64::NAN, -1.0]] {
            let scale = Scale::of(Unit::Dollars, values.into_iter(), (0, 100), false);
            assert!(!scale.ticks.is_empty());
            assert!((-1000..1000).contains(&scale.at(5.0)));
        }
    }
}
