//! Star scan, for short values among ranks that share cores or threads. n rounds, 2(n−1) messages of S bytes: rank 0 folds
//! all values in the order of ranks, and tells each rank what it has with that rank's.

use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Side, Step};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Scan,
    name: "star",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Relay { scratch: |_| 1 },
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| if shape.size == 1 { 0 } else { shape.size },
    sent: |shape| shape.size - 1,
};

/// Rank 0 folds beside its own value, which is its result.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let others = 1..if rank == 0 { shape.size } else { 1 };
    let begin = (rank == 0).then(|| Step::copy(0, 1));
    let centre =
        others.flat_map(|other| [Step::combine(other, 1, Side::Right), Step::send(other, 1)]);
    let leaf = [Step::send(0, 0), Step::recv(0, 0)];
    begin.into_iter().chain(centre).chain(leaf.into_iter().filter(move |_| rank != 0))
}
