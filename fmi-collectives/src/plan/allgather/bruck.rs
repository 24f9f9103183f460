//! Bruck allgather. ⌈log₂ n⌉ rounds, (n−1)S bytes a rank, for any n.
//! Bruck, Ho, Kipnis, Upfal & Weathersby 1997.

use crate::plan::{Algorithm, Blocks, Collective, Demand, Growth, Medium, Shape, Step, log2_ceil};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Allgather,
    name: "bruck",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| log2_ceil(shape.size),
    sent: |shape| shape.size - 1,
};

/// Before round k a rank has its own block and those of the next ranks, 2ᵏ in all. It gets the
/// next 2ᵏ from the rank 2ᵏ above, or in the last round what is missing. Blocks lie where they
/// belong, so that nothing has to be turned around in the end.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let size = shape.size;
    (0..log2_ceil(size)).map(|round| 1 << round).flat_map(move |distance| {
        let count = distance.min(size - distance);
        let above = (rank + distance) % size;
        let below = (rank + size - distance) % size;
        [
            Step::send(below, Blocks::wrapping(rank, count, 0..size)),
            Step::recv(above, Blocks::wrapping(above, count, 0..size)),
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_round_gets_what_is_missing() {
        let steps: Vec<Step> = plan(0, Shape::of(3)).collect();
        assert_eq!(steps, [Step::send(2, 0), Step::recv(1, 1), Step::send(1, 0), Step::recv(2, 2)]);
    }
}
