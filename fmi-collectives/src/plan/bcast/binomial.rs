//! Binomial tree bcast. ⌈log₂ n⌉ rounds, n−1 messages of S bytes, ⌈log₂ n⌉ of them from the root.
//! Johnsson & Ho 1989.

use crate::plan::{
    Algorithm, Collective, Demand, Growth, Medium, Shape, Step, binomial::Tree, log2_ceil,
};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Bcast,
    name: "binomial",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| log2_ceil(shape.size),
    sent: |shape| log2_ceil(shape.size),
};

/// Each rank passes the value on to its largest subtree first, which needs the most rounds.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let tree = Tree::of(&shape);
    let node = tree.node(rank);
    let recv = tree.parent(node).map(|from| Step::recv(tree.rank(from), 0));
    let sends = tree.children(node).rev();
    recv.into_iter().chain(sends.map(move |to| Step::send(tree.rank(to), 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_subtree_comes_first() {
        let steps: Vec<Step> = plan(1, Shape::of(6).rooted(1)).collect();
        assert_eq!(steps, [Step::send(5, 0), Step::send(3, 0), Step::send(2, 0)]);
    }
}
