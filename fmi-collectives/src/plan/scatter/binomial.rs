//! Binomial tree scatter. ⌈log₂ n⌉ rounds, n−1 messages; the root sends (n−1)S bytes.
//! Johnsson & Ho 1989.

use crate::plan::{
    Algorithm, Collective, Demand, Growth, Medium, Shape, Step, binomial::Tree, log2_ceil,
};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Scatter,
    name: "binomial",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| log2_ceil(shape.size),
    sent: |shape| shape.size - 1,
};

/// Gather backwards: each rank gets the blocks of its subtree as one message and passes the parts
/// down, largest first because it has the longest way.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let tree = Tree::of(&shape);
    let node = tree.node(rank);
    let recv = tree.parent(node).map(|parent| Step::recv(tree.rank(parent), tree.blocks(node)));
    let sends = tree.children(node).rev();
    recv.into_iter().chain(sends.map(move |child| Step::send(tree.rank(child), tree.blocks(child))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_sends_each_other_block_once() {
        for size in 1..=33 {
            let report = ALGORITHM.check(Shape::of(size).rooted(size / 2)).unwrap();
            assert_eq!(report.messages, size - 1);
            assert_eq!(report.most_sent, size - 1);
        }
    }
}
