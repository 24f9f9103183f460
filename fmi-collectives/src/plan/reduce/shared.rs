//! Reduce through shared memory, for ordered operations. n−1 rounds, and one more where the root is not
//! rank 0: every rank publishes its value, rank 0 combines them in rank order and hands the root the
//! result.

use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Side, Step, Tier};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Reduce,
    name: "shared",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Shared,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| shape.size - 1 + usize::from(shape.root != 0),
    sent: |shape| 1.min(shape.size - 1),
};

/// One reader each.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let Shape { size, root, .. } = shape;
    let publish = (rank != 0).then(|| Step::publish(0, 1));
    let above = 1..if rank == 0 { size } else { 1 };
    let combines = above.map(|from| Step::combine_shared(from, 0, Side::Right));
    let hand_over = match rank {
        _ if root == 0 => None,
        0 => Some(Step::publish(0, 1)),
        _ if rank == root => Some(Step::fetch(0, 0)),
        _ => None,
    };
    publish.into_iter().chain(combines).chain(hand_over).map(|step| step.on(Tier::Pack))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rank_0_combines_for_the_root() {
        let report = ALGORITHM.check(Shape::of(5).rooted(3)).unwrap();
        assert_eq!((report.messages, report.blocks, report.most_received), (0, 5, 4));
    }
}
