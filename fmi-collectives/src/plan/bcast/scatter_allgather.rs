//! Scatter-allgather bcast, for long values. The value is cut into n pieces, scattered down a binomial
//! tree and collected around a ring. ⌈log₂ n⌉ + n − 1 rounds; the root sends most, 2S(n−1)/n bytes.
//! Barnett, Gupta, Payne, Shuler, van de Geijn & Watts 1994; Thakur, Rabenseifner & Gropp 2005.

use crate::plan::{
    Algorithm, Collective, Demand, Growth, Medium, Shape, Step, binomial::Tree, log2_ceil,
};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Bcast,
    name: "scatter_allgather",
    demand: Demand::Ordered,
    cut: Some(|shape| shape.size),
    medium: Medium::Links,
    growth: Growth::Linear,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| log2_ceil(shape.size) + shape.size - 1,
    sent: |shape| 2 * (shape.size - 1),
};

/// Piece `v` is that of node `v` of the tree. On the ring nobody sends what the next node has from
/// the scatter.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let tree = Tree::of(&shape);
    let (size, node) = (shape.size, tree.node(rank));
    let (next, previous) = ((node + 1) % size, (node + size - 1) % size);

    let recv = tree.parent(node).map(|from| Step::recv(tree.rank(from), tree.subtree(node)));
    let sends = tree.children(node).rev();
    let sends = sends.map(move |child| Step::send(tree.rank(child), tree.subtree(child)));

    let ring = (1..size).flat_map(move |round| {
        // Each node passes on what it got last, its own piece first.
        let out = (node + size + 1 - round) % size;
        let into = (node + size - round) % size;
        let send = (!tree.subtree(next).contains(&out)).then(|| Step::send(tree.rank(next), out));
        let recv =
            (!tree.subtree(node).contains(&into)).then(|| Step::recv(tree.rank(previous), into));
        send.into_iter().chain(recv)
    });
    recv.into_iter().chain(sends).chain(ring)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_what_it_has() {
        // Node 2 of 4 has pieces 2 and 3 from the scatter.
        let steps: Vec<Step> = plan(2, Shape::of(4)).collect();
        assert_eq!(
            steps,
            [
                Step::recv(0, 2..4),
                Step::send(3, 3),
                Step::send(3, 2),
                Step::recv(1, 1),
                Step::send(3, 1),
                Step::recv(1, 0),
                Step::send(3, 0),
            ]
        );
    }
}
