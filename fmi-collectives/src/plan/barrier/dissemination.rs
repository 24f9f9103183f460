//! Dissemination barrier. ⌈log₂ n⌉ rounds, each with one empty message from every rank.
//! Hensgen, Finkel & Manber 1988.

use crate::plan::{Algorithm, Blocks, Collective, Demand, Growth, Medium, Shape, Step, log2_ceil};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Barrier,
    name: "dissemination",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| log2_ceil(shape.size),
    sent: |_| 0,
};

/// In round k each rank tells the one 2ᵏ above it, wrapping around, and so twice as many ranks as
/// before know that it has entered.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let size = shape.size;
    (0..log2_ceil(size)).map(|round| 1 << round).flat_map(move |distance| {
        let above = (rank + distance) % size;
        let below = (rank + size - distance) % size;
        [Step::send(above, Blocks::NONE), Step::recv(below, Blocks::NONE)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rank_sends_once_a_round() {
        for size in 1..=33 {
            let report = ALGORITHM.check(Shape::of(size)).unwrap();
            assert_eq!(report.messages, size * report.rounds);
        }
    }
}
