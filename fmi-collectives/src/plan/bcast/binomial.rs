//! Binomial tree bcast. ⌈log₂ n⌉ rounds, n−1 messages of S bytes, ⌈log₂ n⌉ of them from the root.
//! Johnsson & Ho 1989.

use crate::plan::{Step, binomial::Tree, log2_ceil};

/// Each rank passes the value on to its largest subtree first, which needs the most rounds.
pub fn plan(rank: usize, size: usize, root: usize) -> impl Iterator<Item = Step> + Send + 'static {
    let tree = Tree { size, root };
    let node = tree.node(rank);
    let recv = tree.parent(node).map(|from| Step::Recv { from: tree.rank(from), blocks: 0..1 });
    let sends = tree.children(node).rev();
    recv.into_iter().chain(sends.map(move |to| Step::Send { to: tree.rank(to), blocks: 0..1 }))
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
    fn the_root_sends_most() {
        for size in 1..=33 {
            let report = Algorithm::BcastBinomial.check(size, size / 2).unwrap();
            assert_eq!(report.messages, size - 1);
            assert_eq!(report.most_sent, rounds(size));
            assert_eq!(plan(size / 2, size, size / 2).count(), rounds(size));
        }
    }
}
