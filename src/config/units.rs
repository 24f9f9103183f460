//! Durations and sizes as people write them: `10 s`, `500ms`, `4 MiB`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longer deadlines are refused: they would overflow the clock's arithmetic.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Nanoseconds.
const TIMES: [(&str, u128); 6] = [
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("min", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Bytes.
const SIZES: [(&str, u128); 7] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// Reads a deadline: a number and one of us, ms, s, min, h.
pub(super) fn deadline(text: &str) -> Result<Duration, String> {
    let nanos = scaled(text, &TIMES).ok_or_else(|| {
        format!("{text:?} is no duration: write a number and us, ms, s, min or h, as in \"10 s\"")
    })?;
    let seconds = u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX);
    let deadline = Duration::new(seconds, (nanos % 1_000_000_000) as u32);
    check_deadline(deadline)?;
    Ok(deadline)
}

/// Refuses deadlines that have no sense.
pub(super) fn check_deadline(deadline: Duration) -> Result<(), String> {
    if deadline.is_zero() {
        return Err("a deadline of 0 would fail every wait: write a longer one".to_owned());
    }
    if deadline > LONGEST {
        return Err("a deadline may be at most 365 days (8760 h)".to_owned());
    }
    Ok(())
}

/// Reads a point in time: seconds since 1970, UTC.
pub(super) fn point_in_time(text: &str) -> Result<SystemTime, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.and_then(|seconds| UNIX_EPOCH.checked_add(seconds)).ok_or_else(|| {
        format!("{text:?} is no point in time: write seconds since 1970, as `date +%s` prints them")
    })
}

/// Reads `true` or `false`, in the words that people have for them.
pub(super) fn flag(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false: write one of them")),
    }
}

/// Reads a limit on memory: a size that is not 0.
pub(super) fn bytes(text: &str) -> Result<usize, String> {
    let bytes = size(text)?;
    check_bytes(bytes)?;
    Ok(bytes)
}

/// Reads a size: a number and one of B, kB, MB, GB, KiB, MiB, GiB.
pub(super) fn size(text: &str) -> Result<usize, String> {
    let bytes = scaled(text, &SIZES).ok_or_else(|| {
        format!("{text:?} is no size: write a number and B, kB, MB, GB, KiB, MiB or GiB")
    })?;
    usize::try_from(bytes).map_err(|_| format!("{text:?} is too large"))
}

/// Refuses limits that have no sense.
pub(super) fn check_bytes(bytes: usize) -> Result<(), String> {
    match bytes {
        0 => Err("a limit of 0 bytes would let nothing through: write a larger one".to_owned()),
        _ => Ok(()),
    }
}

/// `number unit`, in the smallest unit. Exact: no floating point. Digits below it are cut off.
fn scaled(text: &str, units: &[(&str, u128)]) -> Option<u128> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(end);
    let scale = units.iter().find(|(name, _)| *name == unit.trim_start())?.1;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let mut total = whole.parse::<u64>().ok().map(u128::from)? * scale;
    // 18 digits at most, so that nothing overflows.
    let below = 10_u128.pow(fraction.get(..18).unwrap_or(fraction).len() as u32);
    let fraction = fraction.parse::<u64>().ok().filter(|_| fraction.len() <= 18)?;
    total += u128::from(fraction) * scale / below;
    Some(total)
}

/// Reads what a program wants.
pub(super) fn hint(text: &str) -> Result<fmi_model::Objective, String> {
    text.parse().map_err(|bad: fmi_model::objective::BadObjective| bad.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations() {
        for (text, millis) in [
            ("10 s", 10_000),
            ("500ms", 500),
            ("15min", 900_000),
            (" 1.5 h ", 5_400_000),
            ("0.25s", 250),
            ("3000 us", 3),
            ("3000µs", 3),
        ] {
            assert_eq!(deadline(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn refuses_other_durations() {
        for text in ["", "10", "s", "-1 s", "1 m", "1 day", "1..2 s", "1.s s", ".5 s", "1e3 s"] {
            assert_eq!(
                deadline(text).unwrap_err(),
                format!(
                    "{text:?} is no duration: write a number and us, ms, s, min or h, as in \
                     \"10 s\""
                )
            );
        }
        assert_eq!(
            deadline("0 s").unwrap_err(),
            "a deadline of 0 would fail every wait: write a longer one"
        );
        for text in ["8761 h", "18446744073709551615 h"] {
            let wrong = deadline(text).unwrap_err();
            assert_eq!(wrong, "a deadline may be at most 365 days (8760 h)");
        }
    }

    #[test]
    fn reads_sizes() {
        for (text, size) in [
            ("4 MiB", 4 << 20),
            ("64KiB", 65_536),
            ("1.5 kB", 1_500),
            ("7B", 7),
            ("1 GiB", 1 << 30),
        ] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
    }

    #[test]
    fn refuses_other_sizes() {
        for text in ["4", "4 mib", "four MiB", "-4 MiB", "4 MiB/s"] {
            assert_eq!(
                bytes(text).unwrap_err(),
                format!("{text:?} is no size: write a number and B, kB, MB, GB, KiB, MiB or GiB")
            );
        }
        assert_eq!(
            bytes("0 B").unwrap_err(),
            "a limit of 0 bytes would let nothing through: write a larger one"
        );
        let huge = "18446744073709551615 GiB";
        assert_eq!(bytes(huge).unwrap_err(), format!("{huge:?} is too large"));
    }
}
