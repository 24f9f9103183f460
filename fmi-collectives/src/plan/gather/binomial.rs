//! Binomial tree gather. ⌈log₂ n⌉ rounds, n−1 messages; the root receives (n−1)S bytes.
//! Johnsson & Ho 1989.

use crate::plan::{Step, binomial::Tree, log2_ceil};

/// Each rank collects its subtree, smallest part first because it is complete first, and passes it
/// up as one message.
pub fn plan(rank: usize, size: usize, root: usize) -> impl Iterator<Item = Step> + Send + 'static {
    let tree = Tree { size, root };
    let node = tree.node(rank);
    let recvs = tree
        .children(node)
        .map(move |child| Step::Recv { from: tree.rank(child), blocks: tree.subtree(child) });
    let send = tree
        .parent(node)
        .map(|parent| Step::Send { to: tree.rank(parent), blocks: tree.subtree(node) });
    recvs.chain(send)
}

/// ⌈log₂ n⌉
pub fn rounds(size: usize) -> usize {
    log2_ceil(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Algorithm;

    #[test]
    fn the_root_receives_each_other_block_once() {
        for size in 1..=33 {
            let report = Algorithm::GatherBinomial.check(size, size / 2).unwrap();
            assert_eq!(report.messages, size - 1);
            assert_eq!(report.most_received, size - 1);
        }
    }

    #[test]
    fn subtrees_travel_as_one_range_across_the_last_rank() {
        let steps: Vec<Step> = plan(4, 5, 2).collect();
        assert_eq!(
            steps,
            [Step::Recv { from: 0, blocks: 3..4 }, Step::Send { to: 2, blocks: 2..4 }]
        );
    }
}
