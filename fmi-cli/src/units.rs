//! Bytes as people write and read them.

/// Reads `4`, `64KiB`, `1 MiB`.
pub(crate) fn bytes(text: &str) -> Result<usize, String> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (&text[..end], text[end..].trim());
    let scale = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale);
    let product = number.parse().ok().zip(scale).and_then(|(number, scale): (usize, _)| {
        // What no machine holds is a slip of the finger.
        number.checked_mul(scale).filter(|bytes| *bytes <= 1 << 40)
    });
    product.ok_or_else(|| {
        format!("{text:?} is no length: write bytes, or a number and kB, MB, GB, KiB, MiB or GiB")
    })
}

/// `999 B`, `4.0 KiB`, `1.5 MiB`.
pub(crate) fn human(bytes: u64) -> String {
    let scale = ["KiB", "MiB", "GiB"];
    // Where it would be rounded to 1024, the next unit is right.
    let level = (0..scale.len()).rev().find(|level| {
        let unit = (1_u64 << (10 * (level + 1))) as f64;
        bytes as f64 / unit >= if *level == 0 { 1.0 } else { 0.99995 }
    });
    match level {
        Some(level) => {
            let unit = (1_u64 << (10 * (level + 1))) as f64;
            format!("{:.1} {}", bytes as f64 / unit, scale[level])
        }
        None => format!("{bytes} B"),
    }
}

/// `1 round`, `2 rounds`.
pub(crate) fn count(number: usize, what: &str) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{grouped} {what}{}", if number == 1 { "" } else { "s" })
}

const UNITS: [(&str, usize); 8] = [
    ("", 1),
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_for_people() {
        let text = [0, 999, 1023, 1024, 1536, 1 << 20, (1 << 20) - 1, 5 << 30].map(human);
        let expected =
            ["0 B", "999 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "1.0 MiB", "5.0 GiB"];
        assert_eq!(text, expected);
    }

    #[test]
    fn numbers_in_groups() {
        let text = [0, 1, 999, 1000, 1_234_567].map(|number| count(number, "round"));
        assert_eq!(text, ["0 rounds", "1 round", "999 rounds", "1,000 rounds", "1,234,567 rounds"]);
    }
}
