//! Bcast of long values through a store beside the links: the root publishes the value once, the word
//! that it is there goes down a binomial tree in empty messages, and all read it at once. One
//! publication and n−1 fetches of S bytes, n−1 messages, ⌈log₂ n⌉ + 2 rounds.
//!
//! Where a store serves many readers as fast as one, this takes the time of one read, whatever n.

use crate::plan::{
    Algorithm, Blocks, Collective, Demand, Growth, Medium, Shape, Step, Tier, binomial::Tree,
    log2_ceil,
};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Bcast,
    name: "stored",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Shared,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| if shape.size == 1 { 0 } else { log2_ceil(shape.size) + 2 },
    sent: |shape| 1.min(shape.size - 1),
};

/// Each rank passes the word on before it reads.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let tree = Tree::of(&shape);
    let node = tree.node(rank);
    let publish = (node == 0 && shape.size > 1).then(|| Step::publish(0, shape.size - 1));
    let told = tree.parent(node).map(|from| Step::recv(tree.rank(from), Blocks::NONE));
    let tell = tree.children(node).rev();
    let tell = tell.map(move |to| Step::send(tree.rank(to), Blocks::NONE));
    let fetch = (node != 0).then(|| Step::fetch(shape.root, 0));
    let steps = publish.into_iter().chain(told).chain(tell).chain(fetch);
    steps.map(|step| step.on(Tier::Remote))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_is_published_once_and_no_message_carries_it() {
        let report = ALGORITHM.check(Shape::of(20).rooted(7)).unwrap();
        assert_eq!((report.puts, report.gets, report.messages, report.blocks), (1, 19, 19, 1));
    }
}
