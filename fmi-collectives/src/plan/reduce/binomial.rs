//! Binomial tree reduce, for commutative operations. ⌈log₂ n⌉ rounds, n−1 messages of S bytes, at most
//! one from each rank.
//! Johnsson & Ho 1989.

use crate::plan::{
    Algorithm, Collective, Demand, Growth, Medium, Shape, Side, Step, binomial::Tree, log2_ceil,
};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Reduce,
    name: "binomial",
    demand: Demand::Commutative,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| log2_ceil(shape.size),
    sent: |shape| 1.min(shape.size - 1),
};

/// Bcast backwards: each rank combines what its subtrees have, smallest first, and passes it up.
/// Ranks are counted from the root and wrap around, which is why the order is not kept.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let tree = Tree::of(&shape);
    let node = tree.node(rank);
    let combines =
        tree.children(node).map(move |child| Step::combine(tree.rank(child), 0, Side::Right));
    combines.chain(tree.parent(node).map(|parent| Step::send(tree.rank(parent), 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_subtree_comes_first() {
        let steps: Vec<Step> = plan(1, Shape::of(6).rooted(1)).collect();
        let right = |from| Step::combine(from, 0, Side::Right);
        assert_eq!(steps, [right(2), right(3), right(5)]);
    }
}
