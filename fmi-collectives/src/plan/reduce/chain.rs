//! Chain reduce, for ordered operations. n−1 rounds and messages of S bytes to fold, and one more
//! where the root is not the last rank.

use crate::plan::{Step, scan};

/// The last rank of a chain scan has the left fold over all ranks; it hands it to the root.
pub fn plan(rank: usize, size: usize, root: usize) -> impl Iterator<Item = Step> + Send + 'static {
    let last = size - 1;
    let hand_over = match rank {
        _ if root == last => None,
        _ if rank == last => Some(Step::Send { to: root, blocks: 0..1 }),
        _ if rank == root => Some(Step::Recv { from: last, blocks: 0..1 }),
        _ => None,
    };
    scan::chain::plan(rank, size).chain(hand_over)
}

/// n−1, or n where the root is not the last rank
pub fn rounds(size: usize, root: usize) -> usize {
    scan::chain::rounds(size) + usize::from(root != size - 1)
}

#[cfg(test)]
mod tests {
    use crate::plan::Algorithm;

    #[test]
    fn a_message_a_round() {
        for size in 1..=33 {
            for root in 0..size {
                let report = Algorithm::ReduceChain.check(size, root).unwrap();
                assert_eq!(report.messages, report.rounds);
            }
        }
    }
}
