//! Star barrier, for processes that share cores. 2(n−1) rounds and as many empty messages: all tell
//! rank 0 that they have entered, and it tells all that they may leave.

use crate::plan::{Algorithm, Blocks, Collective, Demand, Growth, Medium, Shape, Step, star};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Barrier,
    name: "star",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| 2 * (shape.size - 1),
    sent: |_| 0,
};

/// Rank 0 waits for all before it tells the first.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let take = |from| Step::recv(from, Blocks::NONE);
    let give = |to| Step::send(to, Blocks::NONE);
    star::plan(rank, shape.size, take, give, [give(0), take(0)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_messages_a_rank_but_one() {
        for size in 1..=33 {
            let report = ALGORITHM.check(Shape::of(size)).unwrap();
            assert_eq!(report.messages, 2 * (size - 1));
        }
    }
}
