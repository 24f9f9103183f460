//! Chain reduce and binomial tree bcast, for ordered operations. n−1 + ⌈log₂ n⌉ rounds, 2(n−1)
//! messages of S bytes, at most ⌈log₂ n⌉ from one rank.

use crate::plan::{Step, bcast, reduce};

/// The last rank is root of both, because the left fold ends there.
pub fn plan(rank: usize, size: usize) -> impl Iterator<Item = Step> + Send + 'static {
    let last = size - 1;
    reduce::chain::plan(rank, size, last).chain(bcast::binomial::plan(rank, size, last))
}

/// n−1 + ⌈log₂ n⌉
pub fn rounds(size: usize) -> usize {
    reduce::chain::rounds(size, size - 1) + bcast::binomial::rounds(size)
}

#[cfg(test)]
mod tests {
    use crate::plan::{Algorithm, log2_ceil};

    #[test]
    fn messages_and_bytes_are_as_claimed() {
        for size in 1..=65 {
            let report = Algorithm::AllreduceReduceBcast.check(size, 0).unwrap();
            assert_eq!(report.rounds, size - 1 + log2_ceil(size));
            assert_eq!(report.messages, 2 * (size - 1));
            assert_eq!(report.most_sent, log2_ceil(size));
        }
    }
}
