//! Bytes as people write and read them.

/// Reads `4096`, `512MiB`, `2 GB`.
///
/// # Errors
/// What to write instead.
pub fn bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (&text[..end], text[end..].trim());
    let scale = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale);
    let product = number.parse().ok().zip(scale);
    product.and_then(|(number, scale): (u64, u64)| number.checked_mul(scale)).ok_or_else(|| {
        format!("{text:?} is no length: write bytes, or a number and kB, MB, GB, KiB, MiB or GiB")
    })
}

/// Reads `70MB/s`, in bytes a second.
///
/// # Errors
/// What to write instead.
pub fn rate(text: &str) -> Result<u64, String> {
    let amount = text.trim().strip_suffix("/s");
    amount
        .and_then(|amount| bytes(amount).ok())
        .filter(|rate| *rate > 0)
        .ok_or_else(|| format!("{text:?} is no rate: write for example 70MB/s"))
}

/// `999 B`, `4.1 kB`, `2.00 GB`: decimal, three digits.
#[must_use]
pub fn human(bytes: u64) -> String {
    let names =
        [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match names.iter().find(|(size, _)| bytes >= *size) {
        None => format!("{bytes} B"),
        Some((size, name)) => {
            let value = bytes as f64 / *size as f64;
            let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
            format!("{value:.decimals$} {name}")
        }
    }
}

const UNITS: [(&str, u64); 8] = [
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
    fn read_and_written() {
        assert_eq!(bytes("512MiB"), Ok(512 << 20));
        assert_eq!(bytes(" 2 GB "), Ok(2_000_000_000));
        assert_eq!(bytes("7"), Ok(7));
        assert_eq!(rate("70MB/s"), Ok(70_000_000));
        for wrong in
            ["", "MB", "-1", "1.5GB", "1 mb", "99999999999999999999", "18446744073709551615kB"]
        {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
        for wrong in ["70MB", "0/s", "/s", "x/s"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
        let shown = [999, 1_000, 9_996, 70_000_000, 2_000_000_000].map(human);
        assert_eq!(shown, ["999 B", "1.00 kB", "10.0 kB", "70.0 MB", "2.00 GB"]);
    }
}
