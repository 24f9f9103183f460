//! Chain scan, for ordered operations. n−1 rounds, n−1 messages of S bytes, one a rank.

use crate::plan::{Side, Step};

/// Each rank appends its value to what the rank below has, and passes it on.
pub fn plan(rank: usize, size: usize) -> impl Iterator<Item = Step> + Send + 'static {
    let combine = (rank > 0).then(|| Step::Combine { from: rank - 1, block: 0, side: Side::Left });
    let send = (rank + 1 < size).then(|| Step::Send { to: rank + 1, blocks: 0..1 });
    combine.into_iter().chain(send)
}

/// n−1
pub fn rounds(size: usize) -> usize {
    size - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Algorithm;

    #[test]
    fn a_message_a_round() {
        for size in 1..=33 {
            let report = Algorithm::ScanChain.check(size, 0).unwrap();
            assert_eq!(report.messages, rounds(size));
            assert!(report.most_sent <= 1);
        }
    }
}
