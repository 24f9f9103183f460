//! Binomial tree scatter. ⌈log₂ n⌉ rounds, n−1 messages; the root sends (n−1)S bytes.
//! Johnsson & Ho 1989.

use crate::plan::{Step, binomial::Tree, log2_ceil};

/// Gather backwards: each rank gets the blocks of its subtree as one message and passes the parts
/// down, largest first because it has the longest way.
pub fn plan(rank: usize, size: usize, root: usize) -> impl Iterator<Item = Step> + Send + 'static {
    let tree = Tree { size, root };
    let node = tree.node(rank);
    let recv = tree
        .parent(node)
        .map(|parent| Step::Recv { from: tree.rank(parent), blocks: tree.subtree(node) });
    let sends = tree
        .children(node)
        .rev()
        .map(move |child| Step::Send { to: tree.rank(child), blocks: tree.subtree(child) });
    recv.into_iter().chain(sends)
}

/// ⌈log₂ n⌉
pub fn rounds(size: usize) -> usize {
    log2_ceil(size)
}

#[cfg(test)]
mod tests {
    use crate::plan::Algorithm;

    #[test]
    fn the_root_sends_each_other_block_once() {
        for size in 1..=33 {
            let report = Algorithm::ScatterBinomial.check(size, size / 2).unwrap();
            assert_eq!(report.messages, size - 1);
            assert_eq!(report.most_sent, size - 1);
        }
    }
}
