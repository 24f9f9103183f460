//! Lists on the command line: of ranks, of lengths.

use crate::units;
use std::str::FromStr;

/// Numbers of ranks, in order, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sizes(pub(super) Vec<usize>);

/// Lengths in bytes, in order, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lengths(pub(super) Vec<usize>);

/// More than this do not fit into any machine.
const MOST: usize = 1 << 20;
/// More points are neither read nor drawn.
const MOST_POINTS: usize = 1000;

impl FromStr for Sizes {
    type Err = String;

    /// Reads `64`, `64,1024`, `2..1024` (doubled each time), `2..16384x4`, and lists of these.
    fn from_str(text: &str) -> Result<Self, String> {
        list(text, ranks, "2..1024x4").map(Self)
    }
}

impl FromStr for Lengths {
    type Err = String;

    /// Reads `4KiB`, `8,64KiB`, `8..16MiB` (doubled each time), `1KiB..1GiBx4`, and lists of these.
    fn from_str(text: &str) -> Result<Self, String> {
        list(text, units::bytes, "1KiB..1GiBx4").map(Self)
    }
}

type Read = fn(&str) -> Result<usize, String>;

fn list(text: &str, read: Read, example: &str) -> Result<Vec<usize>, String> {
    let mut all = Vec::new();
    for part in text.split(',') {
        match part.split_once("..") {
            None => all.push(read(part)?),
            Some((from, to)) => all.extend(range((part, from, to), read, example)?),
        }
    }
    all.sort_unstable();
    all.dedup();
    match all.len() <= MOST_POINTS {
        true => Ok(all),
        false => Err(format!("{} numbers are too many: take {MOST_POINTS}", all.len())),
    }
}

/// From the first to the last, which is always there.
fn range(
    (text, from, to): (&str, &str, &str),
    read: Read,
    example: &str,
) -> Result<Vec<usize>, String> {
    let (end, factor) = match to.split_once('x') {
        None => (to, Some(2)),
        Some((end, factor)) => (end, factor.trim().parse().ok().filter(|factor| *factor > 1)),
    };
    let (first, last) = (read(from)?, read(end)?);
    let Some(factor) = factor else {
        return Err(format!("{text:?} has no factor of 2 or more after the x: write {example}"));
    };
    if first > last {
        return Err(format!("{text:?} goes down: write {}..{}", end.trim(), from.trim()));
    }
    if first == 0 && last > 0 {
        return Err(format!("{text:?}: 0 stays 0, however often it is doubled: begin with 1"));
    }
    let larger = std::iter::successors(Some(first), |number: &usize| number.checked_mul(factor));
    Ok(larger.take_while(|number| *number < last).chain([last]).collect())
}

fn ranks(text: &str) -> Result<usize, String> {
    let number = text.trim().parse().ok().filter(|number| (1..=MOST).contains(number));
    number.ok_or_else(|| {
        format!(
            "{text:?} is no number of ranks: write 1 to {MOST}, a list (64,1024) or a range (2..1024, \
             2..16384x4)"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lists_and_ranges() {
        for (text, sizes) in [
            ("7", vec![7]),
            ("64, 8,64", vec![8, 64]),
            ("2..9", vec![2, 4, 8, 9]),
            ("2..8", vec![2, 4, 8]),
            ("2..64x4", vec![2, 8, 32, 64]),
            ("3..3", vec![3]),
            ("1000,2..32x16", vec![2, 32, 1000]),
        ] {
            assert_eq!(text.parse(), Ok(Sizes(sizes)), "{text}");
        }
    }

    #[test]
    fn lengths_have_units() {
        for (text, lengths) in [
            ("0", vec![0]),
            ("8,1KiB", vec![8, 1024]),
            ("1KiB..5 KiB", vec![1024, 2048, 4096, 5120]),
            ("1..1KiBx32", vec![1, 32, 1024]),
        ] {
            assert_eq!(text.parse(), Ok(Lengths(lengths)), "{text}");
        }
        for (text, says) in [
            ("", "no length"),
            ("8..", "no length"),
            ("0..8", "begin with 1"),
            ("1MiB..8", "write 8..1MiB"),
            ("8..1KiBx", "write 1KiB..1GiBx4"),
        ] {
            let error = text.parse::<Lengths>().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
        let many: Vec<String> = (0..2000).map(|length| length.to_string()).collect();
        assert!(many.join(",").parse::<Lengths>().unwrap_err().contains("too many"));
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, says) in [
            ("", "no number of ranks"),
            ("0", "no number of ranks"),
            ("2,", "no number of ranks"),
            ("-1", "no number of ranks"),
            ("9999999", "1 to 1048576"),
            ("8..2", "write 2..8"),
            ("2..8x", "no factor"),
            ("2..8x1", "no factor"),
            ("2..", "no number of ranks"),
            ("..", "no number of ranks"),
        ] {
            let error = text.parse::<Sizes>().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
