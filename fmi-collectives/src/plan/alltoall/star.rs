//! Star alltoall, for short values among ranks that share cores or threads. 2(n−1) rounds and messages of nS bytes:
//! rank 0 gets all that each rank has, and sends each all that is for it.

use crate::plan::{Algorithm, Blocks, Collective, Demand, Growth, Medium, Shape, Step, star};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Alltoall,
    name: "star",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Relay { scratch: |shape| shape.size * shape.size },
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| 2 * (shape.size - 1),
    sent: |shape| shape.size * (shape.size - 1),
};

/// Rank 0 holds a matrix behind the collective's blocks: a row is what comes from a rank, a column what goes to
/// one. That a rank's value for itself travels, too, keeps both whole.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let size = shape.size;
    let held = 2 * size;
    let row = move |from: usize| held + from * size..held + (from + 1) * size;
    let column = move |to: usize| Blocks::strided(held + to, 1, size, held + size * size);
    let take = move |from| Step::recv(from, row(from));
    let give = move |to| Step::send(to, column(to));
    let leaf = [Step::send(0, 0..size), Step::recv(0, size..held)];
    let own = |step: Step| (rank == 0).then_some(step);
    let (begin, end) = (own(Step::copy(0..size, row(0))), own(Step::copy(column(0), size..held)));
    begin.into_iter().chain(star::plan(rank, size, take, give, leaf)).chain(end)
}
