//! Chain bcast in chunks, for long values. n+c−2 rounds for c chunks; every rank but the last of the
//! chain sends S bytes.

use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Step};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Bcast,
    name: "chain",
    demand: Demand::Ordered,
    cut: Some(|shape| shape.chunks),
    medium: Medium::Links,
    growth: Growth::Linear,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| if shape.size == 1 { 0 } else { shape.size + shape.chunks - 2 },
    sent: |shape| if shape.size == 1 { 0 } else { shape.chunks },
};

/// The chain goes up from the root and wraps around. Each rank passes a chunk on before it takes
/// the next.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let Shape { size, root, chunks, .. } = shape;
    let (next, previous) = ((rank + 1) % size, (rank + size - 1) % size);
    (0..chunks).flat_map(move |chunk| {
        let recv = (rank != root).then(|| Step::recv(previous, chunk));
        let send = (next != root).then(|| Step::send(next, chunk));
        recv.into_iter().chain(send)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_passed_on_before_the_next_is_received() {
        let steps: Vec<Step> = plan(0, Shape::of(4).rooted(3).chunked(2)).collect();
        assert_eq!(steps, [Step::recv(3, 0), Step::send(1, 0), Step::recv(3, 1), Step::send(1, 1)]);
    }
}
