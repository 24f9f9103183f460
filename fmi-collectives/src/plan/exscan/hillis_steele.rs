//! Hillis–Steele exscan, for associative operations. One round to move the values, then
//! ⌈log₂ (n−1)⌉; rank 1 sends most, S bytes a round.
//! Hillis & Steele 1986.

use super::{shifted, shifted_cost};
use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Step, scan};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Exscan,
    name: "hillis_steele",
    demand: Demand::Associative,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| shifted_cost(shape, scan::hillis_steele::ALGORITHM.rounds),
    sent: |shape| shifted_cost(shape, scan::hillis_steele::ALGORITHM.sent),
};

/// A [scan](scan::hillis_steele) by all ranks but the first, of the values of those below.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    shifted(rank, shape, 1, scan::hillis_steele::plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rank_0_only_moves_its_value() {
        let steps: Vec<Step> = plan(0, Shape::of(5)).collect();
        assert_eq!(steps, [Step::send(1, 0..1)]);
    }
}
