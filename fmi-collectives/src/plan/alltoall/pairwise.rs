//! Pairwise alltoall. n−1 rounds, (n−1)S bytes a rank, each block straight to its rank.
//! Thakur, Rabenseifner & Gropp 2005.

use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Step, pairwise};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Alltoall,
    name: "pairwise",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Mirrored,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| shape.size - 1,
    sent: |shape| shape.size - 1,
};

/// In round k each rank sends to the one k above it and receives from the one k below, some rounds later.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let size = shape.size;
    let own = Step::copy(rank, size + rank);
    let send = |to| Step::send(to, to);
    let recv = move |from| Step::recv(from, size + from);
    std::iter::once(own).chain(pairwise::plan(rank, size, send, recv))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partners_differ_in_each_round() {
        let steps: Vec<Step> = plan(0, Shape::of(3)).collect();
        assert_eq!(
            steps,
            [
                Step::copy(0, 3),
                Step::send(1, 1),
                Step::send(2, 2),
                Step::recv(2, 5),
                Step::recv(1, 4),
            ]
        );
    }
}
