//! Reduce-scatter through shared memory, for associative operations. n−1 rounds: every rank publishes
//! all blocks but its own at once, and combines its own from those of all.

use crate::plan::{Algorithm, Blocks, Collective, Demand, Growth, Medium, Shape, Side, Step, Tier};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::ReduceScatter,
    name: "shared",
    demand: Demand::Associative,
    cut: None,
    medium: Medium::Shared,
    growth: Growth::Mirrored,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| shape.size - 1,
    sent: |shape| shape.size - 1,
};

/// First the ranks below, downwards, then those above, upwards: so operands stay in order.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let size = shape.size;
    let publish = (size > 1).then(|| Step::publish(Blocks::all_but(rank, size), 1));
    let below = (0..rank).rev().map(move |from| Step::combine_shared(from, rank, Side::Left));
    let above = (rank + 1..size).map(move |from| Step::combine_shared(from, rank, Side::Right));
    publish.into_iter().chain(below).chain(above).map(|step| step.on(Tier::Pack))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_come_from_inside_out() {
        let steps: Vec<Step> = plan(1, Shape::of(3)).collect();
        assert_eq!(
            steps,
            [
                Step::publish(Blocks::wrapping(2, 2, 0..3), 1).on(Tier::Pack),
                Step::combine_shared(0, 1, Side::Left).on(Tier::Pack),
                Step::combine_shared(2, 1, Side::Right).on(Tier::Pack),
            ]
        );
    }
}
