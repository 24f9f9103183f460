//! The sort benchmark's random numbers: a linear congruential generator of 128 bits.
//!
//! `x' = a·x + c mod 2¹²⁸`, from 0. The multiplier is one of L'Ecuyer's ("Tables of linear congruential
//! generators of different sizes and good lattice structure", 1999), the increment is the benchmark's own.
//! Each record takes one number; so any part of the records can be made by itself.

const A: u128 = 0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645;
const C: u128 = 0x4A69_6D47_7261_7952_4950_2020_2020_2001;

/// A place in the sequence of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Random(u128);

impl Random {
    /// Whose next number is that of a record.
    pub(crate) fn at(record: u64) -> Self {
        // 2ⁱ steps are one of the same kind, a·x + c: those that add up to `record` are taken.
        let (mut a, mut c) = (A, C);
        let (mut x, mut left) = (0_u128, record);
        while left > 0 {
            if left & 1 == 1 {
                x = x.wrapping_mul(a).wrapping_add(c);
            }
            (a, c) = (a.wrapping_mul(a), c.wrapping_mul(a).wrapping_add(c));
            left >>= 1;
        }
        Self(x)
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u128 {
        self.0 = self.0.wrapping_mul(A).wrapping_add(C);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, proptest};

    #[test]
    fn the_constants_are_the_published_ones() {
        assert_eq!(A, 47_026_247_687_942_121_848_144_207_491_837_523_525);
        assert_eq!(C, 98_910_279_301_475_397_889_117_759_788_405_497_857);
    }

    #[test]
    fn steps_from_the_start() {
        let mut stepped = Random::at(0);
        for record in 1..=1000 {
            stepped.next();
            assert_eq!(Random::at(record), stepped);
        }
    }

    proptest! {
        #[test]
        fn skipping_is_stepping(from in any::<u64>(), steps in 0..200_u64) {
            let from = from.min(u64::MAX - 200);
            let mut stepped = Random::at(from);
            for _ in 0..steps {
                stepped.next();
            }
            assert_eq!(Random::at(from + steps), stepped);
        }
    }
}
