//! Chain allreduce in chunks, for ordered operations on long values. 2n+2c−5 rounds for c chunks, or
//! 2(n−1) for one: a rank in the middle receives each chunk twice, and sends 2S bytes.

use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Step, scan};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Allreduce,
    name: "chain",
    demand: Demand::Ordered,
    cut: Some(|shape| shape.chunks),
    medium: Medium::Links,
    growth: Growth::Linear,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| match (shape.size, shape.chunks) {
        (1, _) => 0,
        (2, chunks) => chunks + 1,
        (size, 1) => 2 * size - 2,
        (size, chunks) => 2 * (size + chunks) - 5,
    },
    sent: |shape| match shape.size {
        1 => 0,
        2 => shape.chunks,
        _ => 2 * shape.chunks,
    },
};

/// Chunk after chunk goes up a chain [scan](scan::chain), and comes down the same way. A rank takes
/// a chunk that comes down after as many that go up as lie between.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let Shape { size, chunks, .. } = shape;
    let behind = 2 * (size - 1 - rank);
    // Between the last chunk that goes up and the first that comes down there may be nothing to do.
    let rounds = (0..chunks).chain(chunks.max(behind)..chunks + behind);
    rounds.flat_map(move |round| {
        let up = (round < chunks).then(|| scan::chain::chunk(rank, size, round));
        let down = round.checked_sub(behind).map(|chunk| {
            let recv = (rank + 1 < size).then(|| Step::recv(rank + 1, chunk));
            let send = (rank > 0).then(|| Step::send(rank - 1, chunk));
            recv.into_iter().chain(send)
        });
        up.into_iter().flatten().chain(down.into_iter().flatten())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Side;

    #[test]
    fn chunks_meet_on_their_ways_up_and_down() {
        let steps: Vec<Step> = plan(2, Shape::of(3).chunked(2)).collect();
        let left = |chunk| Step::combine(1, chunk, Side::Left);
        assert_eq!(steps, [left(0), Step::send(1, 0), left(1), Step::send(1, 1)]);
    }
}
