//! What is wanted of a collective, in 23 bits: all ranks must want the same.

use fmi_model::{Dollars, Objective, Seconds};

/// An objective, as a signature has it: three digits of its limit, to be told, and a hash of all of them, to
/// be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Hint {
    /// Kind, exponent, digits: 2, 4 and 10 bits. 0: fast.
    told: u16,
    /// 7 bits.
    check: u8,
}

/// Of the last of the three digits, the least power of ten.
const LEAST: i32 = -11;
/// The greatest digits and exponent.
const DIGITS: u16 = 999;
const EXPONENT: u16 = 15;

impl Hint {
    pub(crate) fn of(objective: Objective) -> Self {
        let (kind, limit) = match objective {
            Objective::Fast => (0, 0.0),
            Objective::Cheap => (1, 0.0),
            Objective::FastWithin(limit) => (2, limit.get()),
            Objective::CheapWithin(limit) => (3, limit.get()),
        };
        let (exponent, digits) = shortened(limit);
        let hash = fmi_actors::mix(limit.to_bits());
        let check = if limit == 0.0 { 0 } else { (hash & 0x7f) as u8 };
        Self { told: kind << 14 | exponent << 10 | digits, check }
    }

    /// Into bytes 1 to 3 of a signature; the lowest bit of the first is not ours.
    pub(super) fn write(self, bytes: &mut [u8]) {
        bytes[1] |= self.check << 1;
        bytes[2..4].copy_from_slice(&self.told.to_le_bytes());
    }

    pub(super) fn read(bytes: &[u8]) -> Self {
        Self { told: u16::from_le_bytes([bytes[2], bytes[3]]), check: bytes[1] >> 1 }
    }

    /// As it was meant, as far as that is known.
    pub(super) fn objective(self) -> Objective {
        let (kind, exponent, digits) =
            (self.told >> 14, self.told >> 10 & EXPONENT, self.told & 0x3ff);
        let limit = f64::from(digits) * power(i32::from(exponent) + LEAST);
        match kind {
            0 => Objective::Fast,
            1 => Objective::Cheap,
            2 => Objective::FastWithin(Dollars::new(limit)),
            _ => Objective::CheapWithin(Seconds::new(limit)),
        }
    }
}

/// The least exponent with which a limit has at most three digits, and these.
fn shortened(limit: f64) -> (u16, u16) {
    (0..=EXPONENT)
        .map(|exponent| (exponent, libm::round(limit / power(i32::from(exponent) + LEAST))))
        .find(|(_, digits)| *digits <= f64::from(DIGITS))
        .map_or((EXPONENT, DIGITS), |(exponent, digits)| (exponent, digits.max(0.0) as u16))
}

/// Powers of ten that do not depend on the system's library.
fn power(exponent: i32) -> f64 {
    let whole = (0..exponent.abs()).fold(1.0, |power, _| power * 10.0);
    if exponent < 0 { 1.0 / whole } else { whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(objective: Objective) -> Hint {
        let mut bytes = [0; 4];
        bytes[1] = 1;
        Hint::of(objective).write(&mut bytes);
        assert_eq!(bytes[1] & 1, 1);
        Hint::read(&bytes)
    }

    #[test]
    fn a_hint_is_told_as_it_was_given() {
        for text in [
            "fast",
            "cheap",
            "fast within $0.001",
            "fast within $12.3",
            "fast within $0.0000000123",
            "cheap within 20 ms",
            "cheap within 1 s",
            "cheap within 600 s",
            "cheap within 1.5 µs",
        ] {
            let objective: Objective = text.parse().unwrap();
            let hint = sent(objective);
            assert_eq!(hint, Hint::of(objective));
            assert_eq!(hint.objective().to_string(), text);
        }
        assert_eq!(Hint::of(Objective::Fast), Hint::default());
    }

    #[test]
    fn limits_that_look_alike_differ() {
        let within = |limit| Hint::of(Objective::FastWithin(Dollars::new(limit)));
        assert_ne!(within(0.001), within(0.001_000_1));
        assert_ne!(within(0.0), Hint::of(Objective::Fast));
        assert_ne!(within(1e300), within(1e299));
        let _ = [f64::MIN, -1.0, 1e-300, f64::MAX].map(|limit| within(limit).objective());
    }
}
