//! Chain scan in chunks, for ordered operations. n+c−2 rounds for c chunks, S bytes a rank.

use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Side, Step};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Scan,
    name: "chain",
    demand: Demand::Ordered,
    cut: Some(|shape| shape.chunks),
    medium: Medium::Links,
    growth: Growth::Linear,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| if shape.size == 1 { 0 } else { shape.size + shape.chunks - 2 },
    sent: |shape| if shape.size == 1 { 0 } else { shape.chunks },
};

/// Each rank appends its value to what the rank below has, and passes it on, chunk by chunk.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    (0..shape.chunks).flat_map(move |index| chunk(rank, shape.size, index))
}

/// What a rank does with one chunk.
pub(in crate::plan) fn chunk(
    rank: usize,
    size: usize,
    chunk: usize,
) -> impl Iterator<Item = Step> + Send + 'static {
    let combine = (rank > 0).then(|| Step::combine(rank - 1, chunk, Side::Left));
    let send = (rank + 1 < size).then(|| Step::send(rank + 1, chunk));
    combine.into_iter().chain(send)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_passed_on_before_the_next_is_received() {
        let steps: Vec<Step> = plan(1, Shape::of(3).chunked(2)).collect();
        let left = |chunk| Step::combine(0, chunk, Side::Left);
        assert_eq!(steps, [left(0), Step::send(2, 0), left(1), Step::send(2, 1)]);
    }
}
