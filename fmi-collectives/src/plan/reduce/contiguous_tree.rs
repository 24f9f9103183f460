//! Binomial tree reduce over contiguous ranges of ranks, for associative operations.
//! ⌈log₂ n⌉ rounds, n−1 messages of S bytes, at most one from each rank, whatever the root.
//! Thakur, Rabenseifner & Gropp 2005; here over absolute ranks for every root.

use crate::plan::{
    Algorithm, Collective, Demand, Growth, Medium, Shape, Side, Step, fold::group, log2_ceil,
};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Reduce,
    name: "contiguous_tree",
    demand: Demand::Associative,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| log2_ceil(shape.size),
    sent: |shape| 1.min(shape.size - 1),
};

/// At level k the ranks stand in groups of 2ᵏ neighbours, and the leader of a group holds its
/// combined value. Level by level, two neighbouring groups become one: the leader of one half sends
/// to the leader of the whole. The leader is the root where the group has it, else the lowest rank.
///
/// The groups do not depend on the root, so neither does the bracketing.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let Shape { size, root, .. } = shape;
    let leader = move |rank: usize, width: usize| {
        let group = group(rank, width);
        if group.contains(&root) { root } else { group.start }
    };
    (0..log2_ceil(size))
        .map(|level| 1 << level)
        .take_while(move |&width| leader(rank, width) == rank)
        .filter_map(move |width| {
            // Widths are powers of two, so that the numbers of two halves differ in one bit.
            let other = group(rank ^ width, width).start;
            let to = leader(rank, 2 * width);
            if other >= size {
                None
            } else if to == rank {
                let side = if other < rank { Side::Left } else { Side::Right };
                Some(Step::combine(leader(other, width), 0, side))
            } else {
                Some(Step::send(to, 0))
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_combines_on_both_sides() {
        let steps: Vec<Step> = plan(2, Shape::of(6).rooted(2)).collect();
        assert_eq!(
            steps,
            [
                Step::combine(3, 0, Side::Right),
                Step::combine(0, 0, Side::Left),
                Step::combine(4, 0, Side::Right),
            ]
        );
    }
}
