//! Ring allgather. n−1 rounds, (n−1)S bytes a rank, always to the same neighbour.
//! Chan, Heimlich, Purkayastha & van de Geijn 2007.

use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Step};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Allgather,
    name: "ring",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Mirrored,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| shape.size - 1,
    sent: |shape| shape.size - 1,
};

/// Each rank passes on to the next what it got last, its own block first.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let size = shape.size;
    let below = move |distance| (rank + size - distance) % size;
    (1..size).flat_map(move |round| {
        [Step::send((rank + 1) % size, below(round - 1)), Step::recv(below(1), below(round))]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_block_is_passed_on_as_it_comes() {
        let steps: Vec<Step> = plan(0, Shape::of(3)).collect();
        assert_eq!(steps, [Step::send(1, 0), Step::recv(2, 2), Step::send(1, 2), Step::recv(2, 1)]);
    }
}
