//! Chain reduce in chunks, for ordered operations. n+c−2 rounds for c chunks; where the root is not
//! the last rank, n+c−1, or r+2c−1 if more: a root r in the middle passes every chunk on and gets
//! it back. Every rank sends S bytes at most.

use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Step, scan};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Reduce,
    name: "chain",
    demand: Demand::Ordered,
    cut: Some(|shape| shape.chunks),
    medium: Medium::Links,
    growth: Growth::Linear,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds,
    sent: |shape| if shape.size == 1 { 0 } else { shape.chunks },
};

/// The last rank of a chain scan has the left fold over all ranks; it hands it to the root.
///
/// A chunk comes back to the root while it passes the next ones on, as many later as there are
/// ranks behind it.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let Shape { size, root, chunks, .. } = shape;
    let last = size - 1;
    let behind = if rank == root { last - root } else { 0 };
    (0..chunks + behind).flat_map(move |round| {
        let fold = (round < chunks).then(|| scan::chain::chunk(rank, size, round));
        let hand_over = match rank {
            _ if root == last => None,
            _ if rank == last => Some(Step::send(root, round)),
            _ if rank == root && round >= behind => Some(Step::recv(last, round - behind)),
            _ => None,
        };
        fold.into_iter().flatten().chain(hand_over)
    })
}

fn rounds(shape: Shape) -> usize {
    let Shape { size, root, chunks, .. } = shape;
    match root {
        _ if size == 1 => 0,
        0 => size + chunks - 1,
        _ if root == size - 1 => size + chunks - 2,
        _ => (size + chunks - 1).max(root + 2 * chunks - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_a_chunk_and_link() {
        for chunks in 1..4 {
            let to_last = Shape::of(5).rooted(4).chunked(chunks);
            assert_eq!(ALGORITHM.check(to_last.clone()).unwrap().messages, 4 * chunks);
            assert_eq!(ALGORITHM.check(to_last.rooted(1)).unwrap().messages, 5 * chunks);
        }
    }
}
