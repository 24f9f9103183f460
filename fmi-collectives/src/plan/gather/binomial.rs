//! Binomial tree gather. ⌈log₂ n⌉ rounds, n−1 messages; the root receives (n−1)S bytes, and the
//! largest message is that of the largest subtree, about n/2·S.
//! Johnsson & Ho 1989.

use crate::plan::{
    Algorithm, Collective, Demand, Growth, Medium, Shape, Step, binomial::Tree, log2_ceil,
};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Gather,
    name: "binomial",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| log2_ceil(shape.size),
    sent: |shape| Tree::of(&shape).largest_subtree(),
};

/// Each rank collects its subtree, smallest part first because it is complete first, and passes it
/// up as one message.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let tree = Tree::of(&shape);
    let node = tree.node(rank);
    let recvs =
        tree.children(node).map(move |child| Step::recv(tree.rank(child), tree.blocks(child)));
    let send = tree.parent(node).map(|parent| Step::send(tree.rank(parent), tree.blocks(node)));
    recvs.chain(send)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Blocks;

    #[test]
    fn the_root_receives_each_other_block_once() {
        for size in 1..=33 {
            let report = ALGORITHM.check(Shape::of(size).rooted(size / 2)).unwrap();
            assert_eq!(report.messages, size - 1);
            assert_eq!(report.most_received, size - 1);
        }
    }

    #[test]
    fn subtrees_travel_as_one_message_across_the_last_rank() {
        let steps: Vec<Step> = plan(4, Shape::of(5).rooted(2)).collect();
        assert_eq!(steps, [Step::recv(0, 0), Step::send(2, Blocks::wrapping(4, 2, 0..5))]);
    }
}
