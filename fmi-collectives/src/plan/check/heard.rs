//! Which ranks a rank knows to have entered.

/// A set of ranks, one bit each.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard {
    words: Vec<u64>,
}

impl Heard {
    /// The set of one of `size` ranks.
    pub(super) fn only(rank: usize, size: usize) -> Self {
        let mut words = vec![0; size.div_ceil(64)];
        words[rank / 64] = 1 << (rank % 64);
        Self { words }
    }

    /// Adds all ranks of another set of the same size.
    pub(super) fn extend(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word |= other;
        }
    }

    /// The lowest of `size` ranks that is not in the set.
    pub(super) fn missing(&self, size: usize) -> Option<usize> {
        (0..size).find(|rank| self.words[rank / 64] >> (rank % 64) & 1 == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_lowest_missing() {
        let mut heard = Heard::only(0, 66);
        (1..64).for_each(|rank| heard.extend(&Heard::only(rank, 66)));
        heard.extend(&Heard::only(65, 66));
        assert_eq!(heard.missing(66), Some(64));
        heard.extend(&Heard::only(64, 66));
        assert_eq!(heard.missing(66), None);
    }
}
